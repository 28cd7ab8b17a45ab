//! `brimful --version` and `--facts`.

use brimful_explain::cause_pages;
use brimful_jobs::followed;
use brimful_logs::formats;
use serde_json::Value;

mod seen;
use seen::{brimful, seen};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_version_is_one_line() {
    let line = format!("exit 0\n--- stdout\nbrimful {VERSION}\n--- stderr\n");
    assert_eq!(seen(&["--version"]), line);
    assert_eq!(seen(&["-V"]), line);
}

#[test]
fn facts_are_those_of_the_crates_that_hold_them() {
    let output = brimful(&["--version", "--facts", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], "brimful.facts/1");
    assert_eq!(json["version"], VERSION);
    let predicted: Vec<(&str, &str)> = json["predicted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["newest"].as_str().unwrap()))
        .collect();
    assert_eq!(predicted, followed().collect::<Vec<_>>());
    for library in ["torch", "transformers", "cuDNN", "bitsandbytes", "PEFT"] {
        assert!(predicted.iter().any(|row| row.0 == library), "{library}");
    }
    assert_eq!(json["data"]["log_formats"], formats().count());
    assert_eq!(json["data"]["causes"], cause_pages().count());
    let catalogue = |name: &str| json["data"][name].as_u64().unwrap();
    assert!(catalogue("gpus_with_cuda") > 100 && catalogue("gpus") > catalogue("gpus_with_cuda"));
    assert!(catalogue("models_simulated") >= 80 && catalogue("models") >= catalogue("models_simulated"));
}

#[test]
fn facts_as_text_name_every_program() {
    let text = seen(&["--version", "--facts"]);
    for program in ["torch", "transformers", "cuDNN", "bitsandbytes", "PEFT", "vLLM", "SGLang", "driver"] {
        assert!(text.contains(program), "{program} in {text}");
    }
}

#[test]
fn facts_without_the_version_are_a_wrong_call() {
    assert!(seen(&["--facts"]).starts_with("exit 2"));
    assert!(seen(&["--json"]).starts_with("exit 2"));
    let nothing = seen(&[]);
    assert!(nothing.starts_with("exit 2") && nothing.contains("Usage: brimful"), "{nothing}");
}
