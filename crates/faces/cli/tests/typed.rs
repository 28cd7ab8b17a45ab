//! What people type: GPUs, models and flags in the words of other programs, and what is refused by name.

mod seen;

use seen::{brimful, seen, stderr, stdout};
use serde_json::Value;

/// Each call with what it answers on the error stream.
fn refused(call: &[&str]) -> String {
    let output = brimful(call);
    assert_eq!(output.status.code(), Some(2), "{call:?}: {}", stdout(&output));
    assert_eq!(stdout(&output), "", "{call:?}");
    stderr(&output)
}

#[test]
fn a_flag_of_another_program_is_refused_with_what_to_type_instead_wherever_it_stands() {
    for (call, cure) in [
        (&["fit", "gpt2", "--gpus", "2"][..], "brimful rehearse --gpus 2 -- torchrun"),
        (&["fit", "--fsdp", "gpt2"], "brimful rehearse --gpus 2 -- torchrun"),
        (&["fit", "gpt2", "--gpu", "2x4090"], "brimful rehearse --gpu \"rtx-4090\" --gpus 2 -- torchrun"),
        (&["fit", "--qlora", "llama-3-8b"], "write --load-in-4bit true --lora 16"),
        (&["fit", "gpt2", "--quantization", "awq"], "expected one of 4bit, 8bit, int8, nf4, fp4, or a table"),
        (&["fit", "gpt2", "--max-batch"], "write --max batch"),
        (&["fit", "gpt2", "--bf16"], "write --precision bf16"),
        (&["fit", "gpt2", "--set", "serve.engine=vllm"], "-- vllm serve MODEL"),
        (&["fit", "TheBloke/Llama-2-7B-AWQ"], "the unquantized model is `meta-llama/Llama-2-7b-hf`"),
        (&["fit", "google/gemma-3-12b-it"], "brimful rehearse -- python train.py"),
        (&["fit", "--lora", "llama-3-8b"], "if \"llama-3-8b\" is the job, write it before --lora"),
        (&["fit", "gpt2", "--checkpointing", "maybe"], "one of none, reentrant, non-reentrant"),
        (&["gpus", "no-such"], "brimful gpus lists them all"),
        (&["models", "no-such"], "brimful models lists them all"),
    ] {
        let message = refused(call);
        assert!(message.contains(cure), "{call:?}:\n{message}");
        assert!(!message.contains("required arguments"), "{call:?}:\n{message}");
    }
}

#[test]
fn the_words_of_other_programs_are_the_same_job() {
    let ours = [
        "fit",
        "gpt2",
        "--json",
        "--gpu",
        "rtx-4090",
        "--batch",
        "2",
        "--sequence",
        "1024",
        "--checkpointing",
        "non-reentrant",
        "--optimizer",
        "AdamW",
        "--accumulation",
        "2",
    ];
    let theirs = [
        "fit",
        "gpt2",
        "--json",
        "--gpu",
        "RTX4090",
        "--batch-size",
        "2",
        "--seq-len",
        "1k",
        "--gradient-checkpointing",
        "--optim",
        "adamw_torch",
        "--gradient_accumulation_steps",
        "2",
    ];
    let answer = |call: &[&str]| serde_json::from_slice::<Value>(&brimful(call).stdout).unwrap();
    assert_eq!(answer(&ours), answer(&theirs));
}

#[test]
fn a_size_says_in_words_how_it_was_read() {
    let words = |size: &str| {
        stdout(&brimful(&["fit", "gpt2", "--gpu", size])).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for size in ["24", "24GB", "24G"] {
        assert!(words(size).contains(&format!("{size} is read as 24.00 GiB")), "{}", words(size));
    }
    assert!(!words("24GiB").contains("is read as"), "{}", words("24GiB"));
}

#[test]
fn several_gpus_make_a_table_and_a_line_of_json_each() {
    let call = ["fit", "gpt2", "--precision", "fp32", "--gpu", "gtx-1050-ti, 24GB", "--gpu", "rtx 4090"];
    insta::assert_snapshot!(seen(&call));
    let json = stdout(&brimful(&[&call[..], &["--json"]].concat()));
    let names: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["device"]["name"].clone())
        .collect();
    assert_eq!(names, ["NVIDIA GeForce GTX 1050 Ti", "a GPU with 24GB", "NVIDIA GeForce RTX 4090"]);
}

#[test]
fn any_gpu_is_the_smallest_that_hold_the_job() {
    let output = brimful(&["fit", "gpt2", "--batch", "4", "--gpu", "any", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let usable: Vec<u64> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .inspect(|answer| assert_ne!(answer["verdict"], "does-not-fit"))
        .map(|answer| answer["device"]["usable"].as_u64().unwrap())
        .collect();
    assert!(usable.len() == 5 && usable.is_sorted(), "{usable:?}");
    let none = refused(&["fit", "llama-3-70b", "--gpu", "any", "--batch", "64"]);
    assert!(none.contains("no GPU of the catalogue holds it") && none.contains("--techniques"), "{none}");
}

#[test]
fn the_catalogues_are_listed_and_filtered() {
    insta::assert_snapshot!(seen(&["gpus", "4060ti"]));
    insta::assert_snapshot!(seen(&["models", "llama3", "8b"]));
    let json = |call: &[&str]| serde_json::from_slice::<Value>(&brimful(call).stdout).unwrap();
    let gpus = json(&["gpus", "--json"]);
    assert!(gpus["gpus"].as_array().unwrap().len() >= 235);
    let models = json(&["models", "--json"]);
    let models = models["models"].as_array().unwrap();
    assert!(models.iter().filter(|model| model["simulated"] == true).count() >= 79, "{}", models.len());
}

#[test]
fn a_file_that_belongs_elsewhere_names_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let script = file("train.py", "import torch\n");
    assert!(refused(&["fit", &script]).contains(&format!("brimful rehearse -- python {script}")));
    assert!(refused(&["open", &script]).contains(&format!("brimful rehearse -- python {script}")));
    let snapshot = "fixtures/snapshots/tiny/torch-2.15.pickle";
    assert!(refused(&["fit", snapshot]).contains(&format!("brimful explain {snapshot}")));
    assert!(refused(&["fit", "crates/faces/cli/tests/logs/train.log"]).contains("brimful explain crates"));
    let weights = file("model.safetensors", "");
    let message = refused(&["fit", &weights]);
    assert!(message.contains(&weights) && message.contains("config.json"), "{message}");
    let config = file(
        "lora.yaml",
        "base_model: gpt2\nmicro_batch_size: 2\nsequence_len: 512\nadapter: lora\ndatasets: []\n",
    );
    let answer = stdout(&brimful(&["fit", &config]));
    assert!(answer.contains("config of axolotl") && answer.contains("not taken: datasets"), "{answer}");
}

#[test]
fn compare_is_diff() {
    assert_eq!(seen(&["compare", "gpt2", "gpt2"]), seen(&["diff", "gpt2", "gpt2"]));
}
