//! The graphs of the architectures, each in the order of its file in src/models of llama.cpp, v0.5.0.

mod decoder;
mod hybrid;
mod latent;
mod style;

use crate::Error;
use crate::build::Builder;
use crate::ggml::Graph;

/// The architectures whose graphs are known.
pub const KNOWN: &[&str] = &[
    "cohere2",
    "command-r",
    "deepseek2",
    "dots1",
    "ernie4_5",
    "ernie4_5-moe",
    "exaone4",
    "falcon-h1",
    "gemma",
    "gemma2",
    "gemma3",
    "glm4",
    "glm4moe",
    "gpt-oss",
    "granite",
    "granitehybrid",
    "granitemoe",
    "internlm2",
    "lfm2",
    "llama",
    "mamba",
    "mamba2",
    "minimax-m2",
    "mistral3",
    "nemotron",
    "nemotron_h",
    "olmo2",
    "olmoe",
    "phi2",
    "phi3",
    "qwen2",
    "qwen2moe",
    "qwen2vl",
    "qwen3",
    "qwen35",
    "qwen35moe",
    "qwen3moe",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder2",
];

/// Builds the graph of the model's architecture.
pub(crate) fn build(builder: Builder<'_>) -> Result<Graph, Error> {
    let arch = builder.hparams.arch.clone();
    match arch.as_str() {
        "deepseek2" => latent::build(builder),
        "mamba" | "mamba2" => hybrid::mamba(builder),
        "granitehybrid" => hybrid::granite(builder),
        "falcon-h1" => hybrid::falcon_h1(builder),
        "nemotron_h" => hybrid::nemotron_h(builder),
        "qwen35" | "qwen35moe" => hybrid::qwen35(builder),
        "lfm2" => hybrid::lfm2(builder),
        _ => match style::of(&arch) {
            Some(style) => decoder::build(builder, &style),
            None => Err(Error::Architecture(arch)),
        },
    }
}
