//! `[serve]`: the engine, and its own flags with underscores.

use super::elsewhere::ENGINE;
use super::{Absent, COUNT, Key, Kind, key};

const SERVE: &[&str] = &["serve"];
const ENGINES: &[&str] =
    &["vllm", "sglang", "llama.cpp", "ollama", "exllamav3", "lmdeploy", "tensorrt-llm", "tgi", "mlx"];
/// A count of llama.cpp, where 0 has a meaning of its own.
const NUMBER: Kind = Kind::Count { least: 0, most: u32::MAX as u64 };
const NAME: Kind = Kind::Text("a text");
/// Bytes, which can be more than a count.
const BYTES: Kind = Kind::Count { least: 1, most: 1 << 50 };

pub(super) const KEYS: &[Key] = &[
    key(SERVE, "engine", Kind::Words(ENGINES), "This engine serves the model.")
        .assumed("vllm")
        .only(&["vllm", "llama.cpp"], ENGINE),
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
    key(SERVE, "ctx_size", NUMBER, "llama.cpp's context holds this many tokens, over all slots.")
        .absent(Absent::Follows("the context that the model was trained for")),
    key(
        SERVE,
        "n_gpu_layers",
        Kind::Other { expected: "a number of layers, or \"all\"", types: &["integer", "string"] },
        "llama.cpp puts this many layers on the GPU, counted from the output.",
    )
    .absent(Absent::Follows("all of them")),
    key(SERVE, "cache_type_k", NAME, "llama.cpp keeps keys in this type.").silently("f16"),
    key(SERVE, "cache_type_v", NAME, "llama.cpp keeps values in this type.").silently("f16"),
    key(SERVE, "parallel", COUNT, "llama.cpp serves this many sequences together, each in a slot.")
        .absent(Absent::Follows("4 slots that share one cache")),
    key(SERVE, "kv_unified", Kind::Flag, "llama.cpp's slots share one cache.")
        .absent(Absent::Follows("true unless parallel is given")),
    key(SERVE, "batch_size", COUNT, "llama.cpp takes at most this many tokens in a logical batch.").silently("2048"),
    key(SERVE, "ubatch_size", NUMBER, "llama.cpp computes at most this many tokens at once.").silently("512"),
    key(
        SERVE,
        "flash_attn",
        Kind::Other { expected: "true, false, or \"auto\"", types: &["boolean", "string"] },
        "llama.cpp uses flash attention.",
    )
    .absent(Absent::Follows("where the GPU of each layer runs it")),
    key(SERVE, "kv_offload", Kind::Flag, "llama.cpp keeps the cache on the GPU.").silently("true"),
    key(SERVE, "swa_full", Kind::Flag, "llama.cpp keeps all tokens of layers with a window."),
    key(SERVE, "cpu_moe", Kind::Flag, "llama.cpp keeps experts in host memory."),
    key(SERVE, "embeddings", Kind::Flag, "llama.cpp serves embeddings."),
    key(SERVE, "n_outputs_max", NUMBER, "llama.cpp computes at most this many logits together; 0 for a whole batch.")
        .absent(Absent::Follows("one for each slot; the whole batch for embeddings")),
];

/// llama.cpp's own keys.
const LLAMA_CPP: &[&str] = &[
    "ctx_size",
    "n_gpu_layers",
    "cache_type_k",
    "cache_type_v",
    "parallel",
    "kv_unified",
    "batch_size",
    "ubatch_size",
    "flash_attn",
    "kv_offload",
    "swa_full",
    "cpu_moe",
    "embeddings",
    "n_outputs_max",
];

/// The engine whose key this is; `None` for a key of every engine.
pub(crate) fn engine_of(name: &str) -> Option<&'static str> {
    match name {
        "engine" | "version" => None,
        _ if LLAMA_CPP.contains(&name) => Some("llama.cpp"),
        _ => Some("vllm"),
    }
}
