//! Any bytes as a GGUF file: what is accepted lies inside the file, and a part joins as itself.
#![no_main]

use brimful_gguf::{Header, Size};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = Header::read(bytes) else { return };
    if header.check_length(bytes.len() as u64).is_ok() {
        for tensor in &header.tensors {
            if let Size::Exact(size) = header.size_of(tensor, Some(bytes.len() as u64)) {
                assert!(header.data_offset + tensor.offset + size.get() <= bytes.len() as u64);
            }
        }
    }
    let _ = Header::join(vec![header]);
});
