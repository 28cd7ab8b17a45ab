//! What llama.cpp v0.5.0 allocates for a GGUF file, from its header alone: model, KV, state, output and compute buffers of
//! each device.
//!
//! The graph of the model is built from tensors that have a type, a shape and strides, but no data, in the order of
//! llama.cpp's own functions. ggml's scheduler splits it over the devices, and ggml's allocator places its tensors; the
//! compute buffers are the sizes that result. See [`plan`].

mod build;
mod command;
mod context;
mod error;
mod ggml;
mod hparams;
mod memory;
mod models;
mod plan;
mod settings;
mod weights;

pub use command::{Command, read_command};
pub use error::Error;
pub use models::KNOWN;
pub use plan::{Buffers, GpuBuffers, HostBuffers, plan};
pub use settings::{FlashAttention, Gpu, Override, Settings};
