//! Jobs of a serving engine: the table `[serve]` and the engine's own command line.

use brimful_jobs::{Length, LlamaCppJob, Overrides, ServedJob, VllmJob, open_served, served_command};
use brimful_models::{MemoryFiles, NoFiles};

fn vllm(job: ServedJob) -> VllmJob {
    match job {
        ServedJob::Vllm(job) => *job,
        ServedJob::LlamaCpp(job) => panic!("a job of llama.cpp: {job:?}"),
    }
}

fn llama_cpp(job: ServedJob) -> LlamaCppJob {
    match job {
        ServedJob::LlamaCpp(job) => *job,
        ServedJob::Vllm(job) => panic!("a job of vLLM: {job:?}"),
    }
}

fn file(serve: &str) -> Result<Option<VllmJob>, String> {
    let text = format!("model = 'llama-3.1-8b'\ngpu = 'rtx-4090'\n[serve]\n{serve}");
    let files = MemoryFiles::default().with("job.toml", text);
    let opened = open_served("job.toml", &files, &Overrides::default()).map_err(|error| error.to_string());
    opened.map(|job| job.map(vllm))
}

/// The words of a table of llama.cpp.
fn gguf(serve: &str) -> Result<LlamaCppJob, String> {
    let text = format!("model = 'm.gguf'\ngpu = 'rtx-4090'\n[serve]\n{serve}");
    let files = MemoryFiles::default().with("a/job.toml", text).with("a/m.gguf", "GGUF");
    let opened = open_served("a/job.toml", &files, &Overrides::default()).map_err(|error| error.to_string());
    opened.map(|job| llama_cpp(job.unwrap()))
}

fn command(text: &str) -> Result<VllmJob, String> {
    any_command(text).map(vllm)
}

fn any_command(text: &str) -> Result<ServedJob, String> {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let changes = Overrides::default().set("gpu", "rtx-4090");
    served_command(&words, &NoFiles, &changes).map_err(|error| error.to_string())
}

#[test]
fn a_table_needs_no_key_and_lists_what_it_assumed() {
    let job = file("").unwrap().unwrap();
    assert_eq!(job.settings.max_model_len, Length::Model);
    assert_eq!(job.config["num_hidden_layers"], 32);
    let assumed: Vec<&str> = job.recipe.assumed.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(assumed, ["serve.engine", "serve.version", "serve.compile_cache"]);
}

#[test]
fn a_job_without_the_table_is_another_job() {
    let files = MemoryFiles::default().with("job.toml", "model = 'gpt2'");
    assert_eq!(open_served("job.toml", &files, &Overrides::default()), Ok(None));
    assert_eq!(open_served("gpt2", &files, &Overrides::default()), Ok(None));
}

#[test]
fn the_command_is_the_same_job_as_the_table() {
    let table = file(
        "max_model_len = 32768\nmax_num_seqs = 64\nenforce_eager = true\nenable_prefix_caching = false\n\
         tensor_parallel_size = 2\ngpu_memory_utilization = 0.9\nkv_cache_dtype = 'fp8'\nkv_cache_memory_bytes = 4000000000",
    );
    let typed = command(
        "vllm serve llama-3.1-8b --max-model-len 32K --max_num_seqs=64 --enforce-eager --no-enable-prefix-caching -tp 2 \
         --gpu-memory-utilization 0.9 --kv-cache-dtype fp8 --kv-cache-memory-bytes 4g --port 8000 --trust-remote-code",
    );
    assert_eq!(typed.unwrap().settings, table.unwrap().unwrap().settings);
}

#[test]
fn vllms_spellings_of_numbers_are_read() {
    let length = |text: &str| {
        command(&format!("vllm serve llama-3.1-8b --max-model-len {text}"))
            .map(|job| job.settings.max_model_len)
    };
    assert_eq!(length("32k"), Ok(Length::Tokens(32_000)));
    assert_eq!(length("25.6k"), Ok(Length::Tokens(25_600)));
    assert_eq!(length("32K"), Ok(Length::Tokens(32_768)));
    assert_eq!(length("auto"), Ok(Length::Fitting));
    assert_eq!(length("-1"), Ok(Length::Fitting));
    assert!(length("1.5K").unwrap_err().contains("--max-model-len` is 1.5K; expected a whole number"));
}

#[test]
fn keys_of_the_config_are_overridden() {
    let text = r#"python3 -m vllm.entrypoints.openai.api_server --model llama-3.1-8b --hf-overrides {"num_hidden_layers":2}"#;
    let job = command(text).unwrap();
    assert_eq!((job.config["num_hidden_layers"].as_u64(), job.model.as_str()), (Some(2), "llama-3.1-8b"));
}

#[test]
fn what_a_server_cannot_be_is_refused_by_name() {
    let wrong = [
        (
            "vllm serve llama-3.1-8b --max-modle-len 8192",
            "`--max-modle-len`; did you mean `--max-model-len`?",
        ),
        (
            "vllm serve llama-3.1-8b --speculative-config {}",
            "`--speculative-config` = given is not simulated yet",
        ),
        ("vllm serve llama-3.1-8b gpt2", "`MODEL` is gpt2; one model is served"),
        ("vllm serve", "`MODEL` is missing"),
        ("vllm bench throughput", "expected `vllm serve MODEL`"),
        ("vllm serve llama-3.1-8b --max-num-seqs", "`--max-num-seqs` is without a value"),
        ("vllm serve llama-3.1-8b --gpu-memory-utilization 1.2", "`serve.gpu_memory_utilization` is 1.2"),
        ("vllm serve llama-3.1-8b --hf-overrides [1]", "expected an object in JSON"),
    ];
    for (text, expected) in wrong {
        let error = command(text).unwrap_err();
        assert!(error.starts_with("the command line: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_table_that_cannot_be_is_refused_with_its_line() {
    let wrong = [
        (
            "gpu_memory_utilization = 1.5",
            "job.toml:4: `serve.gpu_memory_utilization` is 1.5; vLLM takes a share",
        ),
        ("max_model_len = 0", "job.toml:4: `serve.max_model_len` is 0; expected at least 1 token"),
        ("engine = 'sglang'", "job.toml:4: `serve.engine` = \"sglang\" is not simulated yet"),
        (
            "max_num_seq = 3",
            "job.toml:4: unknown key `serve.max_num_seq`; did you mean `serve.max_num_seqs`?",
        ),
        ("dtype = 'int4'", "job.toml:4: `serve.dtype` is \"int4\"; expected auto"),
        ("[train]\nbatch = 1", "`train` is there beside `serve`"),
        ("[versions]\ntorch = '2.15'", "`versions` is there beside `serve`"),
    ];
    for (text, expected) in wrong {
        let error = file(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_table_of_llama_cpp_is_the_servers_own_words() {
    let job = gguf(
        "engine = 'llama.cpp'\nctx_size = 8192\nn_gpu_layers = 20\ncache_type_k = 'q8_0'\nparallel = 2\nkv_unified = true\n\
         flash_attn = true\nkv_offload = false\nswa_full = true\ncpu_moe = false\nn_outputs_max = 0",
    )
    .unwrap();
    let expected = "--ctx-size 8192 --n-gpu-layers 20 --cache-type-k q8_0 --parallel 2 --flash-attn on --kv-unified \
                    --no-kv-offload --swa-full";
    assert_eq!(job.words.join(" "), expected);
    assert_eq!((job.n_outputs_max, job.model.as_str(), job.file.as_str()), (Some(0), "m.gguf", "a/m.gguf"));
}

#[test]
fn a_gguf_file_is_served_by_llama_cpp() {
    let files = MemoryFiles::default().with("m.gguf", "GGUF");
    let changes = Overrides::default().set("gpu", "rtx-4090");
    let job = llama_cpp(open_served("m.gguf", &files, &changes).unwrap().unwrap());
    assert!(job.words.is_empty(), "{:?}", job.words);
    assert_eq!(job.recipe.assumed[0].value, "llama.cpp");
    assert_eq!(gguf("").unwrap().recipe.assumed[0].key, "serve.engine");
}

#[test]
fn a_change_wins_over_the_words_of_llama_servers_command() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let changes = Overrides::default().set("serve.ctx_size", "4096").set("serve.embeddings", "false");
    let command = words("./llama-server -m m.gguf -c 8192 --embedding --port 80");
    let job = llama_cpp(served_command(&command, &NoFiles, &changes).unwrap());
    assert_eq!(job.words, words("-m m.gguf -c 8192 --port 80 --ctx-size 4096"));
    let one = llama_cpp(any_command("llama-cli -m m.gguf").unwrap());
    assert_eq!(one.words, words("--parallel 1 -m m.gguf"));
}

#[test]
fn what_llama_cpp_cannot_be_is_refused_by_name() {
    for (text, expected) in [
        ("llama-server -m m.gguf --ctx-sise 4096", "`--ctx-sise`; did you mean `--ctx-size`?"),
        ("llama-server -m m.gguf --mmproj p.gguf", "`--mmproj` = given is not simulated yet"),
        ("llama-server -hf owner/name", "`-hf` is given; the file is read here"),
        ("llama-server -c 4096", "`-m` is missing"),
        ("llama-server -m", "`-m` is without a value"),
        ("llama-server -m m.bin", "llama.cpp reads a GGUF file"),
    ] {
        let error = any_command(text).unwrap_err();
        assert!(error.starts_with("the command line: ") && error.contains(expected), "{error}");
    }
    for (text, expected) in [
        ("engine = 'vllm'\nctx_size = 4096", "`serve.ctx_size` is 4096; this is a key of llama.cpp"),
        ("max_model_len = 4096", "`serve.max_model_len` is 4096; this is a key of vllm"),
        ("version = '0.4'", "`serve.version` is 0.4; the rules of llama.cpp 0.5.0 are known"),
        ("n_gpu_layers = [1]", "`serve.n_gpu_layers`"),
        ("parallel = 0", "`serve.parallel` is 0"),
    ] {
        let error = gguf(text).unwrap_err();
        assert!(error.contains("job.toml:") && error.contains(expected), "{error}");
    }
}
