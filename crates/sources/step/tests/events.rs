//! The simulated step against recorded runs of real PyTorch: the same allocations and frees, in the same order.
//! `BRIMFUL_CASE=qwen3/` narrows it to the cases whose name holds the text.

use brimful_truth::{difference, fixtures, root};

#[test]
fn every_recorded_sequence_is_simulated() {
    let recorded = fixtures::for_tests(&root()).unwrap();
    let recorded: Vec<_> = recorded.iter().filter(|case| case.events.is_some()).collect();
    assert!(!recorded.is_empty(), "no case of that name has a sequence of events");
    let differences: Vec<String> = recorded.iter().filter_map(|case| difference(case)).collect();
    let (count, all) = (differences.len(), recorded.len());
    assert!(count == 0, "{count} of {all} sequences differ:\n{}", differences.join("\n"));
}
