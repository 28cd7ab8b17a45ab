//! Qwen3 (models/qwen3/modeling_qwen3.py): Qwen2 without the biases, with a norm over each head of the queries and keys.

use brimful_models::DecoderConfig;

use super::CausalLm;
use super::llama::with_llama_layers;
use super::parts::{KeywordName, Masks};
use crate::nn::Builder;

/// `Qwen3ForCausalLM`.
pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> Box<dyn CausalLm> {
    use KeywordName::{AttentionMask, PositionEmbeddings, PositionIds};
    with_llama_layers(config, builder, Masks::PerKind, [AttentionMask, PositionEmbeddings, PositionIds])
}
