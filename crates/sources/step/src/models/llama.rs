//! Llama (models/llama/modeling_llama.py).

use brimful_models::DecoderConfig;

use super::CausalLm;
use super::parts::{BlockInput, Decoder, Family, ForCausalLm, GatedMlp, KeywordName, Masks, RotaryAttention};
use crate::nn::{Builder, Forward, Module, RmsNorm};
use crate::ops;
use crate::tensor::Tensor;

/// `LlamaForCausalLM`.
pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> Box<dyn CausalLm> {
    use KeywordName::{AttentionMask, PositionEmbeddings, PositionIds};
    let keywords = [AttentionMask, PositionEmbeddings, PositionIds];
    with_llama_layers(config, builder, Masks::One, keywords)
}

/// A family whose blocks are Llama's, with its own masks and its own order of keywords.
pub(super) fn with_llama_layers(
    config: &DecoderConfig,
    builder: &Builder,
    masks: Masks,
    keywords: [KeywordName; 3],
) -> Box<dyn CausalLm> {
    let family = Family {
        masks,
        keywords,
        embed_tokens: Builder::token_embedding,
        layer: LlamaDecoderLayer::new,
        norm: Builder::rms_norm,
    };
    Box::new(ForCausalLm::module(builder, "model", |it| Decoder::new(config, it, &family)))
}

/// `LlamaDecoderLayer`.
pub(super) struct LlamaDecoderLayer {
    self_attn: Module<RotaryAttention>,
    mlp: Module<GatedMlp>,
    input_layernorm: Module<RmsNorm>,
    post_attention_layernorm: Module<RmsNorm>,
}

impl LlamaDecoderLayer {
    fn new(config: &DecoderConfig, builder: &Builder, layer_idx: usize) -> LlamaDecoderLayer {
        LlamaDecoderLayer {
            self_attn: builder.module("self_attn", |it| RotaryAttention::new(config, it, layer_idx)),
            mlp: builder.module("mlp", |it| GatedMlp::new(it, config.hidden_act)),
            input_layernorm: builder.rms_norm("input_layernorm"),
            post_attention_layernorm: builder.rms_norm("post_attention_layernorm"),
        }
    }
}

impl Forward for LlamaDecoderLayer {
    type Input<'a> = BlockInput<'a>;
    type Output = Tensor;

    fn forward(&self, input: BlockInput<'_>) -> Tensor {
        let BlockInput { hidden, arguments, cache } = input;
        let normed = self.input_layernorm.call(hidden);
        let (attended, weights) = self.self_attn.call(BlockInput { hidden: &normed, arguments, cache });
        // `hidden_states` is bound to the attention's output, which frees the normed states.
        drop(normed);
        let residual = ops::add(hidden, &attended);
        drop(attended);
        let normed = self.post_attention_layernorm.call(&residual);
        let fed = self.mlp.call(&normed);
        drop(normed);
        let output = ops::add(&residual, &fed);
        drop(fed);
        // The function returns: `residual`, then `_`, which held the attention's weights.
        drop(residual);
        drop(weights);
        output
    }
}
