//! Peaks of runs of real PyTorch that no program was made with: fixtures/jobs/peaks.jsonl.

use std::collections::HashMap;

use brimful_jobs::{Format, Overrides, load};
use brimful_models::NoFiles;
use serde_json::Value;

const JOBS: &str = include_str!("../../../../fixtures/jobs/simulated.jsonl");
const PEAKS: &str = include_str!("../../../../fixtures/jobs/peaks.jsonl");

fn lines(text: &'static str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn requested_allocated_and_reserved_peaks_are_those_that_pytorch_reported() {
    let jobs: HashMap<String, Value> =
        lines(JOBS).map(|row| (row["id"].as_str().unwrap().to_owned(), row["job"].clone())).collect();
    let (mut compared, mut differing) = (0, Vec::new());
    for row in lines(PEAKS) {
        let id = row["id"].as_str().unwrap();
        let text = jobs[id].to_string();
        let loaded = load(id, &text, Format::Json, &NoFiles, &Overrides::default()).unwrap();
        let fit = brimful_plan::fit(&loaded.job).unwrap_or_else(|error| panic!("{id}: {error}"));
        let ours = fit.after_loading;
        let ours = [ours.requested, ours.allocated, ours.reserved].map(|bytes| bytes.get());
        let real = ["requested", "allocated", "reserved"].map(|ledger| row["peak"][ledger].as_u64().unwrap());
        if ours != real {
            differing.push(format!("{id}: predicted {ours:?}, real {real:?}"));
        }
        compared += 1;
    }
    assert!(compared > 0);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
