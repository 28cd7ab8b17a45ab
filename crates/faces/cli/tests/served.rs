//! `brimful fit` of a serving engine: a job with `[serve]`, and the engine's own command line.

mod seen;

use seen::{breaches, brimful};
use serde_json::Value;

const SERVER: [&str; 4] = ["vllm", "serve", "llama-3.1-8b", "--max-model-len"];

/// Exit status, standard output and standard error of `brimful fit FLAGS -- vllm serve llama-3.1-8b --max-model-len LENGTH`.
fn fit(flags: &[&str], length: &str) -> (Option<i32>, String, String) {
    let words = [&["fit"], flags, &["--"], &SERVER, &[length]].concat();
    let output = brimful(&words);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_json_of_a_server_is_of_the_schema_and_adds_up() {
    let (status, line, _) = fit(&["--gpu", "rtx-4090", "--json"], "8192");
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((status, breaches(&answer)), (Some(0), Vec::new()));
    let serving = &answer["serving"];
    let bytes = |key: &str| serving[key].as_u64().unwrap();
    let taken = ["weights", "kept", "non_torch", "activation_peak", "graphs"].map(bytes).iter().sum::<u64>();
    assert_eq!(taken + serving["kv_cache"]["bytes"].as_u64().unwrap(), bytes("budget"));
    let tokens = serving["kv_cache"]["tokens"].as_f64().unwrap();
    assert_eq!(tokens, (answer["max_concurrency"].as_f64().unwrap() * 8192.0).floor());
    assert_eq!(answer["job"], "vllm serve llama-3.1-8b --max-model-len 8192");
}

#[test]
fn a_person_reads_the_verdict_first_and_the_next_command_last() {
    let (status, text, _) = fit(&["--gpu", "rtx-4090"], "131072");
    assert_eq!(status, Some(1));
    assert!(
        text.starts_with("✗ does not fit: vLLM 0.33 serving llama-3.1-8b on NVIDIA GeForce RTX 4090\n"),
        "{text}"
    );
    let next = text.lines().last().unwrap();
    let (command, length) = next.split_once("--set serve.max_model_len=").unwrap();
    assert!(command.ends_with("next: brimful fit --gpu rtx-4090 "), "{next}");
    let length = length.split(' ').next().unwrap();
    assert!(matches!(fit(&["--gpu", "rtx-4090"], length).0, Some(0)), "{length}");
}

#[test]
fn what_is_wrong_ends_with_status_2() {
    for (flags, length, expected) in [
        (&["--gpu", "rtx-4090"][..], "1M", "`serve.max_model_len` is 1048576; the model is made for 131072"),
        (&[], "8192", "`gpu` is missing"),
        (&["--gpu", "rtx-4090", "--techniques"], "8192", "--techniques lists what helps a training step"),
        (&["--gpu", "rtx-4090", "--trace", "a.brim"], "8192", "--trace, --lock and --check"),
    ] {
        let (status, _, error) = fit(flags, length);
        assert!(status == Some(2) && error.contains(expected), "{error}");
    }
}
