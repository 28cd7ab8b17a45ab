//! GPT-2 (models/gpt2/modeling_gpt2.py).

use brimful_jobs::AttentionKernel;
use brimful_models::Gpt2Config;
use brimful_units::Dtype;
use smallvec::smallvec;

use super::CausalLm;
use super::parts::{
    Arguments, AttentionCall, Backbone, BlockInput, ForCausalLm, Keyword, Mask, ModelInput, Sight, attend,
    causal_mask, gradient_checkpointing_layer, position_ids,
};
use crate::nn::{Activation, Builder, Conv1d, Dropout, Embedding, Forward, LayerNorm, Module};
use crate::ops;
use crate::tensor::Tensor;

/// `GPT2LMHeadModel`.
pub(super) fn for_causal_lm(config: &Gpt2Config, builder: &Builder) -> Box<dyn CausalLm> {
    Box::new(ForCausalLm::module(builder, "transformer", |it| Gpt2Model::new(config, it)))
}

/// `GPT2Attention`.
struct Attention {
    layer_idx: usize,
    c_attn: Module<Conv1d>,
    c_proj: Module<Conv1d>,
    resid_dropout: Module<Dropout>,
    heads: u64,
    attn_pdrop: f64,
    upcast: bool,
}

impl Attention {
    fn new(config: &Gpt2Config, builder: &Builder, layer_idx: usize) -> Attention {
        Attention {
            layer_idx,
            c_attn: builder.conv1d("c_attn"),
            c_proj: builder.conv1d("c_proj"),
            resid_dropout: builder.dropout("resid_dropout", config.resid_pdrop),
            heads: config.n_head,
            attn_pdrop: config.attn_pdrop,
            upcast: config.reorder_and_upcast_attn,
        }
    }

    /// `x.view(B, S, heads, D).transpose(1, 2)`.
    fn per_head(&self, x: &Tensor) -> Tensor {
        let split = ops::view(x, [x.dim(0), x.dim(1), self.heads, x.last(0) / self.heads]);
        ops::transpose(&split, 1, 2)
    }

    fn attend(&self, [query, key, value]: [&Tensor; 3], arguments: &Arguments) -> (Tensor, Option<Tensor>) {
        let (mask, mode) = (arguments.mask(), &arguments.mode);
        let training = mode.training;
        let p = if training { self.attn_pdrop } else { 0.0 };
        match (mode.attention, self.upcast) {
            (AttentionKernel::Eager, true) => upcast_attention(query, key, value, mask, p, training),
            (AttentionKernel::Eager, false) => eager_attention(query, key, value, mask, p, training),
            (kernel, _) => {
                let call = AttentionCall {
                    kernel,
                    dropout: p,
                    softcap: false,
                    causal: true,
                    training,
                    rules: mode.rules,
                };
                attend(query, key, value, mask, &call)
            }
        }
    }
}

impl Forward for Attention {
    type Input<'a> = BlockInput<'a>;
    type Output = (Tensor, Option<Tensor>);

    fn forward(&self, input: BlockInput<'_>) -> (Tensor, Option<Tensor>) {
        let BlockInput { hidden, arguments, cache } = input;
        let projected = self.c_attn.call(hidden);
        let parts = ops::split(&projected, hidden.last(0), 2);
        drop(projected);
        // The reference views the keys and the values before the queries.
        let (key, value) = (self.per_head(&parts[1]), self.per_head(&parts[2]));
        let query = self.per_head(&parts[0]);
        drop(parts);
        let (key, value) = match cache {
            Some(cache) => cache.update(key, value, self.layer_idx),
            None => (key, value),
        };
        let (output, weights) = self.attend([&query, &key, &value], arguments);
        let shape = [hidden.dim(0), hidden.dim(1), hidden.last(0)];
        let flat = ops::contiguous(ops::reshape(&output, shape));
        // `attn_output` is bound anew after each of the next three calls.
        drop(output);
        let projected = self.c_proj.call(&flat);
        drop(flat);
        let output = self.resid_dropout.call((&projected, arguments.mode.training));
        drop(projected);
        // The function returns: the keys and the values were bound first.
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

/// `GPT2MLP`.
struct Mlp {
    c_fc: Module<Conv1d>,
    c_proj: Module<Conv1d>,
    act: Module<Activation>,
    dropout: Module<Dropout>,
}

impl Mlp {
    fn new(config: &Gpt2Config, builder: &Builder) -> Mlp {
        Mlp {
            c_fc: builder.conv1d("c_fc"),
            c_proj: builder.conv1d("c_proj"),
            act: builder.activation("act", config.activation_function),
            dropout: builder.dropout("dropout", config.resid_pdrop),
        }
    }
}

impl Forward for Mlp {
    /// `[B, S, width]`, and whether the model trains.
    type Input<'a> = (&'a Tensor, bool);
    type Output = Tensor;

    fn forward(&self, (x, training): (&Tensor, bool)) -> Tensor {
        let mut hidden = self.c_fc.call(x);
        hidden = self.act.call(&hidden);
        hidden = self.c_proj.call(&hidden);
        self.dropout.call((&hidden, training))
    }
}

/// `GPT2Block`.
struct Block {
    ln_1: Module<LayerNorm>,
    attn: Module<Attention>,
    ln_2: Module<LayerNorm>,
    mlp: Module<Mlp>,
}

impl Block {
    fn new(config: &Gpt2Config, builder: &Builder, layer_idx: usize) -> Block {
        Block {
            ln_1: builder.layer_norm("ln_1"),
            attn: builder.module("attn", |it| Attention::new(config, it, layer_idx)),
            ln_2: builder.layer_norm("ln_2"),
            mlp: builder.module("mlp", |it| Mlp::new(config, it)),
        }
    }
}

impl Forward for Block {
    type Input<'a> = BlockInput<'a>;
    type Output = Tensor;

    fn forward(&self, input: BlockInput<'_>) -> Tensor {
        let BlockInput { hidden, arguments, cache } = input;
        let normed = self.ln_1.call(hidden);
        let (attended, weights) = self.attn.call(BlockInput { hidden: &normed, arguments, cache });
        let residual = ops::add(&attended, hidden);
        // `hidden_states` is bound to the sum, which frees the normed states; `attn_output` stays to the end.
        drop(normed);
        let normed = self.ln_2.call(&residual);
        let fed = self.mlp.call((&normed, arguments.mode.training));
        let output = ops::add(&residual, &fed);
        drop(normed);
        // The function returns: its locals go in the order in which they were bound first.
        drop(residual);
        drop(attended);
        drop(weights);
        drop(fed);
        output
    }
}

/// `GPT2Model`.
struct Gpt2Model {
    wte: Module<Embedding>,
    wpe: Module<Embedding>,
    drop: Module<Dropout>,
    h: Vec<Module<Block>>,
    ln_f: Module<LayerNorm>,
}

impl Gpt2Model {
    fn new(config: &Gpt2Config, builder: &Builder) -> Gpt2Model {
        let block = |index: usize| {
            gradient_checkpointing_layer(builder, &format!("h.{index}"), |it| Block::new(config, it, index))
        };
        Gpt2Model {
            wte: builder.token_embedding("wte"),
            wpe: builder.embedding("wpe"),
            drop: builder.dropout("drop", config.embd_pdrop),
            h: (0..config.n_layer as usize).map(block).collect(),
            ln_f: builder.layer_norm("ln_f"),
        }
    }
}

impl Forward for Gpt2Model {
    type Input<'a> = ModelInput<'a>;
    type Output = Tensor;

    /// `GPT2Model.forward`.
    fn forward(&self, input: ModelInput<'_>) -> Tensor {
        let ModelInput { inputs, mode, mut cache } = input;
        let embeds = self.wte.call(inputs.sample.tensor());
        let position_ids = position_ids(&embeds);
        let positions = self.wpe.call(&position_ids);
        let mut hidden = ops::add(&embeds, &positions);
        let mask =
            causal_mask(inputs, mode, &embeds, Some(&position_ids), cache.as_deref(), Sight::default());
        hidden = self.drop.call((&hidden, mode.training));
        for block in &self.h {
            // The mask is passed by position, the position ids by keyword.
            let keywords = smallvec![Keyword::PositionIds(position_ids.clone())];
            let arguments = Arguments { positional: mask.clone(), keywords, mode: *mode };
            let cache = cache.as_deref_mut();
            hidden = block.call(BlockInput { hidden: &hidden, arguments: &arguments, cache });
        }
        let normed = self.ln_f.call(&hidden);
        drop(hidden);
        let out = ops::view(&normed, normed.shape().clone());
        drop(normed);
        // The function returns: its locals go in the order in which they were bound first.
        drop(position_ids);
        drop(embeds);
        drop(positions);
        drop(mask);
        out
    }
}

impl Backbone for Gpt2Model {
    fn token_embedding(&self) -> &Module<Embedding> {
        &self.wte
    }

    fn windows(&self) -> Vec<Option<u64>> {
        vec![None; self.h.len()]
    }
}
