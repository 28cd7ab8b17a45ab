//! Gemma 2 (models/gemma2/modeling_gemma2.py): scaled embeddings, four norms in a block, softcapped scores and logits.

use brimful_models::DecoderConfig;

use super::CausalLm;
use super::parts::{BlockInput, Decoder, Family, ForCausalLm, GatedMlp, KeywordName, Masks, RotaryAttention};
use crate::nn::{Builder, CenteredRmsNorm, Forward, Module};
use crate::ops;
use crate::tensor::Tensor;

/// `Gemma2ForCausalLM`.
pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> Box<dyn CausalLm> {
    use KeywordName::{AttentionMask, PositionEmbeddings, PositionIds};
    let family = Family {
        masks: Masks::PerKind,
        keywords: [AttentionMask, PositionEmbeddings, PositionIds],
        embed_tokens: Builder::scaled_token_embedding,
        layer: Gemma2DecoderLayer::new,
        norm: Builder::centered_rms_norm,
    };
    Box::new(ForCausalLm::module(builder, "model", |it| Decoder::new(config, it, &family)))
}

/// `Gemma2DecoderLayer`.
struct Gemma2DecoderLayer {
    self_attn: Module<RotaryAttention>,
    mlp: Module<GatedMlp>,
    input_layernorm: Module<CenteredRmsNorm>,
    post_attention_layernorm: Module<CenteredRmsNorm>,
    pre_feedforward_layernorm: Module<CenteredRmsNorm>,
    post_feedforward_layernorm: Module<CenteredRmsNorm>,
}

impl Gemma2DecoderLayer {
    fn new(config: &DecoderConfig, builder: &Builder, layer_idx: usize) -> Gemma2DecoderLayer {
        Gemma2DecoderLayer {
            self_attn: builder.module("self_attn", |it| RotaryAttention::new(config, it, layer_idx)),
            mlp: builder.module("mlp", |it| GatedMlp::new(it, config.hidden_act)),
            input_layernorm: builder.centered_rms_norm("input_layernorm"),
            post_attention_layernorm: builder.centered_rms_norm("post_attention_layernorm"),
            pre_feedforward_layernorm: builder.centered_rms_norm("pre_feedforward_layernorm"),
            post_feedforward_layernorm: builder.centered_rms_norm("post_feedforward_layernorm"),
        }
    }
}

impl Forward for Gemma2DecoderLayer {
    type Input<'a> = BlockInput<'a>;
    type Output = Tensor;

    fn forward(&self, input: BlockInput<'_>) -> Tensor {
        let BlockInput { hidden, arguments, cache } = input;
        // Each line binds `hidden_states` anew, which frees what it held after the new value is there.
        let states = self.input_layernorm.call(hidden);
        let (attended, weights) = self.self_attn.call(BlockInput { hidden: &states, arguments, cache });
        drop(states);
        let states = self.post_attention_layernorm.call(&attended);
        drop(attended);
        let residual = ops::add(hidden, &states);
        drop(states);
        let states = self.pre_feedforward_layernorm.call(&residual);
        let fed = self.mlp.call(&states);
        drop(states);
        let states = self.post_feedforward_layernorm.call(&fed);
        drop(fed);
        let output = ops::add(&residual, &states);
        drop(states);
        // The function returns: `residual`, then `_`, which held the attention's weights.
        drop(residual);
        drop(weights);
        output
    }
}
