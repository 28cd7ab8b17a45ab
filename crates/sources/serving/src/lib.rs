//! What a serving engine keeps on a GPU, by the engine's own rules and without the engine.
//!
//! [`vllm()`] answers a job of vLLM. A model is an [`Architecture`]: a list of layers, each with what mixes tokens (attention,
//! latent attention, Mamba, a gated delta net, a short convolution) and what feeds forward (a dense layer or experts). One
//! description of each kind says its weights, its state in the KV cache, and what it takes in the profile run.

mod architecture;
mod error;
mod keys;
mod quantization;
mod vllm;
mod weights;

pub use architecture::{Architecture, known_model_types};
pub use error::ServingError;
pub use quantization::Quantization;
pub use vllm::{Group, GroupKind, KvCache, ServedVerdict, Serving, Shortage, VllmRules, vllm};
pub use weights::weights;
