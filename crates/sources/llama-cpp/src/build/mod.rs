//! The parts of llama.cpp's graphs; src/llama-graph.cpp, v0.5.0.

mod attention;
mod builder;
mod delta;
mod experts;
mod feed_forward;
mod mamba;

pub(crate) use attention::{AttentionWeights, Qkv};
pub(crate) use builder::{Builder, Norm, Run};
pub(crate) use experts::Experts;
pub(crate) use feed_forward::{Activation, FeedForward};
