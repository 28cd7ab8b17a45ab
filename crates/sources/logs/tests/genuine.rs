//! PyTorch's own words, made by PyTorch: what is read is what the allocator knew.

use std::io::Read;

use brimful_logs::{Incident, Kind, scan};
use flate2::read::GzDecoder;
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/logs");

fn incident(error: &str) -> Incident {
    scan(error.as_bytes()).unwrap().incident.unwrap_or_else(|| panic!("{error}"))
}

/// Equal to the two decimals that are printed.
fn assert_printed(incident: &Incident, name: &str, truth: &Value) {
    let (found, truth) = (incident.facts.int(name).unwrap(), truth.as_i64().unwrap());
    let unit = if truth > 1 << 30 {
        1 << 30
    } else if truth > 1 << 20 {
        1 << 20
    } else {
        1 << 10
    };
    assert!((found - truth).abs() <= unit / 200 + 1, "{name}: {found} is not {truth}");
}

#[test]
fn messages_of_training_runs() {
    let mut text = String::new();
    let file = std::fs::File::open(format!("{FIXTURES}/allocator.jsonl.gz")).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let failed: Vec<Value> = records.filter(|record| record["error"].is_string()).collect();
    for record in &failed {
        let incident = incident(record["error"].as_str().unwrap());
        let event = &record["oom_event"][0];
        assert_printed(&incident, "tried_bytes", &event["size"]);
        assert_printed(&incident, "free_bytes", &event["device_free"]);
        assert_printed(&incident, "total_bytes", &record["total"]);
    }
    assert!(failed.len() >= 3);
}

fn phrase(id: &str) -> Incident {
    let text = std::fs::read_to_string(format!("{FIXTURES}/phrases.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let record = records.into_iter().find(|record| record["id"] == id).unwrap();
    let incident = incident(record["error"].as_str().unwrap());
    if incident.kind == Kind::Oom {
        assert_printed(&incident, "total_bytes", &record["total"]);
        assert_printed(&incident, "free_bytes", &record["free"]);
    }
    incident
}

#[test]
fn full_cards() {
    for n in 1..6 {
        let incident = phrase(&format!("native-{n}"));
        assert_eq!(incident.kind, Kind::Oom);
        for name in ["tried_bytes", "allocated_bytes", "reserved_unallocated_bytes"] {
            assert!(incident.facts.int(name).is_some(), "{n}: {name}");
        }
    }
}

#[test]
fn a_process_fraction_and_private_pools() {
    let incident = phrase("fraction");
    assert_eq!(incident.facts.int("limit_bytes"), Some(2 << 30));
    assert_eq!(incident.facts.int("private_pools_bytes"), incident.facts.int("allocated_bytes"));
}

#[test]
fn expandable_segments_that_are_on() {
    let text = std::fs::read_to_string(format!("{FIXTURES}/phrases.jsonl")).unwrap();
    let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let report = scan(record["error"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(report.settings["alloc_conf"], "expandable_segments:True");
    assert_eq!(report.incident.unwrap().facts.int("tried_bytes"), Some(700 << 20));
}

#[test]
fn what_is_not_the_gpus_memory() {
    assert_eq!(phrase("overflow").kind, Kind::Absurd);
    let host = phrase("cpu");
    assert_eq!((host.kind, host.facts.int("host_tried_bytes")), (Kind::Host, Some(1 << 46)));
}
