//! Tests that leave themselves out say so, in the output and in the file that `BRIMFUL_LEFT_OUT` names.
//!
//! `cargo xtask test` sets that variable, and prints the file's lines at its end.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs::OpenOptions;
use std::io::Write;

/// Reports that a test, or a part of it, is left out. Each call adds one line: the name, a tab, and the reason.
pub fn left_out(name: &str, why: &str) {
    eprintln!("{name} is left out: {why}");
    if let Some(path) = std::env::var_os("BRIMFUL_LEFT_OUT") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        // One write: several test processes append to the file at the same time.
        file.write_all(format!("{name}\t{why}\n").as_bytes()).unwrap();
    }
}

/// The name of the test that runs in this thread.
pub fn current_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}
