//! Serving engines against measurements on real GPUs. What was observed on the virtual GPU is in the fixture, and is held
//! against what was published. The rehearsals themselves run where `BRIMFUL_VLLM_PYTHON` names an interpreter that has
//! vLLM; `BRIMFUL_VLLM_CASES` names the cases, separated by commas (the first where it does not: a start takes a minute).

#![cfg(target_os = "linux")]

mod rehearsed;

use std::fs;
use std::process::Command;

use rehearsed::{Rehearsed, current_test, left_out};
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/serving");

fn cases() -> Vec<Value> {
    let text = fs::read_to_string(format!("{FIXTURES}/h100.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// As vLLM prints bytes: GiB with two decimals.
fn printed(bytes: &Value) -> String {
    format!("{:.2}", bytes.as_f64().unwrap() / f64::from(1 << 30))
}

/// Holds the figures of a start against the published ones.
fn agree(case: &Value, told: &Value) {
    let published = &case["published"];
    for name in ["weights", "activation_peak", "non_torch"] {
        let known = published[name].as_str();
        let differs = case["differs"][name].as_str().is_some();
        if let Some(known) = known.filter(|_| !differs) {
            assert_eq!(printed(&told[name]), known, "{name} of {}", case["id"]);
        }
    }
    if let Some(known) = published["kv_tokens"].as_f64() {
        let tokens = told["kv_cache"]["tokens"].as_f64().unwrap();
        assert!((tokens / known - 1.0).abs() <= 0.002, "{}: {tokens} tokens instead of {known}", case["id"]);
    }
}

#[test]
fn what_was_observed_is_what_was_published() {
    let mut figures = 0;
    for case in cases() {
        for (_, told) in case["observed"].as_object().unwrap() {
            agree(&case, told);
            figures += 1;
        }
    }
    assert!(figures >= 10, "{figures} starts are in the fixture");
}

#[test]
fn what_differs_says_why() {
    for case in cases() {
        for (name, why) in case["differs"].as_object().into_iter().flatten() {
            let same =
                |told: &Value| printed(&told[name.as_str()]) == case["published"][name].as_str().unwrap();
            assert!(!why.as_str().unwrap().is_empty());
            assert!(!case["observed"].as_object().unwrap().values().all(same), "{name} of {}", case["id"]);
        }
    }
}

/// The stages of a pipeline differ: `rank` says whose figures were published.
fn published_part<'a>(case: &Value, serving: &'a Value) -> &'a Value {
    let Some(rank) = case["rank"].as_u64() else { return serving };
    let of_rank = |told: &&Value| told["rank"].as_u64() == Some(rank);
    serving["ranks"].as_array().unwrap().iter().find(of_rank).unwrap()
}

/// Starts vLLM as a library on the virtual H100 of the measurements.
fn start(python: &str, case: &Value) -> Rehearsed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.zip");
    let model = format!("{FIXTURES}/models/{}", case["model"].as_str().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .args([
            "rehearse",
            "--json",
            "--gpu",
            "h100-sxm-80gb",
            "--gpu-total",
            "79.19 GiB",
            "--history",
            "1000",
        ])
        .args(["--gpus", &case["gpus"].to_string(), "--output", file.to_str().unwrap()])
        .args(["--", python, &format!("{FIXTURES}/start.py"), &model, &case["arguments"].to_string()])
        .output()
        .unwrap();
    Rehearsed::of(output, folder, file)
}

#[test]
fn vllm_starts_as_on_real_gpus() {
    let Ok(python) = std::env::var("BRIMFUL_VLLM_PYTHON") else {
        left_out(&current_test(), "BRIMFUL_VLLM_PYTHON is not set");
        return;
    };
    let asked = std::env::var("BRIMFUL_VLLM_CASES").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|id| !id.is_empty()).collect();
    let all = cases();
    let is_asked = |case: &&Value| asked.contains(&case["id"].as_str().unwrap());
    let chosen: Vec<&Value> =
        if asked.is_empty() { all.iter().take(1).collect() } else { all.iter().filter(is_asked).collect() };
    assert!(!chosen.is_empty(), "BRIMFUL_VLLM_CASES names no case: {asked:?}");
    for case in chosen {
        let started = start(&python, case);
        assert_eq!(started.code, 0, "{}", started.stderr);
        let answer = started.json();
        let told = published_part(case, &answer["serving"]);
        agree(case, told);
        let version = answer["serving"]["version"].as_str().unwrap();
        if let Some(before) = case["observed"].get(version) {
            for name in ["weights", "activation_peak", "non_torch", "kv_cache"] {
                assert_eq!(told[name], before[name], "{name} of {}", case["id"]);
            }
        }
    }
}
