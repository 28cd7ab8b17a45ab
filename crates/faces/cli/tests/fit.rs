//! `brimful fit` as a user meets it: exit code and both streams.

mod seen;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use brimful_trace::Trace;
use seen::{ROOT, brimful, seen, stderr, stdout};

#[test]
fn it_fits() {
    insta::assert_snapshot!(seen(&["fit", "examples/llama-2-7b-full-adamw-a100.toml"]));
}

#[test]
fn the_readme_shows_what_its_first_command_prints() {
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let command = "cargo run --release -p brimful -- fit examples/llama-2-7b-full-adamw-a100.toml";
    assert!(readme.contains(command));
    assert!(readme.contains(&stdout(&brimful(&["fit", "examples/llama-2-7b-full-adamw-a100.toml"]))));
}

#[test]
fn it_does_not_fit() {
    insta::assert_snapshot!(seen(&["fit", "examples/gpt2-fp32-8gb.toml"]));
}

/// Only the margin of the GPU's figures decides, or the cache that the allocator returns; `--strict` counts it as no.
#[test]
fn it_is_too_close_to_call() {
    let squeezed = ["fit", "qwen3-8b", "--gpu", "h100"];
    insta::assert_snapshot!(seen(&squeezed));
    let within_the_margin = ["fit", "gpt2", "--gpu", "4 GiB", "--batch", "2", "--strict"];
    insta::assert_snapshot!(seen(&within_the_margin));
    let strictly = ["fit", "qwen3-8b", "--gpu", "h100", "--strict"];
    assert_eq!(brimful(&strictly).status.code(), Some(1));
}

#[test]
fn a_limit_that_the_job_sets_itself_is_named() {
    let conf = "per_process_memory_fraction:0.5";
    insta::assert_snapshot!(seen(&["fit", "gpt2", "--gpu", "8 GiB", "--batch", "4", "--conf", conf]));
}

#[test]
fn loading_can_be_the_peak() {
    let flags = ["--set", "infer.sequence=128", "--set", "infer.batch=1", "--gpu", "3.7 GiB"];
    insta::assert_snapshot!(seen(&[&["fit", "llama-3.2-1b"][..], &flags].concat()));
}

#[test]
fn a_run_that_fails_for_another_reason_has_no_verdict() {
    let flags = ["--set", "infer.sequence=1022", "--set", "infer.decode_steps=4"];
    insta::assert_snapshot!(seen(&[&["fit", "gpt2"][..], &flags].concat()));
}

#[test]
fn generation_without_a_gpu() {
    let job = "examples/qwen3-8b-generate-l4.toml";
    insta::assert_snapshot!(seen(&["fit", job, "--set", "gpu=24 GiB", "--why"]));
    insta::assert_snapshot!(seen(&["fit", "gpt2", "--batch", "2"]));
}

#[test]
fn techniques_and_the_largest_batch() {
    let arguments = ["fit", "examples/gpt2-fp32-8gb.toml", "--techniques", "--max", "batch"];
    insta::assert_snapshot!(seen(&arguments));
}

#[test]
fn json_is_one_line_for_each_job_and_a_bad_one_takes_nothing_away() {
    let output = brimful(&["fit", "gpt2", "no-such-model", "examples/gpt2-fp32-8gb.toml", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(stdout(&output));
    insta::assert_snapshot!(stderr(&output));
}

/// What users type wrong: each message names what was wrong and what was expected.
#[test]
fn wrong_calls_and_wrong_jobs() {
    let calls: [&[&str]; 12] = [
        &["fit"],
        &["fit", "gpt2", "--batc", "2"],
        &["fit", "no/such/folder"],
        &["fit", "no-such-job.toml"],
        &["fit", "lama-3-8b"],
        &["fit", "gpt2", "--gpu", "h100-smx-80gb"],
        &["fit", "gpt2", "--gpu", "9999"],
        &["fit", "gpt2", "--batch", "many"],
        &["fit", "gpt2", "--set", "optimizer.naem=SGD"],
        &["fit", "gpt2", "--conf", "expandable_segment:True"],
        &["fit", "gpt2", "--max", "batch"],
        &["fit", "gpt2", "llama-3-8b", "--trace", "both.brim"],
    ];
    let all: Vec<String> = calls.map(|call| format!("$ brimful {}\n{}", call.join(" "), seen(call))).to_vec();
    insta::assert_snapshot!(all.join("\n"));
}

/// Every file in `hostile/` is refused with its name, without a panic.
#[test]
fn hostile_inputs_are_refused() {
    let weights = std::env::temp_dir().join(format!("brimful-hostile-{}", std::process::id()));
    let mut refused = 0;
    for folder in ["hostile/jobs", "hostile/models"] {
        for entry in fs::read_dir(format!("{ROOT}/{folder}")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                continue;
            }
            let mut path = format!("{folder}/{name}");
            if name.ends_with(".safetensors") {
                path = beside_a_config(&weights, &path);
            }
            let output = brimful(&["fit", &path]);
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{path}: {told}");
            assert!(told.contains(&path) && !told.contains("panicked"), "{path}: {told}");
            refused += 1;
        }
    }
    fs::remove_dir_all(weights).unwrap();
    assert!(refused >= 40, "{refused}");
}

/// The weights in a model folder with a good config.
fn beside_a_config(folder: &Path, weights: &str) -> String {
    fs::create_dir_all(folder).unwrap();
    let config = r#"{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 100}"#;
    fs::write(folder.join("config.json"), config).unwrap();
    let path = folder.join("model.safetensors");
    fs::copy(format!("{ROOT}/{weights}"), &path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_flag_says_what_the_file_would() {
    let file = brimful(&["fit", "examples/gpt2-fp32-8gb.toml", "--json"]);
    let flags = [
        "fit",
        "gpt2",
        "--json",
        "--gpu",
        "8 GiB",
        "--batch",
        "4",
        "--sequence",
        "1024",
        "--precision",
        "fp32",
        "--set",
        "optimizer.name=AdamW",
    ];
    let flags = brimful(&flags);
    let peak = |output: &Output| {
        let text = stdout(output);
        let at = text.find("\"peak\"").unwrap();
        text[at..text.find("\"device\":{").unwrap()].to_owned()
    };
    assert_eq!(peak(&file), peak(&flags));
}

#[test]
fn the_trace_is_written() {
    let path = std::env::temp_dir().join(format!("brimful-{}.brim", std::process::id()));
    let output = brimful(&["fit", "gpt2", "--trace", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let trace = Trace::read_brim(&fs::read(&path).unwrap()).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(trace.len() > 5_000, "{} events", trace.len());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let jobs = ["gpt2"; 200];
    let mut child = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .arg("fit")
        .args(jobs)
        .current_dir(ROOT)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}
