//! `brimful open`: the page holds what the answers say. `tests/page/check.mjs` drives it in a browser.

mod seen;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use seen::{brimful, stderr};
use serde_json::Value;

const SNAPSHOT: &str = "fixtures/snapshots/varlen-oom.pickle.gz";

/// The page of a run.
fn page(input: &str) -> String {
    static PAGES: AtomicUsize = AtomicUsize::new(0);
    let number = PAGES.fetch_add(1, Ordering::Relaxed);
    let path: PathBuf = std::env::temp_dir().join(format!("brimful-{}-{number}.html", std::process::id()));
    let output = brimful(&["open", input, "--output", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    page
}

/// The data that the page draws.
fn data(page: &str) -> Value {
    let begins = page.split_once("<script id=\"data\" type=\"application/json\">").unwrap().1;
    serde_json::from_str(begins.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_page_draws_the_peak_of_the_answer() {
    for (input, command) in [(SNAPSHOT, "explain"), ("gpt2", "fit")] {
        let data = data(&page(input));
        let used = |moment: &Value| -> u64 {
            moment[2].as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).sum()
        };
        let highest = data["moments"].as_array().unwrap().iter().map(used).max().unwrap();
        let answer: Value = serde_json::from_slice(&brimful(&[command, input, "--json"]).stdout).unwrap();
        assert_eq!(Some(highest), answer["peak"]["requested"].as_u64(), "{input}");
        assert_eq!(data["flame"][1].as_u64(), Some(highest), "{input}: the flame graph is of the peak");
    }
}

#[test]
fn the_page_is_one_file() {
    let page = page(SNAPSHOT);
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is loaded");
    assert!(!page.contains("src=") && !page.contains("<link"), "nothing is loaded");
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert!(data(&page)["verdict"].as_str().unwrap().starts_with("Out of memory"));
}

#[test]
fn every_block_has_a_name() {
    let data = data(&page(SNAPSHOT));
    let names = data["names"].as_array().unwrap();
    for block in data["blocks"].as_array().unwrap() {
        assert!((block[4].as_u64().unwrap() as usize) < names.len(), "{block}");
    }
    assert!(data["segments"].as_array().unwrap().len() > 500);
    assert!(data["tables"].as_array().unwrap().len() >= 2);
}

#[test]
fn a_wrong_input_is_named() {
    for input in ["hostile/snapshots/imports-os-2.pickle", "no-such.pickle"] {
        let output = brimful(&["open", input, "--output", "/dev/null"]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(input), "{message}");
    }
}
