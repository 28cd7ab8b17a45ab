//! What the engine refuses, or what is not known: the message names the key, its value, what was expected, and the cure.

use brimful_devices::Gpu;
use brimful_jobs::{Overrides, ServedJob, VllmJob, served_command};
use brimful_serving::{ServedVerdict, Shortage, vllm};
use serde_json::{Value, json};

fn job(flags: &str) -> VllmJob {
    let text = format!("vllm serve llama-3.1-8b {flags}");
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    match served_command(&words, &brimful_models::NoFiles, &Overrides::default()).unwrap() {
        ServedJob::Vllm(job) => *job,
        ServedJob::LlamaCpp(job) => panic!("a job of llama.cpp: {job:?}"),
    }
}

fn refused(flags: &str, changes: Value) -> String {
    let mut job = job(flags);
    job.config.extend(changes.as_object().unwrap().clone());
    let gpu = Gpu::find("rtx-4090").unwrap();
    vllm(&job.settings, &job.config, &gpu).map(|found| found.verdict).unwrap_err().to_string()
}

#[test]
fn each_fault_names_its_key_and_the_cure() {
    let bitsandbytes = json!({"quantization_config": {"quant_method": "bitsandbytes"}});
    let none = json!({});
    let cases = [
        (
            "--max-model-len 200000",
            none.clone(),
            "`serve.max_model_len` is 200000; the model is made for 131072 tokens",
        ),
        (
            "-tp 3",
            none.clone(),
            "`serve.tensor_parallel_size` is 3; the model's 32 attention heads must divide by it; write 1, 2, 4",
        ),
        ("--kv-cache-dtype nvfp4", none.clone(), "`serve.kv_cache_dtype` is \"nvfp4\"; expected auto"),
        ("--kv-cache-dtype float16", none.clone(), "takes a 16-bit cache of the model's own dtype only"),
        (
            "--quantization gguf",
            none.clone(),
            "`serve.quantization` is \"gguf\"; vLLM 0.33 has no loader for it",
        ),
        ("--quantization awq", none.clone(), "the config has no quantization_config"),
        ("", bitsandbytes, "`quantization_config.quant_method` is \"bitsandbytes\"; vLLM 0.33 has no loader"),
        (
            "",
            json!({"model_type": "gpt2"}),
            "`model_type` is \"gpt2\", whose layers in vLLM are not known here",
        ),
        ("", json!({"hidden_size": null}), "the config has no `hidden_size`, which llama needs"),
        ("", json!({"num_hidden_layers": 1_000_000}), "`num_hidden_layers` is 1000000; expected at most"),
        ("", json!({"vision_config": {}}), "`vision_config` is a table; the encoder's weights"),
        ("", json!({"vocab_size": -1}), "`vocab_size` is -1; expected a whole number"),
    ];
    for (flags, changes, expected) in cases {
        let error = refused(flags, changes);
        assert!(error.contains(expected), "{flags}: {error}");
    }
}

#[test]
fn a_start_that_fails_says_what_is_missing_and_the_longest_request_that_fits() {
    let gpu = Gpu::find("rtx-4090").unwrap();
    let start = |flags: &str| {
        let job = job(flags);
        vllm(&job.settings, &job.config, &gpu).unwrap()
    };
    let whole = start("--max-model-len 131072");
    assert_eq!(whole.verdict, ServedVerdict::DoesNotFit);
    assert!(matches!(whole.shortage, Some(Shortage::Request { .. })), "{:?}", whole.shortage);
    let longest = whole.longest.unwrap();
    let fitting = start(&format!("--max-model-len {longest}"));
    assert_eq!(fitting.shortage, None);
    assert!(start(&format!("--max-model-len {}", longest + 16)).shortage.is_some());
    assert_eq!(start("--max-model-len -1").max_model_len, longest);
    // More than the weights leave, and more than is free beside the CUDA context.
    assert!(matches!(start("--gpu-memory-utilization 0.5").shortage, Some(Shortage::NoCache { .. })));
    assert!(matches!(start("--gpu-memory-utilization 1.0").shortage, Some(Shortage::Budget { .. })));
}

#[test]
fn hostile_sizes_end_in_an_answer_or_an_error() {
    let gpu = Gpu::find("rtx-4090").unwrap();
    let mut job = job("");
    for key in [
        "hidden_size",
        "intermediate_size",
        "vocab_size",
        "num_key_value_heads",
        "head_dim",
        "num_hidden_layers",
    ] {
        for value in [0_u64, 1, 1 << 28, u64::MAX] {
            let mut config = job.config.clone();
            config.insert(key.to_owned(), json!(value));
            let _answer = vllm(&job.settings, &config, &gpu);
        }
    }
    job.settings.max_num_seqs = Some(1 << 31);
    job.settings.max_num_batched_tokens = Some(1 << 31);
    assert_eq!(vllm(&job.settings, &job.config, &gpu).unwrap().verdict, ServedVerdict::DoesNotFit);
}
