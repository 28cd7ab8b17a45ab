//! GPT-2 (models/gpt2/modeling_gpt2.py).

use std::rc::Rc;

use brimful_jobs::AttentionKernel;
use brimful_models::{Activation, Gpt2Config};
use brimful_units::Dtype;

use super::attention::{AttentionCall, attend};
use super::block::{self, Block};
use super::cache::Cache;
use super::causal_lm::{Backbone, ForCausalLm};
use super::mask::{self, Mask, Sight};
use super::{Inputs, Mode};
use crate::nn::{Builder, Conv1d, Embedding, LayerNorm, Module, Parameter, activation, dropout};
use crate::ops;
use crate::tensor::Tensor;

struct Attention {
    module: Module,
    resid_dropout: Module,
    c_attn: Conv1d,
    c_proj: Conv1d,
    heads: u64,
    attn_pdrop: f64,
    resid_pdrop: f64,
    upcast: bool,
}

impl Attention {
    fn new(config: &Gpt2Config, builder: &Builder, path: &str) -> Attention {
        let width = config.n_embd;
        Attention {
            c_attn: builder.conv1d(&format!("{path}.c_attn"), width, 3 * width),
            c_proj: builder.conv1d(&format!("{path}.c_proj"), width, width),
            resid_dropout: builder.module(&format!("{path}.resid_dropout")),
            heads: config.n_head,
            attn_pdrop: config.attn_pdrop,
            resid_pdrop: config.resid_pdrop,
            upcast: config.reorder_and_upcast_attn,
            module: builder.module(path),
        }
    }

    fn forward(
        &self,
        hidden: &Tensor,
        given: &Given<'_>,
        cache: Option<&mut Cache>,
    ) -> (Tensor, Option<Tensor>) {
        let _module = self.module.scope(hidden.device());
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
            Some(cache) => cache.update(key, value, given.index),
            None => (key, value),
        };
        let training = given.mode.training;
        let p = if training { self.attn_pdrop } else { 0.0 };
        let (output, weights) = match (given.mode.attention, self.upcast) {
            (AttentionKernel::Eager, true) => upcast_attention(&query, &key, &value, given.mask, p, training),
            (AttentionKernel::Eager, false) => eager_attention(&query, &key, &value, given.mask, p, training),
            (kernel, _) => {
                attend(&query, &key, &value, given.mask, &AttentionCall { kernel, dropout: p, training })
            }
        };
        let shape = [hidden.dim(0), hidden.dim(1), hidden.last(0)];
        let flat = ops::contiguous(ops::reshape(&output, shape));
        drop(output);
        let projected = self.c_proj.forward(&flat);
        drop(flat);
        let output = dropout(&self.resid_dropout, &projected, self.resid_pdrop, training);
        drop(projected);
        drop((key, value, query));
        (output, weights)
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
    // `q` and `k` are names of the frame, and live until it returns.
    let q = ops::reshape(q, [batch * heads, queries, width]);
    let k = ops::reshape(&ops::transpose(k, 3, 2), [batch * heads, width, keys]);
    let mut weights = {
        let _off = crate::autocast::autocast(&device, None);
        let (q, k) = (ops::to(&q, Dtype::F32), ops::to(&k, Dtype::F32));
        let product = ops::baddbmm_without_self(&q, &k);
        // The call's arguments go from the first to the last, and then the old `attn_weights`.
        drop(q);
        drop(k);
        drop(scores);
        ops::reshape(&product, [batch, heads, queries, keys])
    };
    if let Mask::Keep(mask) | Mask::Bias(mask) = mask {
        weights = ops::add(&weights, mask);
    }
    weights = ops::softmax_autocast(&weights);
    let attended = weighted_values(weights, v, p, training);
    drop(q);
    drop(k);
    attended
}

fn weighted_values(weights: Tensor, v: &Tensor, p: f64, training: bool) -> (Tensor, Option<Tensor>) {
    let converted = ops::to(&weights, v.dtype());
    drop(weights);
    let weights = ops::dropout(converted, p, training);
    let output = ops::matmul(&weights, v);
    (ops::transpose(output, 1, 2), Some(weights))
}

struct Mlp {
    module: Module,
    act_fn: Module,
    dropout: Module,
    c_fc: Conv1d,
    c_proj: Conv1d,
    act: Activation,
    resid_pdrop: f64,
}

impl Mlp {
    fn new(config: &Gpt2Config, builder: &Builder, path: &str) -> Mlp {
        Mlp {
            c_fc: builder.conv1d(&format!("{path}.c_fc"), config.n_embd, config.n_inner),
            c_proj: builder.conv1d(&format!("{path}.c_proj"), config.n_inner, config.n_embd),
            act_fn: builder.module(&format!("{path}.act")),
            dropout: builder.module(&format!("{path}.dropout")),
            act: config.activation_function,
            resid_pdrop: config.resid_pdrop,
            module: builder.module(path),
        }
    }

    fn forward(&self, x: &Tensor, training: bool) -> Tensor {
        let _module = self.module.scope(x.device());
        let mut hidden = self.c_fc.forward(x);
        hidden = activation(self.act, &self.act_fn, &hidden);
        hidden = self.c_proj.forward(&hidden);
        dropout(&self.dropout, &hidden, self.resid_pdrop, training)
    }
}

struct Gpt2Block {
    module: Module,
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

/// What a block is given beside the hidden states.
#[derive(Clone, Copy)]
struct Given<'a> {
    index: usize,
    mask: &'a Mask,
    position_ids: &'a Tensor,
    mode: &'a Mode,
}

/// The keyword arguments of a block's call. The mask is passed by position, and so it is the call's to keep.
struct Kept {
    position_ids: Tensor,
    mask: fn(Option<Tensor>) -> Mask,
    index: usize,
    mode: Mode,
}

impl Gpt2Block {
    fn new(config: &Gpt2Config, builder: &Builder, index: u64) -> Gpt2Block {
        let path = format!("transformer.h.{index}");
        Gpt2Block {
            ln_1: builder.layer_norm(&format!("{path}.ln_1"), config.n_embd),
            attn: Attention::new(config, builder, &format!("{path}.attn")),
            ln_2: builder.layer_norm(&format!("{path}.ln_2"), config.n_embd),
            mlp: Mlp::new(config, builder, &format!("{path}.mlp")),
            module: builder.block(&path),
        }
    }
}

impl Block for Gpt2Block {
    type Given<'a> = Given<'a>;
    type Kept = Kept;

    fn module(&self) -> &Module {
        &self.module
    }

    fn forward(&self, hidden: &Tensor, given: &Given<'_>, cache: Option<&mut Cache>) -> Tensor {
        let normed = self.ln_1.forward(hidden);
        let (attended, weights) = self.attn.forward(&normed, given, cache);
        let residual = ops::add(&attended, hidden);
        drop(normed);
        let normed = self.ln_2.forward(&residual);
        let fed = self.mlp.forward(&normed, given.mode.training);
        let output = ops::add(&residual, &fed);
        drop(normed);
        drop(residual);
        drop(attended);
        drop(weights);
        drop(fed);
        output
    }

    fn keep(&self, given: &Given<'_>) -> (Option<Tensor>, Kept) {
        let (tensor, mask) = given.mask.clone().into_parts();
        let position_ids = given.position_ids.clone();
        (tensor, Kept { position_ids, mask, index: given.index, mode: given.mode.clone() })
    }

    fn forward_kept(&self, hidden: &Tensor, other: Option<&Tensor>, kept: &Kept) -> Tensor {
        let mask = (kept.mask)(other.cloned());
        let (position_ids, mode) = (&kept.position_ids, &kept.mode);
        self.forward(hidden, &Given { index: kept.index, mask: &mask, position_ids, mode }, None)
    }
}

/// `GPT2Model`.
pub(super) struct Gpt2Model {
    module: Module,
    drop: Module,
    wte: Embedding,
    wpe: Embedding,
    h: Vec<Rc<Gpt2Block>>,
    ln_f: LayerNorm,
    embd_pdrop: f64,
}

/// `GPT2LMHeadModel`.
pub(super) fn for_causal_lm(config: &Gpt2Config, builder: &Builder) -> ForCausalLm<Gpt2Model> {
    ForCausalLm::new(builder, Gpt2Model::new(config, builder), config.tie_word_embeddings)
}

impl Gpt2Model {
    fn new(config: &Gpt2Config, builder: &Builder) -> Gpt2Model {
        let wte = builder.embedding("transformer.wte", config.vocab_size, config.n_embd);
        let wpe = builder.position_embedding("transformer.wpe", config.n_positions, config.n_embd);
        let h = (0..config.n_layer).map(|index| Rc::new(Gpt2Block::new(config, builder, index))).collect();
        Gpt2Model {
            module: builder.module("transformer"),
            drop: builder.module("transformer.drop"),
            wte,
            wpe,
            h,
            ln_f: builder.layer_norm("transformer.ln_f", config.n_embd),
            embd_pdrop: config.embd_pdrop,
        }
    }
}

impl Backbone for Gpt2Model {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, mut cache: Option<&mut Cache>) -> Tensor {
        let device = inputs.input_ids.device();
        let _module = self.module.scope(device);
        let embeds = self.wte.forward(inputs.input_ids);
        let position_ids = mask::position_ids(&embeds);
        let positions = self.wpe.forward(&position_ids);
        let mut hidden = ops::add(&embeds, &positions);
        let mask =
            mask::causal_mask(inputs, mode, &embeds, &position_ids, cache.as_deref(), Sight::default());
        hidden = dropout(&self.drop, &hidden, self.embd_pdrop, mode.training);
        for (index, block) in self.h.iter().enumerate() {
            let given = Given { index, mask: &mask, position_ids: &position_ids, mode };
            hidden = block::call(block, hidden, &given, cache.as_deref_mut());
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

    fn windows(&self) -> Vec<Option<u64>> {
        vec![None; self.h.len()]
    }

    fn embeddings(&self) -> &Parameter {
        &self.wte.weight
    }
}
