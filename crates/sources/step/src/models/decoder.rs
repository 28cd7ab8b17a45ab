//! The skeleton of Llama and its relatives (models/llama/modeling_llama.py): rotary attention, a gated feed-forward, two
//! norms. A family differs from it by its [`Variation`], which stands in the family's own file.

use std::rc::Rc;

use brimful_models::DecoderConfig;

use super::attention::{AttentionCall, attend};
use super::block::{self, Block};
use super::cache::Cache;
use super::causal_lm::{Backbone, ForCausalLm};
use super::mask::{self, Mask, Sight};
use super::rotary::{RotaryEmbedding, apply_rotary_pos_emb};
use super::{Inputs, Mode};
use crate::nn::{Builder, Embedding, Linear, Module, Parameter, RmsNorm, activation};
use crate::ops;
use crate::tensor::Tensor;

/// How a family's masks are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Masks {
    /// One mask for every block; windowed where the config has a window.
    One,
    /// One mask per kind of block (`causal_mask_mapping`).
    PerKind,
}

/// How the families of this block differ.
pub(super) struct Variation {
    /// Whether queries and keys are normed per head.
    pub qk_norm: bool,
    pub masks: Masks,
    /// Whether blocks are passed the position ids before the rotary embedding: a checkpoint drops its arguments in that
    /// order.
    pub position_ids_first: bool,
}

struct Attention {
    module: Module,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    head_dim: u64,
    dropout: f64,
}

impl Attention {
    fn new(config: &DecoderConfig, builder: &Builder, variation: &Variation, path: &str) -> Attention {
        let width = config.hidden_size;
        let q = config.num_attention_heads * config.head_dim;
        let kv = config.num_key_value_heads * config.head_dim;
        let bias = config.qkv_bias;
        let norm = |name: &str| {
            variation.qk_norm.then(|| builder.rms_norm(&format!("{path}.{name}"), config.head_dim))
        };
        Attention {
            module: builder.module(path),
            q_proj: builder.linear(&format!("{path}.q_proj"), width, q, bias),
            k_proj: builder.linear(&format!("{path}.k_proj"), width, kv, bias),
            v_proj: builder.linear(&format!("{path}.v_proj"), width, kv, bias),
            o_proj: builder.linear(&format!("{path}.o_proj"), q, width, config.o_bias),
            q_norm: norm("q_norm"),
            k_norm: norm("k_norm"),
            head_dim: config.head_dim,
            dropout: config.attention_dropout,
        }
    }

    fn forward(
        &self,
        hidden: &Tensor,
        given: &Given<'_>,
        cache: Option<&mut Cache>,
    ) -> (Tensor, Option<Tensor>) {
        let _module = self.module.scope(hidden.device());
        let query = self.heads(hidden, &self.q_proj, self.q_norm.as_ref());
        let key = self.heads(hidden, &self.k_proj, self.k_norm.as_ref());
        let value = self.heads(hidden, &self.v_proj, None);
        let (cos, sin) = given.position_embeddings;
        let (rotated_query, rotated_key) = apply_rotary_pos_emb(&query, &key, cos, sin);
        drop((query, key));
        let (query, key) = (rotated_query, rotated_key);
        let (key, value) = match cache {
            Some(cache) => cache.update(key, value, given.index),
            None => (key, value),
        };
        let call = AttentionCall {
            kernel: given.mode.attention,
            dropout: if given.mode.training { self.dropout } else { 0.0 },
            training: given.mode.training,
        };
        let (output, weights) = attend(&query, &key, &value, given.mask, &call);
        let (batch, tokens) = (hidden.dim(0), hidden.dim(1));
        let flat =
            ops::contiguous(ops::reshape(&output, [batch, tokens, output.numel() / (batch * tokens).max(1)]));
        drop(output);
        let output = self.o_proj.forward(&flat);
        drop(flat);
        drop(query);
        drop(key);
        drop(value);
        (output, weights)
    }

    /// `norm(proj(x).view(B, S, heads, D)).transpose(1, 2)`.
    fn heads(&self, hidden: &Tensor, projection: &Linear, norm: Option<&RmsNorm>) -> Tensor {
        let projected = projection.forward(hidden);
        let heads = projected.last(0) / self.head_dim;
        let split = ops::view(&projected, [hidden.dim(0), hidden.dim(1), heads, self.head_dim]);
        drop(projected);
        let normed = match norm {
            Some(norm) => norm.forward(&split),
            None => split.clone(),
        };
        drop(split);
        ops::transpose(&normed, 1, 2)
    }
}

struct Mlp {
    module: Module,
    act_fn: Module,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    act: brimful_models::Activation,
}

impl Mlp {
    fn new(config: &DecoderConfig, builder: &Builder, path: &str) -> Mlp {
        let (hidden, inner, bias) = (config.hidden_size, config.intermediate_size, config.mlp_bias);
        Mlp {
            module: builder.module(path),
            act_fn: builder.module(&format!("{path}.act_fn")),
            gate_proj: builder.linear(&format!("{path}.gate_proj"), hidden, inner, bias),
            up_proj: builder.linear(&format!("{path}.up_proj"), hidden, inner, bias),
            down_proj: builder.linear(&format!("{path}.down_proj"), inner, hidden, bias),
            act: config.hidden_act,
        }
    }

    /// `down_proj(act_fn(gate_proj(x)) * up_proj(x))`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let _module = self.module.scope(x.device());
        let gate = {
            let gate = self.gate_proj.forward(x);
            activation(self.act, &self.act_fn, &gate)
        };
        let up = self.up_proj.forward(x);
        let product = ops::mul(gate, up);
        self.down_proj.forward(&product)
    }
}

pub(super) struct DecoderLayer {
    module: Module,
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    windowed: bool,
    position_ids_first: bool,
}

/// What a block is given beside the hidden states.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    index: usize,
    mask: &'a Mask,
    position_embeddings: (&'a Tensor, &'a Tensor),
    /// Blocks do not read them; a call that may run again keeps them.
    position_ids: Option<&'a Tensor>,
    mode: &'a Mode,
}

impl DecoderLayer {
    fn new(config: &DecoderConfig, builder: &Builder, variation: &Variation, index: usize) -> DecoderLayer {
        let path = format!("model.layers.{index}");
        DecoderLayer {
            self_attn: Attention::new(config, builder, variation, &format!("{path}.self_attn")),
            mlp: Mlp::new(config, builder, &format!("{path}.mlp")),
            input_layernorm: builder.rms_norm(&format!("{path}.input_layernorm"), config.hidden_size),
            post_attention_layernorm: builder
                .rms_norm(&format!("{path}.post_attention_layernorm"), config.hidden_size),
            windowed: config.sliding_windows.get(index).copied().flatten().is_some(),
            position_ids_first: variation.position_ids_first,
            module: builder.block(&path),
        }
    }
}

/// The keyword arguments of a block's call, in the order in which Python drops them: `position_embeddings` is a tuple, which
/// drops its last item first.
pub(super) struct Kept {
    mask: Mask,
    position_ids: Option<Tensor>,
    sin: Tensor,
    cos: Tensor,
    late_position_ids: Option<Tensor>,
    index: usize,
    mode: Mode,
}

impl Block for DecoderLayer {
    type Given<'a> = Given<'a>;
    type Kept = Kept;

    fn module(&self) -> &Module {
        &self.module
    }

    fn forward(&self, hidden: &Tensor, given: &Given<'_>, cache: Option<&mut Cache>) -> Tensor {
        let normed = self.input_layernorm.forward(hidden);
        let (attended, weights) = self.self_attn.forward(&normed, given, cache);
        drop(normed);
        let residual = ops::add(hidden, &attended);
        drop(attended);
        let normed = self.post_attention_layernorm.forward(&residual);
        let fed = self.mlp.forward(&normed);
        drop(normed);
        let output = ops::add(&residual, &fed);
        // `hidden_states` is bound to the sum, then the frame's names go: the residual before the attention weights.
        drop(fed);
        drop(residual);
        drop(weights);
        output
    }

    fn keep(&self, given: &Given<'_>) -> (Option<Tensor>, Kept) {
        let (cos, sin) = given.position_embeddings;
        let ids = |first: bool| given.position_ids.filter(|_| first == self.position_ids_first).cloned();
        let kept = Kept {
            mask: given.mask.clone(),
            position_ids: ids(true),
            sin: sin.clone(),
            cos: cos.clone(),
            late_position_ids: ids(false),
            index: given.index,
            mode: given.mode.clone(),
        };
        (None, kept)
    }

    fn forward_kept(&self, hidden: &Tensor, _: Option<&Tensor>, kept: &Kept) -> Tensor {
        let given = Given {
            index: kept.index,
            mask: &kept.mask,
            position_embeddings: (&kept.cos, &kept.sin),
            position_ids: kept.position_ids.as_ref().or(kept.late_position_ids.as_ref()),
            mode: &kept.mode,
        };
        self.forward(hidden, &given, None)
    }
}

/// `LlamaModel`.
pub(super) struct Decoder {
    module: Module,
    embed_tokens: Embedding,
    layers: Vec<Rc<DecoderLayer>>,
    norm: RmsNorm,
    rotary_emb: RotaryEmbedding,
    masks: Masks,
    windows: Vec<Option<u64>>,
}

/// `LlamaForCausalLM`, with what a family does in another way.
pub(super) fn for_causal_lm(
    config: &DecoderConfig,
    builder: &Builder,
    variation: &Variation,
) -> ForCausalLm<Decoder> {
    ForCausalLm::new(builder, Decoder::new(config, builder, variation), config.tie_word_embeddings)
}

impl Decoder {
    fn new(config: &DecoderConfig, builder: &Builder, variation: &Variation) -> Decoder {
        let embed_tokens = builder.embedding("model.embed_tokens", config.vocab_size, config.hidden_size);
        let layers = (0..config.num_hidden_layers as usize)
            .map(|index| Rc::new(DecoderLayer::new(config, builder, variation, index)))
            .collect();
        let norm = builder.rms_norm("model.norm", config.hidden_size);
        Decoder {
            module: builder.module("model"),
            embed_tokens,
            layers,
            norm,
            rotary_emb: RotaryEmbedding::new(config, builder),
            masks: variation.masks,
            windows: config.sliding_windows.clone(),
        }
    }

    fn make_masks(
        &self,
        inputs: &Inputs<'_>,
        mode: &Mode,
        embeds: &Tensor,
        position_ids: &Tensor,
        cache: Option<&Cache>,
    ) -> MaskMapping {
        let window = self.windows.iter().copied().flatten().next();
        let make = |sight: Sight| mask::causal_mask(inputs, mode, embeds, position_ids, cache, sight);
        let windowed = Sight { window, cache_window: window };
        // The full mask asks the cache's first full layer how many keys there are, and its first layer where all of them
        // have a window.
        let sees_all = self.windows.iter().any(Option::is_none);
        let full = Sight { window: None, cache_window: window.filter(|_| !sees_all) };
        match (self.masks, window) {
            (_, None) => MaskMapping { full: make(full), windowed: Mask::None },
            (Masks::One, Some(_)) => MaskMapping { full: Mask::None, windowed: make(windowed) },
            (Masks::PerKind, Some(_)) => MaskMapping { full: make(full), windowed: make(windowed) },
        }
    }
}

struct MaskMapping {
    full: Mask,
    windowed: Mask,
}

impl Backbone for Decoder {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, mut cache: Option<&mut Cache>) -> Tensor {
        let device = inputs.input_ids.device();
        let _module = self.module.scope(device);
        let embeds = self.embed_tokens.forward(inputs.input_ids);
        let position_ids = mask::position_ids(&embeds);
        let masks = self.make_masks(inputs, mode, &embeds, &position_ids, cache.as_deref());
        let (cos, sin) = self.rotary_emb.forward(&embeds, &position_ids);
        let mut hidden = embeds.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            let given = Given {
                index,
                mask: if layer.windowed { &masks.windowed } else { &masks.full },
                position_embeddings: (&cos, &sin),
                position_ids: Some(&position_ids),
                mode,
            };
            hidden = block::call(layer, hidden, &given, cache.as_deref_mut());
        }
        let normed = self.norm.forward(&hidden);
        drop(hidden);
        match self.masks {
            Masks::One => drop((position_ids, embeds)),
            // `mask_kwargs` holds both to the end, the embeddings first.
            Masks::PerKind => {
                drop(masks);
                drop((embeds, position_ids));
                return normed;
            }
        }
        drop(masks);
        drop((cos, sin));
        normed
    }

    fn windows(&self) -> Vec<Option<u64>> {
        self.windows.clone()
    }

    fn embeddings(&self) -> &Parameter {
        &self.embed_tokens.weight
    }
}
