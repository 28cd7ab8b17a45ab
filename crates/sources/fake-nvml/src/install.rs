//! Copies of the library, one for each fixture.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::exports::EXPORTS;
use crate::fixture::{FILLER, MARK, PLACE_BYTES};

/// Writes the fixture and the library that answers from it into `folder`, and returns the library's path.
///
/// # Panics
/// The library was not built, the fixture is not one, or the folder cannot be written: a test cannot go on.
pub fn install(fixture: &Value, folder: &Path) -> PathBuf {
    let data = folder.join("fixture.json");
    fs::write(&data, fixture.to_string()).expect("the folder can be written");
    let mut bytes = fs::read(built()).expect("cargo builds the library beside the tests");
    write_place(&mut bytes, data.to_str().expect("the folder's name is UTF-8"));
    let symbols = fixture["symbols"].as_array().expect("a fixture has symbols");
    for name in EXPORTS.iter().filter(|name| !symbols.iter().any(|symbol| symbol == **name)) {
        hide(&mut bytes, name);
    }
    let library = folder.join("libnvidia-ml.so.1");
    fs::write(&library, bytes).expect("the folder can be written");
    library
}

/// The library lies where cargo puts the dependencies of a test.
///
/// # Panics
/// This process has no path.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    test.with_file_name("libbrimful_fake_nvml.so")
}

/// Writes the name of the fixture into the library.
///
/// # Panics
/// The library is another one, or the name is too long.
fn write_place(bytes: &mut [u8], place: &str) {
    // The mark also stands in code that searches for it; only the place itself has the filler behind it.
    let pattern = [MARK, &[FILLER; 8][..]].concat();
    let at = find(bytes, &pattern).expect("the library has a place for the name of its fixture");
    let room = &mut bytes[at + MARK.len()..at + PLACE_BYTES];
    assert!(place.len() < room.len(), "{place} is too long");
    room.fill(0);
    room[..place.len()].copy_from_slice(place.as_bytes());
}

/// Overwrites the first letter of a symbol. The hash table of the library still leads to it, and the loader then compares the
/// names and does not find it.
///
/// # Panics
/// The library does not have the symbol.
fn hide(bytes: &mut [u8], name: &str) {
    let pattern = format!("\0{name}\0");
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], pattern.as_bytes()) {
        bytes[from + at + 1] = b'-';
        from += at + 1;
    }
    assert!(from > 0, "{name} is a symbol of the library");
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
