//! The parts that model families share. A family's file puts them together in the order of its reference
//! implementation.

mod attention;
mod bidirectional;
mod block;
mod cache;
mod causal_lm;
mod decoder;
mod gated_mlp;
mod loss;
mod mask;
mod rotary;
mod rotary_attention;

pub(crate) use attention::{AttentionCall, attend};
pub(crate) use bidirectional::bidirectional_mask;
pub(super) use block::{Arguments, BlockInput, Keyword, gradient_checkpointing_layer};
pub(crate) use cache::Cache;
pub(super) use causal_lm::{Backbone, ForCausalLm, ModelInput};
pub(super) use decoder::{Decoder, Family, KeywordName, Masks};
pub(super) use gated_mlp::GatedMlp;
pub(super) use mask::position_ids;
pub(crate) use mask::{Mask, Sight, causal_mask};
pub(super) use rotary_attention::RotaryAttention;
