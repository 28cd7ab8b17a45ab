//! The loop of transformers' Trainer beside recorded runs of it (`fixtures/step/record_trainer.py`).

use brimful_jobs::{Format, Overrides, load};
use brimful_models::NoFiles;
use brimful_plan::simulate_and_replay;
use brimful_truth::root;
use serde_json::Value;

/// Bytes of the allocator's smallest segment: autocast frees its casts in the order of a hash map over pointers, which may move
/// one of them.
const SEGMENT: u64 = 2 << 20;

#[test]
fn every_recorded_run_of_the_trainer_is_predicted() {
    let text = std::fs::read_to_string(root().join("fixtures/step/trainer.jsonl")).unwrap();
    let (mut all, mut equal) = (0, 0);
    for line in text.lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        // The word of `optim` is what a flag takes.
        let optim = row["job"]["train"].as_object_mut().unwrap().remove("optimizer");
        let flags = match optim.as_ref().and_then(Value::as_str) {
            Some(word) => Overrides::default().set("optimizer", word),
            None => Overrides::default(),
        };
        let loaded = load("trainer", &row["job"].to_string(), Format::Json, &NoFiles, &flags).unwrap();
        let (trace, timeline) = simulate_and_replay(&loaded.job).unwrap();
        let (ledger, _) = timeline.after_loading(&trace);
        let real = |name: &str| row["peak"][name].as_u64().unwrap();
        assert_eq!(ledger.requested.get(), real("requested"), "requested: {line}");
        assert_eq!(ledger.allocated.get(), real("allocated"), "allocated: {line}");
        assert!(ledger.reserved.get().abs_diff(real("reserved")) <= SEGMENT, "reserved: {line}");
        all += 1;
        equal += usize::from(ledger.reserved.get() == real("reserved"));
    }
    assert!(all >= 48 && equal + 2 >= all, "{equal} of {all} reserve the same");
}
