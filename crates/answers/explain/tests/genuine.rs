//! PyTorch's own messages of seven versions: the ledger closes, and what is on is not advised.

use std::io::Read;

use brimful_explain::{Diagnosis, diagnose};
use flate2::read::GzDecoder;
use serde_json::Value;

fn records() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/logs/genuine.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn native() -> impl Iterator<Item = Value> {
    records().into_iter().filter(|record| record["tried"].is_number())
}

fn explain(text: &str) -> Diagnosis {
    diagnose(&brimful_logs::scan(text.as_bytes()).unwrap()).unwrap_or_else(|| panic!("{text}"))
}

/// What two printed decimals of up to five figures leave open.
const ROUNDING: u64 = 5 * (1 << 30) / 200;

#[test]
fn the_ledger_closes() {
    let mut all = 0;
    for record in native() {
        let ledger = explain(record["text"].as_str().unwrap()).ledger.unwrap();
        let open = ledger.unaccounted.get() + ledger.excess.get();
        assert!(open <= ROUNDING, "{}: {open} bytes open: {ledger:?}", record["id"]);
        let part = |name: &str| {
            let parts = ledger.parts.iter().filter(|part| part.name.contains(name));
            parts.map(|part| part.bytes.get()).sum::<u64>()
        };
        let own = part("allocated by PyTorch") + part("idle in PyTorch") + part("idle in private");
        assert!(
            own.abs_diff(record["reserved"].as_u64().unwrap()) <= ROUNDING,
            "{}: {ledger:?}",
            record["id"]
        );
        let allocated = record["allocated"].as_u64().unwrap();
        assert!(part("allocated by PyTorch").abs_diff(allocated) <= ROUNDING, "{}: {ledger:?}", record["id"]);
        all += 1;
    }
    assert!(all >= 500, "{all}");
}

#[test]
fn expandable_segments_are_not_advised_where_they_are_on() {
    let mut all = 0;
    for record in native().filter(|record| record["conf"] == "expandable_segments:True") {
        let log = format!(
            "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True\n{}\n",
            record["text"].as_str().unwrap()
        );
        let fixes = explain(&log).fixes;
        assert!(fixes.iter().all(|fix| fix.id != "expandable-segments"), "{}", record["id"]);
        all += 1;
    }
    assert!(all >= 100, "{all}");
}

#[test]
fn fragmentation_needs_an_idle_pool_as_large_as_the_request() {
    for record in native() {
        let fragmentation = explain(record["text"].as_str().unwrap()).cause.class == "fragmentation";
        let figure = |key: &str| record[key].as_u64().unwrap();
        let idle = figure("reserved") - figure("allocated");
        assert!(!fragmentation || idle + ROUNDING >= figure("tried"), "{}", record["id"]);
    }
}
