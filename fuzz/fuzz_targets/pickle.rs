//! Any opcodes as a pickle of protocol 4: an answer or an error, and events only where bytes were.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|opcodes: &[u8]| {
    let mut pickle = b"\x80\x04".to_vec();
    pickle.extend_from_slice(opcodes);
    if let Ok(snapshot) = brimful_snapshot::read(&pickle) {
        let events: usize = snapshot.devices.iter().map(|device| device.events()).sum();
        assert!(events <= opcodes.len());
    }
});
