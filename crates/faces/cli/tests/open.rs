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
    page_of(&[input])
}

/// The page of a run, or of two.
fn page_of(inputs: &[&str]) -> String {
    static PAGES: AtomicUsize = AtomicUsize::new(0);
    let number = PAGES.fetch_add(1, Ordering::Relaxed);
    let path: PathBuf = std::env::temp_dir().join(format!("brimful-{}-{number}.html", std::process::id()));
    let call = [&["open"], inputs, &["--output", path.to_str().unwrap()]].concat();
    let output = brimful(&call);
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
        let data = &data(&page(input))["runs"][0];
        let used = |moment: &Value| -> u64 {
            moment[2].as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).sum()
        };
        let highest = data["moments"].as_array().unwrap().iter().map(used).max().unwrap();
        let answer: Value = serde_json::from_slice(&brimful(&[command, input, "--json"]).stdout).unwrap();
        assert_eq!(Some(highest), answer["peak"]["requested"].as_u64(), "{input}");
        let reserved =
            data["moments"].as_array().unwrap().iter().map(|moment| moment[1].as_u64().unwrap()).max();
        assert_eq!(reserved, answer["peak"]["reserved"].as_u64(), "{input}");
        let held: u64 = data["holders"].as_array().unwrap().iter().map(|row| row[0].as_u64().unwrap()).sum();
        assert_eq!(held, highest, "{input}: the flame graph is of the peak");
    }
}

#[test]
fn the_page_is_one_file() {
    let page = page(SNAPSHOT);
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is loaded");
    assert!(!page.contains("src=") && !page.contains("<link"), "nothing is loaded");
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert!(data(&page)["runs"][0]["verdict"].as_str().unwrap().starts_with("Out of memory"));
}

#[test]
fn every_block_has_a_name() {
    let data = &data(&page(SNAPSHOT))["runs"][0];
    let names = data["names"].as_array().unwrap();
    for block in data["blocks"].as_array().unwrap() {
        assert!((block[4].as_u64().unwrap() as usize) < names.len(), "{block}");
    }
    assert!(data["segments"].as_array().unwrap().len() > 500);
    assert!(data["answer"]["owners"].as_array().unwrap().len() > 5);
    assert!(data["answer"]["fragmentation"]["pinned"].as_array().unwrap().len() > 5);
}

#[test]
fn the_answer_on_the_page_is_that_of_explain_and_of_fit() {
    let leak = "fixtures/snapshots/leak.pickle.gz";
    let job = "examples/llama-2-7b-full-adamw-a100.toml";
    let explained = ["peak", "cause", "fixes", "leaks", "what_if"];
    let fitted = ["peak", "verdict", "device", "recipe", "assumed"];
    for (input, command, keys) in
        [(SNAPSHOT, "explain", explained), (leak, "explain", explained), (job, "fit", fitted)]
    {
        let data = data(&page(input));
        let answer: Value = serde_json::from_slice(&brimful(&[command, input, "--json"]).stdout).unwrap();
        for key in keys {
            assert!(!answer[key].is_null() || key == "cause", "{input}: {key}");
            assert_eq!(data["runs"][0]["answer"][key], answer[key], "{input}: {key}");
        }
    }
}

#[test]
fn the_failed_request_the_phases_and_the_end_of_the_gpu_are_marked() {
    let run = &data(&page(SNAPSHOT))["runs"][0];
    assert_eq!(run["failures"][0]["event"], 31105);
    assert_eq!(run["failures"][0]["tried"], 294 << 20, "as the sentence on top says");
    let phases = run["phases"].as_array().unwrap();
    assert!(phases.iter().any(|phase| phase[2] == "step 4 forward"), "{phases:?}");
    let run = &data(&page("examples/llama-2-7b-full-adamw-a100.toml"))["runs"][0];
    let device = &run["answer"]["device"];
    let end = device["usable"].as_u64().unwrap() - device["overhead"].as_u64().unwrap();
    assert_eq!(run["capacity"], end);
    assert!(run["verdict"].as_str().unwrap().contains("fits: full training of Llama-2-7b-hf on"), "{run}");
}

#[test]
fn two_runs_are_compared_as_diff_compares_them() {
    let (before, after) = ("fixtures/snapshots/steady.pickle.gz", "fixtures/snapshots/leak.pickle.gz");
    let data = data(&page_of(&[before, after]));
    let answer: Value = serde_json::from_slice(&brimful(&["diff", before, after, "--json"]).stdout).unwrap();
    for key in ["peak", "composition", "places"] {
        assert_eq!(data["diff"][key], answer[key], "{key}");
    }
    assert_eq!(data["runs"].as_array().unwrap().len(), 2);
    assert_eq!(data["title"], "steady.pickle.gz and leak.pickle.gz");
    assert!(data["diffSentence"].as_str().unwrap().starts_with("takes "), "{}", data["diffSentence"]);
}

#[test]
fn the_page_does_not_name_the_folders_of_its_input() {
    let folder = std::env::temp_dir().join(format!("brimful-secret-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("run.pickle.gz");
    let source = PathBuf::from(seen::ROOT).join("fixtures/snapshots/leak.pickle.gz");
    fs::copy(source, &copy).unwrap();
    let page = page(copy.to_str().unwrap());
    fs::remove_dir_all(&folder).unwrap();
    assert!(page.contains("<title>run.pickle.gz"), "the file's name is there");
    assert!(!page.contains("brimful-secret"), "its folder is not");
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
