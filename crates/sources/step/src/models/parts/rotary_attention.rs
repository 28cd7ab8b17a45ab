//! Attention with grouped heads and rotary positions (`LlamaAttention`, `Qwen3Attention` with norms per head, `Gemma2Attention` with softcapping).

use brimful_models::DecoderConfig;

use super::attention::{AttentionCall, attend};
use super::block::{BlockInput, PositionEmbeddings};
use super::rotary::apply_rotary_pos_emb;
use crate::nn::{Builder, Forward, Linear, Module, RmsNorm};
use crate::ops;
use crate::tensor::Tensor;

/// `self_attn`. Its biases and its norms are there if the config's parameters declare them.
pub(in crate::models) struct RotaryAttention {
    layer_idx: usize,
    q_proj: Module<Linear>,
    k_proj: Module<Linear>,
    v_proj: Module<Linear>,
    o_proj: Module<Linear>,
    q_norm: Option<Module<RmsNorm>>,
    k_norm: Option<Module<RmsNorm>>,
    head_dim: u64,
    attention_dropout: f64,
    softcap: bool,
}

impl RotaryAttention {
    /// The attention of block `layer_idx`.
    pub fn new(config: &DecoderConfig, builder: &Builder, layer_idx: usize) -> RotaryAttention {
        let norm = |name: &str| builder.declares(&format!("{name}.weight")).then(|| builder.rms_norm(name));
        RotaryAttention {
            layer_idx,
            q_proj: builder.linear("q_proj"),
            k_proj: builder.linear("k_proj"),
            v_proj: builder.linear("v_proj"),
            o_proj: builder.linear("o_proj"),
            q_norm: norm("q_norm"),
            k_norm: norm("k_norm"),
            head_dim: config.head_dim,
            attention_dropout: config.attention_dropout,
            softcap: config.attn_logit_softcapping,
        }
    }

    /// `norm(proj(x).view(B, S, heads, D)).transpose(1, 2)`.
    fn heads(&self, hidden: &Tensor, projection: &Module<Linear>, norm: Option<&Module<RmsNorm>>) -> Tensor {
        let projected = projection.call(hidden);
        let heads = projected.last(0) / self.head_dim;
        let split = ops::view(&projected, [hidden.dim(0), hidden.dim(1), heads, self.head_dim]);
        // Temporaries of one expression: each goes when the next call has returned.
        drop(projected);
        let normed = match norm {
            Some(norm) => norm.call(&split),
            None => split.clone(),
        };
        drop(split);
        ops::transpose(&normed, 1, 2)
    }
}

impl Forward for RotaryAttention {
    /// Normed hidden states `[B, S, width]` and the block's arguments.
    type Input<'a> = BlockInput<'a>;
    /// `[B, S, width]`, and the weights `[B, heads, S, keys]` where they were written out.
    type Output = (Tensor, Option<Tensor>);

    fn forward(&self, input: BlockInput<'_>) -> (Tensor, Option<Tensor>) {
        let BlockInput { hidden, arguments, cache } = input;
        let query = self.heads(hidden, &self.q_proj, self.q_norm.as_ref());
        let key = self.heads(hidden, &self.k_proj, self.k_norm.as_ref());
        let value = self.heads(hidden, &self.v_proj, None);
        let (query, key) = match arguments.position_embeddings() {
            Some(PositionEmbeddings { cos, sin }) => {
                let rotated = apply_rotary_pos_emb(&query, &key, cos, sin);
                // Both names are bound to the rotated states at once, when the call has returned.
                drop((query, key));
                rotated
            }
            None => (query, key),
        };
        let (key, value) = match cache {
            Some(cache) => cache.update(key, value, self.layer_idx),
            None => (key, value),
        };
        let training = arguments.mode.training;
        let call = AttentionCall {
            kernel: arguments.mode.attention,
            dropout: if training { self.attention_dropout } else { 0.0 },
            softcap: self.softcap,
            causal: true,
            training,
            rules: arguments.mode.rules,
        };
        let (output, weights) = attend(&query, &key, &value, arguments.mask(), &call);
        let (batch, tokens) = (hidden.dim(0), hidden.dim(1));
        let flat =
            ops::contiguous(ops::reshape(&output, [batch, tokens, output.numel() / (batch * tokens).max(1)]));
        // `attn_output` is bound anew twice: first to its reshaped self, then to the projection.
        drop(output);
        let output = self.o_proj.call(&flat);
        drop(flat);
        // The function returns: its locals go in the order in which they were bound first.
        drop(query);
        drop(key);
        drop(value);
        (output, weights)
    }
}
