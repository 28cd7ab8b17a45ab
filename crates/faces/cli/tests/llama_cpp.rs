//! `brimful fit` of llama.cpp: a job with `[serve]`, the server's own command line, and a GGUF file.

mod seen;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use seen::{ROOT, brimful_in};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The header of a recorded model, without its data.
fn header(name: &str) -> Vec<u8> {
    let file = File::open(format!("{ROOT}/fixtures/llama-cpp/headers/{name}.gguf.gz")).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A folder with the header of Llama 3.1 8B as m.gguf.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("m.gguf"), header("llama-3.1-8b")).unwrap();
    folder
}

/// Exit status, standard output and standard error of `brimful fit`.
fn fit(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output = brimful_in(folder.to_str().unwrap(), &[&["fit"], words].concat(), b"");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// MiB with the two decimals that llama.cpp prints.
fn printed(bytes: &Value) -> f64 {
    (bytes.as_f64().unwrap() / f64::from(1 << 20) * 100.0).round() / 100.0
}

#[test]
fn a_job_has_the_buffers_that_llama_cpp_printed() {
    let folder = folder();
    let serve = "[serve]\nengine = \"llama.cpp\"\nctx_size = 16384\nparallel = 2\nkv_unified = false\nn_outputs_max = 2";
    let job = format!("model = \"m.gguf\"\ngpu = \"rtx-4090\"\n{serve}\n");
    fs::write(folder.path().join("job.toml"), job).unwrap();
    let (status, line, error) = fit(folder.path(), &["job.toml", "--json"]);
    assert_eq!(status, Some(0), "{error}");
    let answer: Value = serde_json::from_str(&line).unwrap();
    let buffers = &answer["serving"]["buffers"];
    // The start `-c 16384 -np 2 -kvu 0 --out 2` of fixtures/llama-cpp/rows.jsonl.gz.
    assert_eq!([printed(&buffers["model"]["CUDA0"]), printed(&buffers["model"]["host"])], [4155.99, 281.81]);
    assert_eq!(buffers["kv"], json!({"CUDA0": 2_147_483_648_u64}));
    assert_eq!(buffers["recurrent"], json!({"CUDA0": 0}));
    assert_eq!(
        [printed(&buffers["compute"]["CUDA0"]), printed(&buffers["compute"]["host"])],
        [116.01, 24.01]
    );
    assert_eq!(printed(&buffers["output"]["host"]), 0.98);
    let taken = ["model", "kv", "recurrent", "compute"].map(|kind| buffers[kind]["CUDA0"].as_u64().unwrap());
    let overhead = answer["device"]["overhead"].as_u64().unwrap();
    assert_eq!(answer["peak"]["device"].as_u64().unwrap(), taken.iter().sum::<u64>() + overhead);
}

#[test]
fn the_command_the_job_and_the_file_are_the_same_start() {
    let folder = folder();
    let buffers = |words: &[&str]| {
        let (status, line, error) = fit(folder.path(), words);
        assert_eq!(status, Some(0), "{error}");
        serde_json::from_str::<Value>(&line).unwrap()["serving"].clone()
    };
    let gpu = ["--gpu", "h100", "--json"];
    let plain = buffers(&[&["m.gguf"], &gpu[..]].concat());
    assert_eq!(plain["load"]["parallel"], 4);
    assert_eq!(
        plain,
        buffers(&[&gpu[..], &["--", "./llama-server", "-m", "m.gguf", "--port", "80"]].concat())
    );
    let set = ["--set", "serve.ctx_size=8192", "--set", "serve.cache_type_k=q8_0"];
    let typed = ["--", "llama-server", "-m", "m.gguf", "-c", "8192", "-ctk", "q8_0"];
    let changed = buffers(&[&["m.gguf"], &gpu[..], &set[..]].concat());
    assert_eq!(changed, buffers(&[&gpu[..], &typed[..]].concat()));
    assert_eq!(buffers(&[&gpu[..], &["--", "llama-cli", "-m", "m.gguf"]].concat())["load"]["parallel"], 1);
}

#[test]
fn a_person_reads_the_verdict_first_and_the_context_that_fits_last() {
    let folder = folder();
    let server = ["--", "llama-server", "-m", "m.gguf", "-c", "131072", "-np", "2"];
    let (status, text, _) = fit(folder.path(), &[&["--gpu", "12gb"], &server[..]].concat());
    assert_eq!(status, Some(1));
    assert!(
        text.starts_with("✗ does not fit: llama.cpp 0.5.0 serving m.gguf on a GPU with 12gb\n"),
        "{text}"
    );
    let (_, more) = text.lines().last().unwrap().split_once("--set serve.ctx_size=").unwrap();
    let largest: u64 = more.split(' ').next().unwrap().parse().unwrap();
    let with = |context: u64| {
        let set = format!("serve.ctx_size={context}");
        fit(folder.path(), &[&["--strict", "--gpu", "12gb", "--set", &set], &server[..]].concat()).0
    };
    assert_eq!((with(largest), with(largest + 512)), (Some(0), Some(1)), "{text}");
}

#[test]
fn a_model_larger_than_the_gpu_is_answered_with_the_layers_that_fit() {
    let folder = folder();
    let server = ["--", "llama-server", "-m", "m.gguf", "-c", "4096"];
    let (status, text, _) = fit(folder.path(), &[&["--gpu", "4gb"], &server[..]].concat());
    assert_eq!(status, Some(1));
    let (_, more) = text.lines().last().unwrap().split_once("--set serve.n_gpu_layers=").unwrap();
    let set = format!("serve.n_gpu_layers={}", more.split(' ').next().unwrap());
    let (status, text, _) = fit(folder.path(), &[&["--gpu", "4gb", "--set", &set], &server[..]].concat());
    assert_eq!(status, Some(0), "{text}");
}

#[test]
fn what_is_wrong_ends_with_status_2_and_is_named() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let whole = header("llama-3.1-8b");
    write("cut.gguf", &whole[..500]);
    write("foreign.gguf", &[b'x'; 64]);
    write("a-00001-of-00002.gguf", &whole);
    let at = whole.windows(5).position(|bytes| bytes == b"llama").unwrap();
    let other = [&whole[..at], b"lxama", &whole[at + 5..]].concat();
    write("other.gguf", &other);
    for (words, expected) in [
        (&["--gpu", "l4", "cut.gguf"][..], "cut.gguf: the file ends at offset 500"),
        (&["--gpu", "l4", "foreign.gguf"], "foreign.gguf: offset 0: the magic is"),
        (&["--gpu", "l4", "none.gguf"], "none.gguf: there is no such file"),
        (
            &["--gpu", "l4", "a-00001-of-00002.gguf"],
            "a-00002-of-00002.gguf: this part of the model is missing",
        ),
        (&["--gpu", "l4", "other.gguf"], "general.architecture is \"lxama\""),
        (&["--gpu", "l4", "other.gguf"], "the nearest is llama"),
        (&["m.gguf"], "`gpu` is missing"),
        (&["--gpu", "l4,a10", "m.gguf"], "a served job is answered for one"),
        (
            &["--gpu", "l4", "--", "llama-server", "-m", "m.gguf", "--ctx-sise", "9"],
            "did you mean `--ctx-size`?",
        ),
        (&["--gpu", "l4", "--", "llama-server", "-m", "m.gguf", "-ctk", "q6_k"], "cache-type-k is q6_k"),
        (&["--gpu", "l4", "--trace", "a.brim", "m.gguf"], "--trace"),
    ] {
        let (status, _, error) = fit(folder.path(), words);
        assert!(status == Some(2) && error.contains(expected), "{words:?}: {error}");
    }
}
