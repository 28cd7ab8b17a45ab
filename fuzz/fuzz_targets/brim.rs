//! Any bytes as a `.brim` file: what is read is written back and read as the same.
#![no_main]

use brimful_trace::Trace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(trace) = Trace::read_brim(bytes) {
        let mut written = Vec::new();
        trace.write_brim(&mut written).unwrap();
        assert_eq!(Trace::read_brim(&written).unwrap().len(), trace.len());
    }
});
