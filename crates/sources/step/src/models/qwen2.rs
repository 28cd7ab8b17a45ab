//! Qwen2 and Qwen2.5 (models/qwen2/modeling_qwen2.py): Llama with biases on q, k and v, and a mask per kind of block.

use brimful_models::DecoderConfig;

use super::CausalLm;
use super::llama::with_llama_layers;
use super::parts::{KeywordName, Masks};
use crate::nn::Builder;

/// `Qwen2ForCausalLM`.
pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> Box<dyn CausalLm> {
    use KeywordName::{AttentionMask, PositionEmbeddings, PositionIds};
    with_llama_layers(config, builder, Masks::PerKind, [AttentionMask, PositionEmbeddings, PositionIds])
}
