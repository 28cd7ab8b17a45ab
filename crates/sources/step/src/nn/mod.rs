//! torch.nn: parameters, modules and their calls, the layers, and the builder that a model's constructor uses.

mod bloom_gelu;
mod builder;
mod dora;
mod layers;
mod lora;
mod module;
mod parameter;
mod quantized;

pub(crate) use bloom_gelu::bloom_gelu;
pub(crate) use builder::{Builder, Techniques};
pub(crate) use layers::{
    Activation, CenteredRmsNorm, Conv1d, Dropout, Embedding, LayerNorm, Linear, RmsNorm, gelu_new,
};
pub(crate) use module::{Forward, Inner, Module, Wrapper};
pub(crate) use parameter::Parameter;
