//! Any text as a GPU: what is found is usable.
#![no_main]

use brimful_devices::Gpu;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(gpu) = Gpu::find(text) {
        assert!(gpu.total.get() > 0 && gpu.multiprocessors > 0);
    }
});
