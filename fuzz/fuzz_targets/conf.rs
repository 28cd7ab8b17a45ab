//! Any text as `PYTORCH_CUDA_ALLOC_CONF`, and a few requests under it.
#![no_main]

use brimful_replay::{AllocatorConfig, Capacity, replay};
use brimful_trace::{Allocation, Origin, Trace};
use brimful_units::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(config) = text.parse::<AllocatorConfig>() else { return };
    let mut trace = Trace::new(Origin::Predicted);
    let sizes = [1, 513, 1 << 20, (1 << 20) + 1, 10 << 20, 300 << 20, 5 << 30];
    let blocks = sizes.map(|size| trace.alloc(Allocation { bytes: Bytes::new(size), ..Allocation::default() }));
    for block in blocks {
        trace.free(block);
    }
    let capacity = Capacity { total: Some(Bytes::gib(4)), taken: Bytes::ZERO };
    for capacity in [Capacity::unlimited(), capacity] {
        let peak = replay(&trace, &config, &capacity).peak;
        assert!(peak.requested <= peak.allocated && peak.allocated <= peak.reserved);
    }
});
