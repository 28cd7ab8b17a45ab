//! Models with recurrent layers, alone or beside attention.

use super::decoder;
use super::style;
use crate::Error;
use crate::build::{Activation, AttentionWeights, Builder, Experts, FeedForward, Norm, Qkv};
use crate::ggml::{Graph, Id, Unary};
use crate::hparams::Gating;

/// Mamba and Mamba-2 (src/models/mamba.cpp, mamba2.cpp).
pub(super) fn mamba(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let mut input = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        let mut current = match builder.hparams.arch.as_str() {
            "mamba2" => builder.mamba2(normed, layer)?,
            _ => builder.mamba1(normed, layer)?,
        };
        if layer + 1 == builder.hparams.layers {
            current = builder.outputs_of(current);
            input = builder.outputs_of(input);
        }
        input = builder.graph.add2(current, input);
    }
    let logits = builder.head(input, Norm::Rms)?;
    builder.finish(logits)
}

/// Granite 4 (src/models/granite-hybrid.cpp).
pub(super) fn granite(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let style = style::of("granite").ok_or_else(|| Error::Architecture("granite".into()))?;
    let mut input = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let mut residual = input;
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        let mut current = if builder.hparams.is_recurrent(layer) {
            builder.mamba2(normed, layer)?
        } else {
            attention(&mut builder, normed, layer)?
        };
        if layer + 1 == builder.hparams.layers {
            current = builder.outputs_of(current);
            residual = builder.outputs_of(residual);
        }
        if builder.hparams.residual_scale {
            current = builder.graph.scale(current);
        }
        let sum = builder.graph.add2(current, residual);
        let normed = builder.layer_norm(sum, layer, "ffn_norm", Norm::Rms)?;
        let mut out = decoder::feed_forward(&mut builder, &style, normed, layer)?;
        if builder.hparams.residual_scale {
            out = builder.graph.scale(out);
        }
        input = builder.graph.add2(out, sum);
    }
    let mut logits = builder.head(input, Norm::Rms)?;
    if builder.hparams.logit_scale {
        logits = builder.graph.scale(logits);
    }
    builder.finish(logits)
}

/// Falcon-H1: attention and Mamba-2 side by side in each layer (src/models/falcon-h1.cpp).
pub(super) fn falcon_h1(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let mut input = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        let attended = attention(&mut builder, normed, layer)?;
        // The norm is computed a second time for the other half.
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        let scanned = builder.mamba2(normed, layer)?;
        let both = builder.graph.add2(attended, scanned);
        let mut sum = builder.graph.add2(both, input);
        if layer + 1 == builder.hparams.layers {
            sum = builder.outputs_of(sum);
        }
        // llama.cpp reads this norm by its name without a suffix.
        let weight = builder.at(layer, "ffn_norm").or_else(|_| builder.at(layer, "ffn_norm.weight"))?;
        let normed = builder.norm(sum, Some(weight), None, Norm::Rms, Some(layer));
        let out = builder.feed_forward(normed, layer, FeedForward::gated(Activation::Silu))?;
        input = builder.graph.add2(out, sum);
    }
    let logits = builder.head(input, Norm::Rms)?;
    builder.finish(logits)
}

/// Qwen3.5: gated delta nets, and attention with a gate in each fourth layer (src/models/qwen35.cpp).
pub(super) fn qwen35(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let mut input = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        builder.graph.expand(normed);
        let current = if builder.hparams.is_recurrent(layer) {
            builder.delta_net(normed, layer)?
        } else {
            gated_attention(&mut builder, normed, layer)?
        };
        let sum = builder.graph.add2(current, input);
        let normed = builder.layer_norm(sum, layer, "post_attention_norm", Norm::Rms)?;
        let out = match builder.hparams.arch.as_str() {
            "qwen35moe" => qwen_experts(&mut builder, normed, layer)?,
            _ => builder.feed_forward(normed, layer, FeedForward::gated(Activation::Silu))?,
        };
        input = builder.graph.add2(out, sum);
    }
    finish_with_states(builder, input)
}

/// Experts, and a shared one times the sigmoid of its own gate.
fn qwen_experts(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Id, Error> {
    let choice = Experts { gating: Gating::Softmax, norm: true, activation: Activation::Silu };
    let experts = builder.experts(current, layer, choice)?;
    if builder.maybe_at(layer, "ffn_up_shexp.weight").is_none() {
        return Ok(experts);
    }
    let shared = builder.feed_forward(current, layer, FeedForward::shared(Activation::Silu))?;
    let gate = builder.linear(current, layer, "ffn_gate_inp_shexp")?;
    let opened = builder.graph.unary(Unary::Sigmoid, gate);
    let gated = builder.graph.mul(shared, opened);
    Ok(builder.graph.add2(experts, gated))
}

/// Nemotron-H: each layer is one of Mamba-2, attention, and a feed-forward layer (src/models/nemotron-h.cpp).
pub(super) fn nemotron_h(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let mut input = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        let current = if builder.hparams.is_recurrent(layer) {
            builder.mamba2(normed, layer)?
        } else if builder.hparams.feed_forward_at(layer) == 0 {
            let qkv = builder.qkv(normed, layer)?;
            builder.attend(qkv, layer, AttentionWeights::default())?
        } else {
            builder.feed_forward(normed, layer, FeedForward::plain(Activation::ReluSquared))?
        };
        input = builder.graph.add2(current, input);
    }
    finish_with_states(builder, input)
}

/// The last norm of all tokens, whose states are handed out for a predictor of further tokens, and the logits of the
/// wanted ones.
fn finish_with_states(mut builder: Builder<'_>, input: Id) -> Result<Graph, Error> {
    let weight = builder.weight("output_norm.weight")?;
    let all = builder.norm(input, Some(weight), None, Norm::Rms, None);
    builder.graph.get_mut(all).output = true;
    let wanted = builder.outputs_of(all);
    let logits = builder.logits(wanted)?;
    builder.finish(logits)
}

/// LFM2: short convolutions and attention (src/models/lfm2.cpp).
pub(super) fn lfm2(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let mut input = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let mut residual = input;
        let normed = builder.layer_norm(input, layer, "attn_norm", Norm::Rms)?;
        let mut current = if builder.hparams.is_recurrent(layer) {
            builder.short_convolution(normed, layer)?
        } else {
            attention(&mut builder, normed, layer)?
        };
        if layer + 1 == builder.hparams.layers {
            current = builder.outputs_of(current);
            residual = builder.outputs_of(residual);
        }
        let sum = builder.graph.add2(residual, current);
        let normed = builder.layer_norm(sum, layer, "ffn_norm", Norm::Rms)?;
        let out = builder.feed_forward(normed, layer, FeedForward::gated(Activation::Silu))?;
        input = builder.graph.add2(sum, out);
    }
    let weight =
        ["token_embd_norm.weight", "output_norm.weight"].into_iter().find_map(|name| builder.maybe(name));
    let weight = weight.ok_or_else(|| Error::Tensor("token_embd_norm.weight".into()))?;
    let normed = builder.norm(input, Some(weight), None, Norm::Rms, None);
    let logits = builder.logits(normed)?;
    builder.finish(logits)
}

/// Attention with RoPE, if the model has it, and norms of queries and keys, if the file has them.
fn attention(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Id, Error> {
    let Qkv { q, k, v } = builder.qkv(current, layer)?;
    let factors = if builder.hparams.arch == "granitehybrid" { builder.rope_factors(layer) } else { None };
    let mut turned = [q, k];
    for (place, part) in turned.iter_mut().zip(["attn_q_norm", "attn_k_norm"]) {
        if builder.maybe_at(layer, &format!("{part}.weight")).is_some() {
            *place = builder.layer_norm(*place, layer, part, Norm::Rms)?;
        }
        if builder.hparams.rope {
            let positions = builder.positions();
            *place = builder.graph.rope(*place, positions, factors);
        }
    }
    let [q, k] = turned;
    builder.attend(Qkv { q, k, v }, layer, AttentionWeights::default())
}

/// Attention whose output is multiplied with a gate that the queries' matrix computes beside them.
fn gated_attention(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Id, Error> {
    let Qkv { q: both, k, v } = builder.flat_qkv(current, layer)?;
    let (heads, kv) = (builder.hparams.heads_at(layer), builder.hparams.heads_kv_at(layer));
    let (head, tokens) = (builder.hparams.head_k(layer), builder.run.tokens);
    let (row, plane) = (head * 8, head * 8 * heads);
    let q = builder.graph.view_3d(both, [head, heads, tokens], row, plane, 0);
    let q = builder.layer_norm(q, layer, "attn_q_norm", Norm::Rms)?;
    let k = builder.graph.reshape_3d(k, head, kv, tokens);
    let k = builder.layer_norm(k, layer, "attn_k_norm", Norm::Rms)?;
    let gate = builder.graph.view_3d(both, [head, heads, tokens], row, plane, head * 4);
    let gate = builder.graph.cont_2d(gate, head * heads, tokens);
    let v = builder.graph.reshape_3d(v, head, kv, tokens);
    let positions = builder.positions();
    let q = builder.graph.rope(q, positions, None);
    let k = builder.graph.rope(k, positions, None);
    let bare = AttentionWeights { bare: true, ..AttentionWeights::default() };
    let attended = builder.attend(Qkv { q, k, v }, layer, bare)?;
    let opened = builder.graph.unary(Unary::Sigmoid, gate);
    let gated = builder.graph.mul(attended, opened);
    builder.linear(gated, layer, "attn_output")
}
