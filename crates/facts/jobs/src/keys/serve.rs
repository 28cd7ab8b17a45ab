//! `[serve]`: the engine, and its own flags with underscores.

use super::elsewhere::ENGINE;
use super::{Key, Kind, key};

const SERVE: &[&str] = &["serve"];
const ENGINES: &[&str] =
    &["vllm", "sglang", "llama.cpp", "ollama", "exllamav3", "lmdeploy", "tensorrt-llm", "tgi", "mlx"];
/// A count of an engine, where 0 or -1 can have a meaning of its own.
const NUMBER: Kind = Kind::Number;
const NAME: Kind = Kind::Text("a text");

pub(super) const KEYS: &[Key] = &[
    row("engine", Kind::Words(ENGINES), "This engine serves the model."),
    row(
        "version",
        Kind::Text("a version in quotes"),
        "The behaviour of this version of the engine is predicted.",
    ),
    row("max_model_len", NUMBER, "A request has at most this many tokens."),
    row("gpu_memory_utilization", Kind::Probability, "The engine takes this share of the GPU."),
    row("max_num_seqs", NUMBER, "The engine runs at most this many requests together."),
    row("kv_cache_dtype", NAME, "Keys and values have this dtype."),
    row("ctx_size", NUMBER, "llama.cpp's context holds this many tokens."),
    row("n_gpu_layers", NUMBER, "llama.cpp puts this many blocks on the GPU."),
    row("cache_type_k", NAME, "llama.cpp keeps keys in this type."),
    row("cache_type_v", NAME, "llama.cpp keeps values in this type."),
    row("parallel", NUMBER, "llama.cpp serves this many sequences together."),
    row("kv_unified", Kind::Flag, "llama.cpp's sequences share one cache."),
    row("batch_size", NUMBER, "llama.cpp takes at most this many tokens in a logical batch."),
    row("ubatch_size", NUMBER, "llama.cpp takes at most this many tokens in a physical batch."),
    row(
        "flash_attn",
        Kind::Other { expected: "true, false, or a word", types: &["boolean", "string"] },
        "llama.cpp uses flash attention.",
    ),
    row("kv_offload", Kind::Flag, "llama.cpp keeps the cache on the GPU."),
    row("swa_full", Kind::Flag, "llama.cpp keeps all tokens of windowed blocks."),
    row("cpu_moe", Kind::Flag, "llama.cpp keeps experts in host memory."),
    row("embeddings", Kind::Flag, "llama.cpp serves embeddings."),
    row("n_outputs_max", NUMBER, "llama.cpp computes at most this many logits together."),
];

const fn row(name: &'static str, kind: Kind, help: &'static str) -> Key {
    key(SERVE, name, kind, help).not_yet(ENGINE)
}
