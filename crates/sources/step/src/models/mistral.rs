//! Mistral (models/mistral/modeling_mistral.py): Llama with one mask for all blocks, windowed where the config names a
//! window, and with the position ids passed before the rotary embedding.

use brimful_models::DecoderConfig;

use super::CausalLm;
use super::llama::with_llama_layers;
use super::parts::{KeywordName, Masks};
use crate::nn::Builder;

/// `MistralForCausalLM`.
pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> Box<dyn CausalLm> {
    use KeywordName::{AttentionMask, PositionEmbeddings, PositionIds};
    with_llama_layers(config, builder, Masks::One, [AttentionMask, PositionIds, PositionEmbeddings])
}
