//! Any bytes as a snapshot: what is read can be followed, replayed and explained.
#![no_main]

use brimful_explain::snapshot::explain_recording;
use brimful_replay::{Capacity, recorded_config, replay};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(snapshot) = brimful_snapshot::read(bytes) else { return };
    let Some(trace) = snapshot.fullest().and_then(|device| snapshot.into_trace(device)) else { return };
    let explanation = explain_recording(&trace, 3);
    assert!(explanation.followed.peak.reserved >= explanation.followed.end.reserved);
    replay(&trace, &recorded_config(&trace), &Capacity::unlimited());
});
