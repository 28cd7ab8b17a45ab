//! GPT-2 (models/gpt2/modeling_gpt2.py).

use std::rc::Rc;

use brimful_jobs::{AttentionKernel, Checkpointing};
use brimful_models::{Activation, Gpt2Config};
use brimful_units::Dtype;

use super::attention::{AttentionCall, attend};
use super::cache::Cache;
use super::loss::causal_lm_loss;
use super::mask::{self, Mask};
use super::{CausalLm, Inputs, Mode, Outputs};
use crate::checkpoint::checkpoint;
use crate::nn::{Builder, Conv1d, Embedding, LayerNorm, Linear, activation, dropout};
use crate::ops;
use crate::tensor::Tensor;

struct Attention {
    path: Rc<str>,
    resid_path: Rc<str>,
    c_attn: Conv1d,
    c_proj: Conv1d,
    heads: u64,
    attn_pdrop: f64,
    resid_pdrop: f64,
    upcast: bool,
}

impl Attention {
    fn new(config: &Gpt2Config, builder: &Builder, path: String) -> Attention {
        let width = config.n_embd;
        Attention {
            c_attn: builder.conv1d(format!("{path}.c_attn"), width, 3 * width),
            c_proj: builder.conv1d(format!("{path}.c_proj"), width, width),
            resid_path: format!("{path}.resid_dropout").into(),
            heads: config.n_head,
            attn_pdrop: config.attn_pdrop,
            resid_pdrop: config.resid_pdrop,
            upcast: config.reorder_and_upcast_attn,
            path: path.into(),
        }
    }

    fn forward(
        &self,
        hidden: &Tensor,
        layer: &Layer<'_>,
        cache: Option<&mut Cache>,
    ) -> (Tensor, Option<Tensor>) {
        let _module = hidden.device().module(&self.path);
        let projected = self.c_attn.forward(hidden);
        let parts = ops::split(&projected, hidden.last(0), 2);
        drop(projected);
        let per_head = |x: &Tensor| {
            let split = ops::view(x, [x.dim(0), x.dim(1), self.heads, x.last(0) / self.heads]);
            ops::transpose(&split, 1, 2)
        };
        let (key, value) = (per_head(&parts[1]), per_head(&parts[2]));
        let query = per_head(&parts[0]);
        drop(parts);
        let (key, value) = match cache {
            Some(cache) => cache.update(key, value, layer.index),
            None => (key, value),
        };
        let training = layer.mode.training;
        let p = if training { self.attn_pdrop } else { 0.0 };
        let (output, weights) = match (layer.mode.attention, self.upcast) {
            (AttentionKernel::Eager, true) => upcast_attention(&query, &key, &value, layer.mask, p, training),
            (AttentionKernel::Eager, false) => eager_attention(&query, &key, &value, layer.mask, p, training),
            (kernel, _) => {
                attend(&query, &key, &value, layer.mask, &AttentionCall { kernel, dropout: p, training })
            }
        };
        let shape = [hidden.dim(0), hidden.dim(1), hidden.last(0)];
        let flat = ops::contiguous(ops::reshape(&output, shape));
        drop(output);
        let projected = self.c_proj.forward(&flat);
        drop(flat);
        let output = dropout(&self.resid_path, &projected, self.resid_pdrop, training);
        drop(projected);
        drop((key, value, query));
        (output, weights)
    }

    fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        self.c_attn.parameters().into_iter().chain(self.c_proj.parameters())
    }
}

/// `eager_attention_forward` of GPT-2: softmax in the scores' own dtype.
fn eager_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    p: f64,
    training: bool,
) -> (Tensor, Option<Tensor>) {
    let mut weights = ops::mul_scalar(ops::matmul(q, ops::transpose(k, 3, 2)));
    if let Mask::Keep(mask) | Mask::Bias(mask) = mask {
        weights = ops::add(&weights, mask);
    }
    weights = ops::softmax_autocast(&weights);
    weighted_values(weights, v, p, training)
}

/// `_upcast_and_reordered_attn`: scores in fp32 by `baddbmm`.
fn upcast_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    p: f64,
    training: bool,
) -> (Tensor, Option<Tensor>) {
    let device = q.device().clone();
    let (batch, heads, queries, width, keys) = (q.dim(0), q.dim(1), q.dim(2), q.dim(3), k.dim(2));
    let scores = ops::new_tensor(&device, "empty", [batch * heads, queries, keys], Dtype::F32);
    let mut weights = {
        let _off = crate::autocast::autocast(&device, None);
        let q = ops::reshape(q, [batch * heads, queries, width]);
        let k = ops::reshape(&ops::transpose(k, 3, 2), [batch * heads, width, keys]);
        let product = ops::bmm(&ops::to(&q, Dtype::F32), &ops::to(&k, Dtype::F32));
        ops::reshape(&product, [batch, heads, queries, keys])
    };
    drop(scores);
    if let Mask::Keep(mask) | Mask::Bias(mask) = mask {
        weights = ops::add(&weights, mask);
    }
    weights = ops::softmax_autocast(&weights);
    weighted_values(weights, v, p, training)
}

fn weighted_values(weights: Tensor, v: &Tensor, p: f64, training: bool) -> (Tensor, Option<Tensor>) {
    let converted = ops::to(&weights, v.dtype());
    drop(weights);
    let weights = ops::dropout(converted, p, training);
    let output = ops::matmul(&weights, v);
    (ops::transpose(output, 1, 2), Some(weights))
}

struct Mlp {
    path: Rc<str>,
    act_path: Rc<str>,
    dropout_path: Rc<str>,
    c_fc: Conv1d,
    c_proj: Conv1d,
    act: Activation,
    resid_pdrop: f64,
}

impl Mlp {
    fn new(config: &Gpt2Config, builder: &Builder, path: String) -> Mlp {
        Mlp {
            c_fc: builder.conv1d(format!("{path}.c_fc"), config.n_embd, config.n_inner),
            c_proj: builder.conv1d(format!("{path}.c_proj"), config.n_inner, config.n_embd),
            act_path: format!("{path}.act").into(),
            dropout_path: format!("{path}.dropout").into(),
            act: config.activation_function,
            resid_pdrop: config.resid_pdrop,
            path: path.into(),
        }
    }

    fn forward(&self, x: &Tensor, training: bool) -> Tensor {
        let _module = x.device().module(&self.path);
        let mut hidden = self.c_fc.forward(x);
        hidden = activation(self.act, &self.act_path, &hidden);
        hidden = self.c_proj.forward(&hidden);
        dropout(&self.dropout_path, &hidden, self.resid_pdrop, training)
    }

    fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        self.c_fc.parameters().into_iter().chain(self.c_proj.parameters())
    }
}

struct Block {
    path: Rc<str>,
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

/// What a block is given beside the hidden states.
#[derive(Clone, Copy)]
struct Layer<'a> {
    index: usize,
    mask: &'a Mask,
    position_ids: &'a Tensor,
    mode: &'a Mode,
}

impl Block {
    fn new(config: &Gpt2Config, builder: &Builder, index: u64) -> Block {
        let path = builder.root(&format!("transformer.h.{index}"));
        Block {
            ln_1: builder.layer_norm(format!("{path}.ln_1"), config.n_embd),
            attn: Attention::new(config, builder, format!("{path}.attn")),
            ln_2: builder.layer_norm(format!("{path}.ln_2"), config.n_embd),
            mlp: Mlp::new(config, builder, format!("{path}.mlp")),
            path: path.into(),
        }
    }

    fn forward(&self, hidden: &Tensor, layer: &Layer<'_>, cache: Option<&mut Cache>) -> Tensor {
        let _module = hidden.device().module(&self.path);
        let normed = self.ln_1.forward(hidden);
        let (attended, weights) = self.attn.forward(&normed, layer, cache);
        let residual = ops::add(&attended, hidden);
        drop(normed);
        let normed = self.ln_2.forward(&residual);
        let fed = self.mlp.forward(&normed, layer.mode.training);
        let output = ops::add(&residual, &fed);
        drop(normed);
        drop(residual);
        drop(attended);
        drop(weights);
        drop(fed);
        output
    }

    fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        let first = self.ln_1.parameters().into_iter().chain(self.attn.parameters());
        first.chain(self.ln_2.parameters()).chain(self.mlp.parameters())
    }
}

/// `GPT2LMHeadModel`.
pub(super) struct Gpt2LmHeadModel {
    transformer_path: Rc<str>,
    drop_path: Rc<str>,
    root_path: Rc<str>,
    wte: Embedding,
    wpe: Embedding,
    h: Vec<Rc<Block>>,
    ln_f: LayerNorm,
    lm_head: Linear,
    embd_pdrop: f64,
}

impl Gpt2LmHeadModel {
    pub fn new(config: &Gpt2Config, builder: &Builder) -> Gpt2LmHeadModel {
        let wte = builder.embedding(builder.root("transformer.wte"), config.vocab_size, config.n_embd);
        let wpe =
            builder.position_embedding(builder.root("transformer.wpe"), config.n_positions, config.n_embd);
        let h = (0..config.n_layer).map(|index| Rc::new(Block::new(config, builder, index))).collect();
        let ln_f = builder.layer_norm(builder.root("transformer.ln_f"), config.n_embd);
        let mut lm_head = builder.linear(builder.root("lm_head"), config.n_embd, config.vocab_size, false);
        if config.tie_word_embeddings {
            lm_head.weight = wte.weight.clone();
        }
        Gpt2LmHeadModel {
            transformer_path: builder.root("transformer").into(),
            drop_path: builder.root("transformer.drop").into(),
            root_path: builder.root("").into(),
            wte,
            wpe,
            h,
            ln_f,
            lm_head,
            embd_pdrop: config.embd_pdrop,
        }
    }

    /// `GPT2Model.forward`.
    fn transformer(&self, inputs: &Inputs<'_>, mode: &Mode, mut cache: Option<&mut Cache>) -> Tensor {
        let device = inputs.input_ids.device();
        let _module = device.module(&self.transformer_path);
        let embeds = self.wte.forward(inputs.input_ids);
        let position_ids = mask::position_ids(&embeds, cache.as_deref());
        let positions = self.wpe.forward(&position_ids);
        let mut hidden = ops::add(&embeds, &positions);
        let mask = mask::causal_mask(inputs, mode, &embeds, &position_ids, cache.as_deref(), None);
        hidden = dropout(&self.drop_path, &hidden, self.embd_pdrop, mode.training);
        for (index, block) in self.h.iter().enumerate() {
            let layer = Layer { index, mask: &mask, position_ids: &position_ids, mode };
            hidden = run_block(block, hidden, &layer, cache.as_deref_mut());
        }
        let normed = self.ln_f.forward(&hidden);
        drop(hidden);
        let out = ops::view(&normed, normed.shape().clone());
        drop(normed);
        drop(position_ids);
        drop(embeds);
        drop(positions);
        drop(mask);
        out
    }
}

/// A block's `__call__` (`GradientCheckpointingLayer`): through a checkpoint where asked.
fn run_block(block: &Rc<Block>, hidden: Tensor, layer: &Layer<'_>, cache: Option<&mut Cache>) -> Tensor {
    if !layer.mode.training || layer.mode.checkpointing == Checkpointing::None {
        return block.forward(&hidden, layer, cache);
    }
    let (block, mode, index) = (block.clone(), layer.mode.clone(), layer.index);
    let position_ids = layer.position_ids.clone();
    // The mask is passed by position, and so it is the checkpoint's to keep.
    let (mask, masks) = layer.mask.clone().into_parts();
    checkpoint(layer.mode.checkpointing, hidden, mask, move |hidden, mask| {
        let mask = masks(mask.cloned());
        block.forward(hidden, &Layer { index, mask: &mask, position_ids: &position_ids, mode: &mode }, None)
    })
}

impl CausalLm for Gpt2LmHeadModel {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs {
        let _module = inputs.input_ids.device().module(&self.root_path);
        let mut implicit = (mode.use_cache && cache.is_none()).then(|| Cache::dynamic(&self.cache_layers()));
        let hidden = self.transformer(inputs, mode, cache.or(implicit.as_mut()));
        let last = mask::slice_logits_to_keep(&hidden, inputs.logits_to_keep);
        let logits = self.lm_head.forward(&last);
        let loss = inputs.labels.map(|labels| causal_lm_loss(&logits, labels));
        drop(last);
        drop(hidden);
        Outputs { loss, logits, cache: implicit }
    }

    fn parameters(&self) -> Vec<Tensor> {
        let mut all = vec![self.wte.weight.clone(), self.wpe.weight.clone()];
        all.extend(self.h.iter().flat_map(|block| block.parameters().collect::<Vec<_>>()));
        all.extend(self.ln_f.parameters());
        if self.lm_head.weight.key() != self.wte.weight.key() {
            all.push(self.lm_head.weight.clone());
        }
        all
    }

    fn cache_layers(&self) -> Vec<Option<u64>> {
        vec![None; self.h.len()]
    }
}
