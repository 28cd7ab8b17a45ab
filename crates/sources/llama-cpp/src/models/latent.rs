//! Latent attention: DeepSeek-V2 and what runs as it (src/models/deepseek2.cpp).

use crate::Error;
use crate::build::{Activation, AttentionWeights, Builder, Experts, FeedForward, Norm, Qkv};
use crate::ggml::{Graph, Id};
use crate::hparams::Gating;

/// Builds the graph of DeepSeek-V2.
pub(super) fn build(mut builder: Builder<'_>) -> Result<Graph, Error> {
    let mut current = builder.embed()?;
    for layer in 0..builder.hparams.layers {
        let mut residual = current;
        let normed = builder.layer_norm(current, layer, "attn_norm", Norm::Rms)?;
        current = attention(&mut builder, normed, layer)?;
        if layer + 1 == builder.hparams.layers {
            current = builder.outputs_of(current);
            residual = builder.outputs_of(residual);
        }
        let sum = builder.graph.add2(current, residual);
        let normed = builder.layer_norm(sum, layer, "ffn_norm", Norm::Rms)?;
        let out = feed_forward(&mut builder, normed, layer)?;
        current = builder.graph.add2(out, sum);
    }
    let weight = builder.weight("output_norm.weight")?;
    let normed = builder.norm(current, Some(weight), None, Norm::Rms, None);
    let logits = builder.logits(normed)?;
    builder.finish(logits)
}

fn feed_forward(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Id, Error> {
    if layer < builder.hparams.dense_lead {
        return builder.feed_forward(current, layer, FeedForward::gated(Activation::Silu));
    }
    let choice = Experts {
        gating: builder.hparams.gating.unwrap_or_else(|| default_gating(builder)),
        norm: builder.hparams.expert_weights_norm,
        activation: Activation::Silu,
    };
    let experts = builder.experts(current, layer, choice)?;
    let shared = builder.feed_forward(current, layer, FeedForward::shared(Activation::Silu))?;
    Ok(builder.graph.add2(experts, shared))
}

/// Files without the key are DeepSeek-V2's, except for those of GLM-4.7-Flash.
fn default_gating(builder: &Builder<'_>) -> Gating {
    let glm = matches!(builder.hparams.layers, 47 | 48) && builder.hparams.vocabulary == 154_880;
    if glm { Gating::Sigmoid } else { Gating::Softmax }
}

/// Queries, and the compressed keys and values with the part of the keys that RoPE turns.
struct Compressed {
    q: Id,
    kv: Id,
    k_rope: Id,
    /// Width of a head without the part that RoPE turns, and of that part.
    plain: u64,
    rope: u64,
}

fn attention(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Id, Error> {
    let compressed = compress(builder, current, layer)?;
    if builder.hparams.latent.is_some() {
        absorbed(builder, compressed, layer)
    } else {
        expanded(builder, compressed, layer)
    }
}

fn compress(builder: &mut Builder<'_>, current: Id, layer: usize) -> Result<Compressed, Error> {
    let (heads, tokens) = (builder.hparams.heads_at(layer), builder.run.tokens);
    let head = builder.hparams.latent.map_or(builder.hparams.head_k(layer), |(key, _)| key);
    let rope = builder.hparams.rotary;
    let rank = builder.hparams.kv_rank;
    let flat = if builder.maybe_at(layer, "attn_q.weight").is_some() {
        builder.linear(current, layer, "attn_q")?
    } else {
        let low = builder.linear(current, layer, "attn_q_a")?;
        let low = builder.layer_norm(low, layer, "attn_q_a_norm", Norm::Rms)?;
        builder.linear(low, layer, "attn_q_b")?
    };
    let q = builder.graph.reshape_3d(flat, head, heads, tokens);
    let both = builder.linear(current, layer, "attn_kv_a_mqa")?;
    let row = (rank + rope) * 4;
    let kv = builder.graph.view_2d(both, [rank, tokens], row, 0);
    let k_rope = builder.graph.view_3d(both, [rope, 1, tokens], row, row, rank * 4);
    let positions = builder.positions();
    let k_rope = builder.graph.rope(k_rope, positions, None);
    let kv = builder.layer_norm(kv, layer, "attn_kv_a_norm", Norm::Rms)?;
    Ok(Compressed { q, kv, k_rope, plain: head.saturating_sub(rope), rope })
}

/// One shared latent head; the keys' expansion is absorbed into the queries.
fn absorbed(builder: &mut Builder<'_>, parts: Compressed, layer: usize) -> Result<Id, Error> {
    let (heads, tokens) = (builder.hparams.heads_at(layer), builder.run.tokens);
    let rank = builder.hparams.kv_rank;
    let of = *builder.graph.get(parts.q);
    let plain = builder.graph.view_3d(parts.q, [parts.plain, heads, tokens], of.nb[1], of.nb[2], 0);
    let rope =
        builder.graph.view_3d(parts.q, [parts.rope, heads, tokens], of.nb[1], of.nb[2], parts.plain * 4);
    let positions = builder.positions();
    let rope = builder.graph.rope(rope, positions, None);
    let plain = builder.graph.permute_0213(plain);
    let matrix = builder.at(layer, "attn_k_b.weight")?;
    let absorbed = builder.graph.mul_mat(matrix, plain);
    let absorbed = builder.graph.permute_0213(absorbed);
    let mut q = builder.graph.concat_rows(absorbed, rope);
    let v = builder.graph.reshape_3d(parts.kv, rank, 1, tokens);
    let k = builder.graph.concat_rows(v, parts.k_rope);
    if builder.hparams.attention_temperature {
        let scale = builder.temperature();
        q = builder.graph.mul(q, scale);
    }
    let latent_values = Some(builder.at(layer, "attn_v_b.weight")?);
    builder.attend(Qkv { q, k, v }, layer, AttentionWeights { latent_values, ..AttentionWeights::default() })
}

/// Full heads, for files without the absorbed matrices.
fn expanded(builder: &mut Builder<'_>, parts: Compressed, layer: usize) -> Result<Id, Error> {
    let (heads, tokens) = (builder.hparams.heads_at(layer), builder.run.tokens);
    let value = builder.hparams.head_v(layer);
    let kv = builder.linear(parts.kv, layer, "attn_kv_b")?;
    let head = (parts.plain + value) * 4;
    let k_plain = builder.graph.view_3d(kv, [parts.plain, heads, tokens], head, head * heads, 0);
    let v = builder.graph.view_3d(kv, [value, heads, tokens], head, head * heads, parts.plain * 4);
    let v = builder.graph.cont(v);
    let positions = builder.positions();
    let mut q = builder.graph.rope(parts.q, positions, None);
    let repeated = builder.graph.repeat(parts.k_rope, [parts.rope, heads, tokens, 1]);
    let k = builder.graph.concat_rows(k_plain, repeated);
    if builder.hparams.attention_temperature {
        let scale = builder.temperature();
        q = builder.graph.mul(q, scale);
    }
    builder.attend(Qkv { q, k, v }, layer, AttentionWeights::default())
}
