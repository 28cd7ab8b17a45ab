//! Any bytes as a safetensors file: spans of what is accepted add up to the data.
#![no_main]

use brimful_models::{header_length, parse_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.len() as u64;
    let Ok(length) = header_length(bytes, size) else { return };
    let header = &bytes[8..8 + length as usize];
    let data = size - 8 - length;
    if let Ok(tensors) = parse_header(header, data) {
        assert_eq!(tensors.iter().map(|tensor| tensor.bytes.get()).sum::<u64>(), data);
    }
});
