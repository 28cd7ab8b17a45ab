//! Files that lie: refused with the reason, or answered in part; never a panic, never memory out of proportion.

use brimful_snapshot::{SnapshotError, read};

fn folder(name: &str) -> String {
    format!("{}/../../../{name}", env!("CARGO_MANIFEST_DIR"))
}

fn hostile(name: &str) -> Vec<u8> {
    let path = folder(&format!("hostile/snapshots/{name}"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const EXPECTED: [(&str, &str); 32] = [
    ("a-number.pickle", "neither `segments` nor `device_traces`"),
    ("absurd-size.pickle", "a block of 1152921504606846976 bytes"),
    ("address-at-the-end.pickle", "a block at the address 0xffffffffffffffff"),
    ("bomb.pickle.gz", "200 times its size"),
    ("cyclic-dict.pickle", "a dict that holds itself"),
    ("cyclic.pickle", "neither `segments` nor `device_traces`"),
    ("deep.json", "recursion limit"),
    ("device-of-2-40.pickle", "a segment of device 1099511627776"),
    ("empty.pickle", "the file is empty"),
    ("frame-2-63.pickle", "neither `segments` nor `device_traces`"),
    ("imports-os-2.pickle", "import posix.system (GLOBAL)"),
    ("imports-os-4.pickle", "import posix.system (STACK_GLOBAL)"),
    ("integer-of-9-bytes.pickle", "an integer of 9 bytes"),
    ("length-2-63.pickle", "cut off at byte 13"),
    ("long-2-31.pickle", "cut off at byte 9"),
    ("many-devices.pickle", "more than 128 devices"),
    ("marks.pickle", "something is still open"),
    ("memo-nowhere.pickle", "a reference to object 99, which does not exist"),
    ("negative-size.pickle", "an event without a number of bytes in `size`"),
    ("not-json.json", "damaged at byte 14: expected value"),
    ("odd-items.pickle", "a key without a value"),
    ("other-content.pickle", "(but a, epoch, state_dict)"),
    ("protocol-0.pickle", "expected a pickle (protocol 2 to 5)"),
    ("protocol-6.pickle", "pickle protocol 6"),
    ("size-is-text.pickle", "an event without a number of bytes in `size`"),
    ("text.pickle", "it begins with \"Traceback (most recent"),
    ("torn.pickle.gz", "cut off"),
    ("truncated.json", "cut off at byte 6"),
    ("tuples.pickle", "something is still open"),
    ("unbalanced.pickle", "items without a beginning"),
    ("unknown-opcode.pickle", "0xfe is no opcode"),
    ("unknown-state.pickle", "a block whose `state` is unknown"),
];

#[test]
fn every_file_is_refused_for_its_reason() {
    for (name, words) in EXPECTED {
        let error = read(&hostile(name)).map(|_| name).unwrap_err().to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
    let files = std::fs::read_dir(folder("hostile/snapshots")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let untested: Vec<String> =
        names.filter(|name| !name.ends_with(".md") && EXPECTED.iter().all(|row| row.0 != name)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

/// The answer of a prefix never holds more than that of the whole, and says that it is one.
#[test]
fn cut_off_at_every_byte() {
    for name in ["torch-2.15.pickle", "torch-cpp.pickle", "snapshot.json", "snapshot.pickle.gz"] {
        let whole = std::fs::read(folder(&format!("fixtures/snapshots/tiny/{name}"))).unwrap();
        let events = read(&whole).unwrap().devices[0].events();
        let (mut most, mut partial) = (0, 0);
        for end in 1..whole.len() {
            match read(&whole[..end]) {
                Ok(snapshot) => {
                    assert!(snapshot.unread.cut_off_at.is_some() || name.ends_with(".gz"), "{name}: {end}");
                    let now = snapshot.devices.iter().map(|device| device.events()).max().unwrap_or(0);
                    assert!(now >= most && now <= events, "{name}: {end}: {now} events after {most}");
                    (most, partial) = (now, partial + 1);
                }
                Err(SnapshotError::CutOff { .. } | SnapshotError::NotASnapshot { .. }) => {}
                Err(SnapshotError::Damaged { what, .. }) if name.ends_with(".gz") => {
                    assert!(what.contains("gzip"), "{name}: {end}: {what}");
                }
                Err(other) => panic!("{name} cut off at {end}: {other}"),
            }
        }
        assert!(partial > whole.len() / 2, "{name}: only {partial} prefixes were answered");
        assert!(name.ends_with(".gz") || most >= events - 1, "{name}: {most} of {events}");
    }
}

/// Every byte replaced: an answer or an error, but no panic.
#[test]
fn every_byte_damaged() {
    let whole = std::fs::read(folder("fixtures/snapshots/tiny/torch-2.15.pickle")).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        for byte in [0, 0x28, 0x2e, 0x65, 0x94, 0xff, whole[at] ^ 1] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            refused += usize::from(read(&damaged).is_err());
        }
    }
    assert!(refused > whole.len(), "{refused}");
}

/// A billion empty tuples need not be written to disk: the machine refuses after the first million.
#[test]
fn the_stack_has_an_end() {
    let mut tuples = b"\x80\x02".to_vec();
    tuples.resize(3 << 20, b')');
    let error = read(&tuples).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 values on the stack"), "{error}");
    let mut marks = b"\x80\x02".to_vec();
    marks.resize(3 << 20, b'(');
    assert!(read(&marks).unwrap_err().to_string().contains("more than 1048576 marks"));
}
