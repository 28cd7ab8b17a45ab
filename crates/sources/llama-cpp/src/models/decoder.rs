//! Plain decoders: attention and a feed-forward layer or experts in each layer.

use super::style::{Frame, QueryNorm, Rope, SharedExpert, Style};
use crate::Error;
use crate::build::{AttentionWeights, Builder, FeedForward, Norm, Qkv};
use crate::ggml::{Graph, Id, Unary};

/// Builds the graph of a plain decoder.
pub(super) fn build(mut builder: Builder<'_>, style: &Style) -> Result<Graph, Error> {
    let mut current = builder.embed()?;
    if style.scaled_embedding {
        current = builder.graph.scale(current);
    }
    for layer in 0..builder.hparams.layers {
        let last = layer + 1 == builder.hparams.layers && !style.late_outputs;
        current = match style.frame {
            Frame::Parallel => parallel(&mut builder, style, current, layer, last)?,
            _ => sequential(&mut builder, style, current, layer, last)?,
        };
    }
    if style.late_outputs {
        // gpt-oss hands out the state of all tokens for its predictor of further tokens.
        builder.graph.get_mut(current).output = true;
        current = builder.outputs_of(current);
    }
    let mut logits = builder.head(current, style.norm)?;
    if builder.hparams.logit_scale {
        logits = builder.graph.scale(logits);
    }
    if builder.hparams.final_soft_cap {
        logits = builder.graph.scale(logits);
        logits = builder.graph.unary(Unary::Tanh, logits);
        logits = builder.graph.scale(logits);
    }
    builder.finish(logits)
}

/// Attention, and then the feed-forward layer on its sum with the input.
fn sequential(
    builder: &mut Builder<'_>,
    style: &Style,
    input: Id,
    layer: usize,
    last: bool,
) -> Result<Id, Error> {
    let mut residual = input;
    let normed = match style.frame {
        Frame::Behind => input,
        _ => builder.layer_norm(input, layer, "attn_norm", style.norm)?,
    };
    let mut current = attention(builder, style, normed, layer)?;
    if last {
        current = builder.outputs_of(current);
        residual = builder.outputs_of(residual);
    }
    if matches!(style.frame, Frame::Around | Frame::Behind) {
        current = builder.layer_norm(current, layer, "post_attention_norm", style.norm)?;
    }
    if builder.hparams.residual_scale {
        current = builder.graph.scale(current);
    }
    let sum = builder.graph.add2(current, residual);
    let normed = match style.frame {
        Frame::Behind => sum,
        _ => builder.layer_norm(sum, layer, style.feed_forward_norm, style.norm)?,
    };
    let mut current = feed_forward(builder, style, normed, layer)?;
    if matches!(style.frame, Frame::Around | Frame::Behind) {
        current = if style.pinned_post_norm {
            builder.layer_norm(current, layer, "post_ffw_norm", style.norm)?
        } else {
            builder.loose_norm(current, layer, "post_ffw_norm", style.norm)?
        };
    }
    if builder.hparams.residual_scale {
        current = builder.graph.scale(current);
    }
    // Phi-3 adds in the other order, which decides whose memory the sum takes.
    Ok(if builder.hparams.arch == "phi3" {
        builder.graph.add2(sum, current)
    } else {
        builder.graph.add2(current, sum)
    })
}

/// Attention and the feed-forward layer side by side, on the same norm.
fn parallel(
    builder: &mut Builder<'_>,
    style: &Style,
    input: Id,
    layer: usize,
    last: bool,
) -> Result<Id, Error> {
    let mut residual = input;
    let mut normed = builder.layer_norm(input, layer, "attn_norm", style.norm)?;
    let mut attended = attention(builder, style, normed, layer)?;
    if last {
        attended = builder.outputs_of(attended);
        residual = builder.outputs_of(residual);
        normed = builder.outputs_of(normed);
    }
    let current = feed_forward(builder, style, normed, layer)?;
    if style.attention_first {
        let both = builder.graph.add2(attended, current);
        return Ok(builder.graph.add2(both, residual));
    }
    let current = builder.graph.add2(current, residual);
    Ok(builder.graph.add2(current, attended))
}

fn attention(builder: &mut Builder<'_>, style: &Style, current: Id, layer: usize) -> Result<Id, Error> {
    let Qkv { q, k, v } = match style.query_norm {
        QueryNorm::Head => builder.qkv(current, layer)?,
        QueryNorm::Flat => flat(builder, current, layer)?,
    };
    let positions = builder.positions();
    let factors = if style.rope_factors { builder.rope_factors(layer) } else { None };
    let mut turned = [q, k];
    for (place, part) in turned.iter_mut().zip(["attn_q_norm", "attn_k_norm"]) {
        if style.query_norm == QueryNorm::Head && builder.maybe_at(layer, &format!("{part}.weight")).is_some()
        {
            *place = builder.layer_norm(*place, layer, part, style.norm)?;
        }
        if turns(builder, style, layer) {
            *place = builder.graph.rope(*place, positions, factors);
        }
    }
    let [mut q, k] = turned;
    if style.scaled_queries {
        q = builder.graph.scale(q);
    }
    if style.temperature && builder.hparams.attention_temperature {
        let scale = builder.temperature();
        q = builder.graph.mul(q, scale);
    }
    let sinks = builder.maybe_at(layer, "attn_sinks.weight");
    builder.attend(Qkv { q, k, v }, layer, AttentionWeights { sinks, ..AttentionWeights::default() })
}

/// Does a layer have RoPE?
fn turns(builder: &Builder<'_>, style: &Style, layer: usize) -> bool {
    builder.hparams.rope
        && match style.rope {
            Rope::All => true,
            Rope::Windowed => !builder.hparams.has_window || builder.hparams.is_windowed(layer),
            Rope::ThreeOfFour => !(layer + 1).is_multiple_of(4),
        }
}

/// Queries and keys that are normalised before they are split into heads.
fn flat(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Qkv, Error> {
    let Qkv { q, k, v } = builder.flat_qkv(current, layer)?;
    let q = builder.layer_norm(q, layer, "attn_q_norm", Norm::Rms)?;
    let k = builder.layer_norm(k, layer, "attn_k_norm", Norm::Rms)?;
    let (heads, kv) = (builder.hparams.heads_at(layer), builder.hparams.heads_kv_at(layer));
    let (head, tokens) = (builder.hparams.head_k(layer), builder.run.tokens);
    Ok(Qkv {
        q: builder.graph.reshape_3d(q, head, heads, tokens),
        k: builder.graph.reshape_3d(k, head, kv, tokens),
        v: builder.graph.reshape_3d(v, head, kv, tokens),
    })
}

/// The feed-forward layer, or the layer's experts.
pub(super) fn feed_forward(
    builder: &mut Builder<'_>,
    style: &Style,
    current: Id,
    layer: usize,
) -> Result<Id, Error> {
    if builder.maybe_at(layer, "ffn_gate_inp.weight").is_none() {
        return builder.feed_forward(current, layer, style.feed_forward);
    }
    let mut choice = style.experts;
    if style.gating_by_key {
        choice.gating = builder.hparams.gating.unwrap_or(choice.gating);
    }
    if style.norm_by_key {
        choice.norm = builder.hparams.expert_weights_norm;
    }
    let experts = builder.experts(current, layer, choice)?;
    let present = builder.maybe_at(layer, "ffn_up_shexp.weight").is_some();
    let shared = FeedForward::shared(style.feed_forward.activation);
    match style.shared {
        SharedExpert::Plain if present => {
            let shared = builder.feed_forward(current, layer, shared)?;
            Ok(builder.graph.add2(experts, shared))
        }
        SharedExpert::Gated => {
            // The sigmoid of the gate, as SiLU divided by its argument.
            let opened = builder.linear(current, layer, "ffn_gate_inp_shexp")?;
            let silu = builder.graph.unary(Unary::Silu, opened);
            let gate = builder.graph.div(silu, opened);
            let shared = builder.feed_forward(current, layer, shared)?;
            let gated = builder.graph.mul(shared, gate);
            Ok(builder.graph.add2(experts, gated))
        }
        _ => Ok(experts),
    }
}
