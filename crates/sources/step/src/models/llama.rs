//! Llama (models/llama/modeling_llama.py). Mistral, Qwen2 and Qwen3 are this with the
//! differences that their own files name.

use std::rc::Rc;

use brimful_models::DecoderConfig;

use super::attention::{AttentionCall, attend};
use super::cache::Cache;
use super::loss::causal_lm_loss;
use super::mask::{self, Mask};
use super::rotary::{RotaryEmbedding, apply_rotary_pos_emb};
use super::{CausalLm, Inputs, Mode, Outputs};
use crate::checkpoint::checkpoint;
use crate::nn::{Builder, Embedding, Linear, RmsNorm, activation};
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

/// What tells the families of this block apart.
pub(super) struct Variation {
    /// Whether queries and keys are normed per head.
    pub qk_norm: bool,
    pub masks: Masks,
    /// Whether blocks are passed the position ids before the rotary embedding: a checkpoint lets
    /// go of its arguments in that order.
    pub position_ids_first: bool,
}

pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> ForCausalLm {
    ForCausalLm::new(
        config,
        builder,
        Variation { qk_norm: false, masks: Masks::One, position_ids_first: false },
    )
}

struct Attention {
    path: Rc<str>,
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
            variation.qk_norm.then(|| builder.rms_norm(format!("{path}.{name}"), config.head_dim))
        };
        Attention {
            path: path.into(),
            q_proj: builder.linear(format!("{path}.q_proj"), width, q, bias),
            k_proj: builder.linear(format!("{path}.k_proj"), width, kv, bias),
            v_proj: builder.linear(format!("{path}.v_proj"), width, kv, bias),
            o_proj: builder.linear(format!("{path}.o_proj"), q, width, config.o_bias),
            q_norm: norm("q_norm"),
            k_norm: norm("k_norm"),
            head_dim: config.head_dim,
            dropout: config.attention_dropout,
        }
    }

    fn forward(
        &self,
        hidden: &Tensor,
        layer: &Layer<'_>,
        cache: Option<&mut Cache>,
    ) -> (Tensor, Option<Tensor>) {
        let _module = hidden.device().module(&self.path);
        let query = self.heads(hidden, &self.q_proj, self.q_norm.as_ref());
        let key = self.heads(hidden, &self.k_proj, self.k_norm.as_ref());
        let value = self.heads(hidden, &self.v_proj, None);
        let (cos, sin) = layer.position_embeddings;
        let (rotated_query, rotated_key) = apply_rotary_pos_emb(&query, &key, cos, sin);
        drop((query, key));
        let (query, key) = (rotated_query, rotated_key);
        let (key, value) = match cache {
            Some(cache) => cache.update(key, value, layer.index),
            None => (key, value),
        };
        let call = AttentionCall {
            kernel: layer.mode.attention,
            dropout: if layer.mode.training { self.dropout } else { 0.0 },
            training: layer.mode.training,
        };
        let (output, weights) = attend(&query, &key, &value, layer.mask, &call);
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

    fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        let linears = [&self.q_proj, &self.k_proj, &self.v_proj, &self.o_proj];
        let norms = self.q_norm.iter().chain(&self.k_norm).map(|norm| norm.weight.clone());
        linears.into_iter().flat_map(Linear::parameters).chain(norms)
    }
}

struct Mlp {
    path: Rc<str>,
    act_path: Rc<str>,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    act: brimful_models::Activation,
}

impl Mlp {
    fn new(config: &DecoderConfig, builder: &Builder, path: &str) -> Mlp {
        let (hidden, inner, bias) = (config.hidden_size, config.intermediate_size, config.mlp_bias);
        Mlp {
            path: path.into(),
            act_path: format!("{path}.act_fn").into(),
            gate_proj: builder.linear(format!("{path}.gate_proj"), hidden, inner, bias),
            up_proj: builder.linear(format!("{path}.up_proj"), hidden, inner, bias),
            down_proj: builder.linear(format!("{path}.down_proj"), inner, hidden, bias),
            act: config.hidden_act,
        }
    }

    /// `down_proj(act_fn(gate_proj(x)) * up_proj(x))`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        let gate = {
            let gate = self.gate_proj.forward(x);
            activation(self.act, &self.act_path, &gate)
        };
        let up = self.up_proj.forward(x);
        let product = ops::mul(gate, up);
        self.down_proj.forward(&product)
    }

    fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        [&self.gate_proj, &self.up_proj, &self.down_proj].into_iter().flat_map(Linear::parameters)
    }
}

struct DecoderLayer {
    path: Rc<str>,
    self_attn: Attention,
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    windowed: bool,
    position_ids_first: bool,
}

/// What a block is given beside the hidden states.
#[derive(Clone, Copy)]
struct Layer<'a> {
    index: usize,
    mask: &'a Mask,
    position_embeddings: (&'a Tensor, &'a Tensor),
    /// Blocks do not read them; a checkpoint keeps them.
    position_ids: Option<&'a Tensor>,
    mode: &'a Mode,
}

impl DecoderLayer {
    fn new(config: &DecoderConfig, builder: &Builder, variation: &Variation, index: usize) -> DecoderLayer {
        let path = builder.root(&format!("model.layers.{index}"));
        DecoderLayer {
            self_attn: Attention::new(config, builder, variation, &format!("{path}.self_attn")),
            mlp: Mlp::new(config, builder, &format!("{path}.mlp")),
            input_layernorm: builder.rms_norm(format!("{path}.input_layernorm"), config.hidden_size),
            post_attention_layernorm: builder
                .rms_norm(format!("{path}.post_attention_layernorm"), config.hidden_size),
            windowed: config.sliding_windows.get(index).copied().flatten().is_some(),
            position_ids_first: variation.position_ids_first,
            path: path.into(),
        }
    }

    fn forward(&self, hidden: &Tensor, layer: &Layer<'_>, cache: Option<&mut Cache>) -> Tensor {
        let _module = hidden.device().module(&self.path);
        let normed = self.input_layernorm.forward(hidden);
        let (attended, weights) = self.self_attn.forward(&normed, layer, cache);
        drop(normed);
        let residual = ops::add(hidden, &attended);
        drop(attended);
        let normed = self.post_attention_layernorm.forward(&residual);
        let fed = self.mlp.forward(&normed);
        drop(normed);
        let output = ops::add(&residual, &fed);
        drop(fed);
        drop(residual);
        drop(weights);
        output
    }

    fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        let norms = [self.input_layernorm.weight.clone(), self.post_attention_layernorm.weight.clone()];
        self.self_attn.parameters().chain(self.mlp.parameters()).chain(norms)
    }
}

/// `LlamaModel` under its language-model head.
pub(crate) struct ForCausalLm {
    model_path: Rc<str>,
    root_path: Rc<str>,
    embed_tokens: Embedding,
    layers: Vec<Rc<DecoderLayer>>,
    norm: RmsNorm,
    rotary_emb: RotaryEmbedding,
    lm_head: Linear,
    masks: Masks,
    windows: Vec<Option<u64>>,
}

impl ForCausalLm {
    pub(super) fn new(config: &DecoderConfig, builder: &Builder, variation: Variation) -> ForCausalLm {
        let embed_tokens =
            builder.embedding(builder.root("model.embed_tokens"), config.vocab_size, config.hidden_size);
        let layers = (0..config.num_hidden_layers as usize)
            .map(|index| Rc::new(DecoderLayer::new(config, builder, &variation, index)))
            .collect();
        let norm = builder.rms_norm(builder.root("model.norm"), config.hidden_size);
        let rotary_emb = RotaryEmbedding::new(config, builder);
        let mut lm_head =
            builder.linear(builder.root("lm_head"), config.hidden_size, config.vocab_size, false);
        if config.tie_word_embeddings {
            lm_head.weight = embed_tokens.weight.clone();
        }
        ForCausalLm {
            model_path: builder.root("model").into(),
            root_path: builder.root("").into(),
            embed_tokens,
            layers,
            norm,
            rotary_emb,
            lm_head,
            masks: variation.masks,
            windows: config.sliding_windows.clone(),
        }
    }

    /// `LlamaModel.forward`.
    fn model(&self, inputs: &Inputs<'_>, mode: &Mode, mut cache: Option<&mut Cache>) -> Tensor {
        let device = inputs.input_ids.device();
        let _module = device.module(&self.model_path);
        let embeds = self.embed_tokens.forward(inputs.input_ids);
        let position_ids = mask::position_ids(&embeds, cache.as_deref());
        let masks = self.masks(inputs, mode, &embeds, &position_ids, cache.as_deref());
        let (cos, sin) = self.rotary_emb.forward(&embeds, &position_ids);
        let mut hidden = embeds.clone();
        for (index, block) in self.layers.iter().enumerate() {
            let layer = Layer {
                index,
                mask: if block.windowed { &masks.windowed } else { &masks.full },
                position_embeddings: (&cos, &sin),
                position_ids: Some(&position_ids),
                mode,
            };
            hidden = run_block(block, hidden, &layer, cache.as_deref_mut());
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

    fn masks(
        &self,
        inputs: &Inputs<'_>,
        mode: &Mode,
        embeds: &Tensor,
        position_ids: &Tensor,
        cache: Option<&Cache>,
    ) -> MaskMapping {
        let window = self.windows.iter().copied().flatten().next();
        let make = |window: Option<u64>| mask::causal_mask(inputs, mode, embeds, position_ids, cache, window);
        match (self.masks, window) {
            (Masks::One, None) => MaskMapping { full: make(None), windowed: Mask::None },
            (Masks::One, window) => MaskMapping { full: Mask::None, windowed: make(window) },
            (Masks::PerKind, None) => MaskMapping { full: make(None), windowed: Mask::None },
            (Masks::PerKind, window) => MaskMapping { full: make(None), windowed: make(window) },
        }
    }
}

struct MaskMapping {
    full: Mask,
    windowed: Mask,
}

/// A block's `__call__` (`GradientCheckpointingLayer`): through a checkpoint where asked.
fn run_block(
    block: &Rc<DecoderLayer>,
    hidden: Tensor,
    layer: &Layer<'_>,
    cache: Option<&mut Cache>,
) -> Tensor {
    if !layer.mode.training || layer.mode.checkpointing == brimful_jobs::Checkpointing::None {
        return block.forward(&hidden, layer, cache);
    }
    let arguments = Arguments::of(layer, block.position_ids_first);
    let block = block.clone();
    checkpoint(layer.mode.checkpointing, hidden, None, move |hidden, _| {
        block.forward(hidden, &arguments.layer(), None)
    })
}

/// What a checkpoint keeps of a block's keyword arguments, in the order in which it lets go:
/// a tuple drops its last item first.
struct Arguments {
    mask: Mask,
    position_ids: Option<Tensor>,
    sin: Tensor,
    cos: Tensor,
    late_position_ids: Option<Tensor>,
    index: usize,
    mode: Mode,
}

impl Arguments {
    fn of(layer: &Layer<'_>, position_ids_first: bool) -> Arguments {
        let (cos, sin) = layer.position_embeddings;
        let ids = |wanted: bool| layer.position_ids.filter(|_| wanted).cloned();
        Arguments {
            mask: layer.mask.clone(),
            position_ids: ids(position_ids_first),
            sin: sin.clone(),
            cos: cos.clone(),
            late_position_ids: ids(!position_ids_first),
            index: layer.index,
            mode: layer.mode.clone(),
        }
    }

    fn layer(&self) -> Layer<'_> {
        Layer {
            index: self.index,
            mask: &self.mask,
            position_embeddings: (&self.cos, &self.sin),
            position_ids: self.position_ids.as_ref().or(self.late_position_ids.as_ref()),
            mode: &self.mode,
        }
    }
}

impl CausalLm for ForCausalLm {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs {
        let _module = inputs.input_ids.device().module(&self.root_path);
        let mut implicit = (mode.use_cache && cache.is_none()).then(|| Cache::dynamic(&self.windows));
        let hidden = self.model(inputs, mode, cache.or(implicit.as_mut()));
        let last = mask::slice_logits_to_keep(&hidden, inputs.logits_to_keep);
        let logits = self.lm_head.forward(&last);
        let loss = inputs.labels.map(|labels| causal_lm_loss(&logits, labels));
        drop(last);
        drop(hidden);
        Outputs { loss, logits, cache: implicit }
    }

    fn parameters(&self) -> Vec<Tensor> {
        let mut all = vec![self.embed_tokens.weight.clone()];
        all.extend(self.layers.iter().flat_map(|layer| layer.parameters().collect::<Vec<_>>()));
        all.push(self.norm.weight.clone());
        if self.lm_head.weight.key() != self.embed_tokens.weight.key() {
            all.push(self.lm_head.weight.clone());
        }
        all
    }

    fn cache_layers(&self) -> Vec<Option<u64>> {
        self.windows.clone()
    }
}
