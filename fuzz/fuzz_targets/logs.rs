//! The scanner of logs: an answer for any bytes, the same whatever the pieces, and a diagnosis that holds together.
#![no_main]

use brimful_explain::diagnose;
use brimful_logs::{Scanner, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = scan(bytes).expect("a slice can be read");
    let mut scanner = Scanner::new();
    bytes.chunks(7).for_each(|piece| scanner.push(piece));
    let pieces = scanner.finish();
    let format = |report: &brimful_logs::Report| report.incident.as_ref().map(|incident| incident.format.clone());
    assert_eq!(format(&whole), format(&pieces));
    if let Some(diagnosis) = diagnose(&whole) {
        assert!(!diagnosis.cause.class.is_empty());
        if let Some(ledger) = diagnosis.ledger {
            let sum = ledger.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.bytes.get()));
            assert!(sum >= ledger.total.get() - ledger.unaccounted.get());
        }
    }
});
