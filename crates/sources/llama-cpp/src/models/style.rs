//! How plain decoders differ from each other.

use crate::build::{Activation, Experts, FeedForward, Norm};
use crate::hparams::Gating;

/// How queries and keys are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryNorm {
    /// Not, or per head before RoPE, as the file has their weights.
    Head,
    /// Over all heads before they are split.
    Flat,
}

/// The expert that every token takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SharedExpert {
    None,
    /// Added if the file has it.
    Plain,
    /// Times a gate of its own (Qwen2-MoE).
    Gated,
}

/// Where norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Before attention and before the feed-forward layer.
    Before,
    /// Before and behind both (Gemma 2, GLM-4).
    Around,
    /// Behind both (OLMo 2).
    Behind,
    /// One norm before both, which are computed side by side (Command R).
    Parallel,
}

/// Which layers have RoPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rope {
    All,
    /// Those with a window; all if the model has no windows.
    Windowed,
    /// All but each fourth.
    ThreeOfFour,
}

/// A plain decoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub norm: Norm,
    pub frame: Frame,
    pub query_norm: QueryNorm,
    /// Is the embedding scaled by the root of its width (Gemma)?
    pub scaled_embedding: bool,
    /// Are queries scaled before attention?
    pub scaled_queries: bool,
    /// Which layers have RoPE.
    pub rope: Rope,
    /// Are queries scaled by position, if the model says so?
    pub temperature: bool,
    /// Are factors of RoPE's frequencies looked for?
    pub rope_factors: bool,
    /// The name of the norm before the feed-forward layer.
    pub feed_forward_norm: &'static str,
    pub feed_forward: FeedForward,
    pub experts: Experts,
    /// Do keys of the file say how experts are chosen, and whether their weights add up to 1?
    pub gating_by_key: bool,
    pub norm_by_key: bool,
    pub shared: SharedExpert,
    /// Is the attention's output added before the residual where both halves stand side by side (Phi-2)?
    pub attention_first: bool,
    /// Are the rows of the wanted outputs taken behind the last layer, and not inside it (gpt-oss)?
    pub late_outputs: bool,
    /// Is the norm behind the feed-forward layer pinned to the layer's device?
    pub pinned_post_norm: bool,
}

const PLAIN: Style = Style {
    norm: Norm::Rms,
    frame: Frame::Before,
    query_norm: QueryNorm::Head,
    scaled_embedding: false,
    scaled_queries: false,
    rope: Rope::All,
    temperature: false,
    rope_factors: false,
    feed_forward_norm: "ffn_norm",
    feed_forward: FeedForward::gated(Activation::Silu),
    experts: Experts { gating: Gating::Softmax, norm: true, activation: Activation::Silu },
    gating_by_key: false,
    norm_by_key: false,
    shared: SharedExpert::None,
    attention_first: false,
    late_outputs: false,
    pinned_post_norm: false,
};

const GEMMA: Style = Style {
    scaled_embedding: true,
    scaled_queries: true,
    feed_forward: FeedForward::gated(Activation::Gelu),
    ..PLAIN
};

/// The style of an architecture; `None` if it is no plain decoder.
pub(super) fn of(arch: &str) -> Option<Style> {
    Some(match arch {
        "llama" => Style { rope_factors: true, ..PLAIN },
        "granite" | "granitemoe" => Style { rope_factors: true, shared: SharedExpert::Plain, ..PLAIN },
        "qwen2" | "qwen2vl" | "qwen3" | "qwen3moe" | "internlm2" | "ernie4_5" => PLAIN,
        "seed_oss" => Style { feed_forward_norm: "post_attention_norm", ..PLAIN },
        "smollm3" => Style { rope: Rope::ThreeOfFour, ..PLAIN },
        "mistral3" => Style { rope_factors: true, temperature: true, ..PLAIN },
        "ernie4_5-moe" => Style { shared: SharedExpert::Plain, ..PLAIN },
        "dots1" => Style { gating_by_key: true, norm_by_key: true, shared: SharedExpert::Plain, ..PLAIN },
        "glm4moe" => Style {
            feed_forward_norm: "post_attention_norm",
            gating_by_key: true,
            norm_by_key: true,
            shared: SharedExpert::Plain,
            ..PLAIN
        },
        "minimax-m2" => Style { query_norm: QueryNorm::Flat, gating_by_key: true, ..PLAIN },
        "olmoe" => {
            Style { query_norm: QueryNorm::Flat, experts: Experts { norm: false, ..PLAIN.experts }, ..PLAIN }
        }
        "exaone4" => Style { frame: Frame::Behind, rope: Rope::Windowed, rope_factors: true, ..PLAIN },
        "nemotron" => {
            Style { norm: Norm::Layer, feed_forward: FeedForward::plain(Activation::ReluSquared), ..PLAIN }
        }
        "stablelm" => Style { norm: Norm::Layer, ..PLAIN },
        "cohere2" => Style {
            norm: Norm::Layer,
            frame: Frame::Parallel,
            rope: Rope::Windowed,
            rope_factors: true,
            ..PLAIN
        },
        "phi2" => Style {
            norm: Norm::Layer,
            frame: Frame::Parallel,
            scaled_queries: true,
            feed_forward: FeedForward::plain(Activation::Gelu),
            attention_first: true,
            ..PLAIN
        },
        "qwen2moe" => {
            Style { experts: Experts { norm: false, ..PLAIN.experts }, shared: SharedExpert::Gated, ..PLAIN }
        }
        "gemma" => GEMMA,
        "gemma2" | "gemma3" => Style { frame: Frame::Around, ..GEMMA },
        "phi3" => Style {
            scaled_queries: true,
            rope_factors: true,
            feed_forward: FeedForward::plain(Activation::SwigluFused),
            ..PLAIN
        },
        "starcoder2" => {
            Style { norm: Norm::Layer, feed_forward: FeedForward::plain(Activation::Gelu), ..PLAIN }
        }
        "olmo2" => Style { frame: Frame::Behind, query_norm: QueryNorm::Flat, ..PLAIN },
        "glm4" => Style {
            frame: Frame::Around,
            feed_forward: FeedForward::plain(Activation::SwigluFused),
            pinned_post_norm: true,
            ..PLAIN
        },
        "command-r" => Style { norm: Norm::Layer, frame: Frame::Parallel, ..PLAIN },
        "gpt-oss" => Style {
            feed_forward_norm: "post_attention_norm",
            experts: Experts {
                gating: Gating::SoftmaxWeight,
                norm: false,
                activation: Activation::SwigluOai,
            },
            late_outputs: true,
            ..PLAIN
        },
        _ => return None,
    })
}
