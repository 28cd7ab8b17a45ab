//! `[serve]`: the engine, and its own flags with underscores.

use super::elsewhere::ENGINE;
use super::{Absent, COUNT, Key, Kind, key};

const SERVE: &[&str] = &["serve"];
const ENGINES: &[&str] =
    &["vllm", "sglang", "llama.cpp", "ollama", "exllamav3", "lmdeploy", "tensorrt-llm", "tgi", "mlx"];
/// A count of an engine, where 0 or -1 can have a meaning of its own.
const NUMBER: Kind = Kind::Number;
const NAME: Kind = Kind::Text("a text");
/// Bytes, which can be more than a count.
const BYTES: Kind = Kind::Count { least: 1, most: 1 << 50 };

pub(super) const KEYS: &[Key] = &[
    key(SERVE, "engine", Kind::Words(ENGINES), "This engine serves the model.")
        .assumed("vllm")
        .only(&["vllm"], ENGINE),
    key(
        SERVE,
        "version",
        Kind::Text("a version in quotes, such as \"0.33\""),
        "The behaviour of this version of the engine is predicted.",
    )
    .absent(Absent::Assumed("0.33", "the newest version whose rules are known")),
    key(
        SERVE,
        "max_model_len",
        Kind::Other { expected: "a number of tokens, or -1 or \"auto\" for the longest that fits", types: &["integer", "string"] },
        "A request has at most this many tokens, prompt and answer together.",
    )
    .absent(Absent::Follows("the longest context of the model's config")),
    key(SERVE, "gpu_memory_utilization", Kind::Number, "The engine takes this share of the GPU.")
        .absent(Absent::Follows("0.92, and 0.9 before vLLM 0.20")),
    key(SERVE, "kv_cache_memory_bytes", BYTES, "The KV cache has this many bytes, whatever share of the GPU that is."),
    key(SERVE, "max_num_seqs", COUNT, "The engine runs at most this many requests together.")
        .absent(Absent::Follows("1024 from 70 GiB on, else 256; an A100 and a GB10 count as smaller")),
    key(SERVE, "max_num_batched_tokens", COUNT, "A batch has at most this many tokens.")
        .absent(Absent::Follows("8192 from 70 GiB on, 16384 from 160 GiB on, else 2048")),
    key(SERVE, "kv_cache_dtype", NAME, "Keys and values have this dtype.")
        .absent(Absent::Silently("auto")),
    key(SERVE, "tensor_parallel_size", Kind::Count { least: 1, most: 1024 }, "Each layer is split over this many GPUs.")
        .absent(Absent::Silently("1")),
    key(SERVE, "enforce_eager", Kind::Flag, "Nothing is compiled, and no CUDA graph is captured."),
    key(SERVE, "quantization", NAME, "The engine loads the weights in this form.")
        .absent(Absent::Follows("the quantization_config of the model's config")),
    key(SERVE, "dtype", NAME, "Weights and computation have this dtype.")
        .absent(Absent::Follows("that of the checkpoint")),
    key(SERVE, "block_size", Kind::Count { least: 1, most: 1 << 20 }, "A block of the KV cache has this many tokens.")
        .absent(Absent::Follows("16, or what the attention's kernels and a state's size ask for")),
    key(SERVE, "enable_prefix_caching", Kind::Flag, "Blocks of prompts are kept for later requests.")
        .absent(Absent::Follows("true, but false for a model without attention")),
    key(SERVE, "async_scheduling", Kind::Flag, "The next batch is scheduled while one runs.")
        .absent(Absent::Follows("true since vLLM 0.21")),
    key(SERVE, "num_gpu_blocks_override", COUNT, "The KV cache has this many blocks, whatever the memory holds."),
    key(
        SERVE,
        "usage",
        Kind::Words(&["server", "llm-class"]),
        "The engine runs as a server, or within a Python program (vllm.LLM), whose batches are larger by default.",
    )
    .absent(Absent::Silently("server")),
    key(
        SERVE,
        "compile_cache",
        Kind::Words(&["cold", "warm"]),
        "The cache of torch.compile is empty, as at a first start and in a new container, or from an earlier start.",
    )
    .assumed("cold"),
    other("ctx_size", NUMBER, "llama.cpp's context holds this many tokens."),
    other("n_gpu_layers", NUMBER, "llama.cpp puts this many blocks on the GPU."),
    other("cache_type_k", NAME, "llama.cpp keeps keys in this type."),
    other("cache_type_v", NAME, "llama.cpp keeps values in this type."),
    other("parallel", NUMBER, "llama.cpp serves this many sequences together."),
    other("kv_unified", Kind::Flag, "llama.cpp's sequences share one cache."),
    other("batch_size", NUMBER, "llama.cpp takes at most this many tokens in a logical batch."),
    other("ubatch_size", NUMBER, "llama.cpp takes at most this many tokens in a physical batch."),
    other(
        "flash_attn",
        Kind::Other { expected: "true, false, or a word", types: &["boolean", "string"] },
        "llama.cpp uses flash attention.",
    ),
    other("kv_offload", Kind::Flag, "llama.cpp keeps the cache on the GPU."),
    other("swa_full", Kind::Flag, "llama.cpp keeps all tokens of windowed blocks."),
    other("cpu_moe", Kind::Flag, "llama.cpp keeps experts in host memory."),
    other("embeddings", Kind::Flag, "llama.cpp serves embeddings."),
    other("n_outputs_max", NUMBER, "llama.cpp computes at most this many logits together."),
];

/// A key of an engine that is not predicted yet.
const fn other(name: &'static str, kind: Kind, help: &'static str) -> Key {
    key(SERVE, name, kind, help).not_yet(ENGINE)
}
