//! What a serving engine keeps on a GPU, by the engine's own rules and without the engine.
//!
//! [`vllm()`] answers a job of vLLM, and [`llama_cpp()`] one of llama.cpp with the header of its GGUF file. To vLLM, a model is an
//! [`Architecture`]: a list of layers, each with what mixes tokens (attention, latent attention, Mamba, a gated delta net, a short
//! convolution) and what feeds forward (a dense layer or experts). One description of each kind says its weights, its state in the
//! KV cache, and what it takes in the profile run.

mod architecture;
mod error;
mod keys;
mod llama_cpp;
mod quantization;
mod start;
mod vllm;
mod weights;

pub use architecture::{Architecture, known_model_types};
pub use brimful_llama_cpp::GpuBuffers;
pub use error::ServingError;
pub use llama_cpp::{LlamaCppServing, llama_cpp};
pub use quantization::Quantization;
pub use start::Start;
pub use vllm::{Group, GroupKind, KvCache, ServedVerdict, Serving, Shortage, VllmRules, vllm};
pub use weights::weights;
