//! Feed-forward layers (`build_ffn`).

use super::builder::Builder;
use crate::Error;
use crate::ggml::{Id, Op, Unary};

/// The function between the two products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    Gelu,
    ReluSquared,
    /// One matrix computes gate and values side by side.
    SwigluFused,
    /// gpt-oss' clamped function.
    SwigluOai,
}

/// Which matrices a feed-forward layer has, by their names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedForward {
    pub up: &'static str,
    /// `None`: without a gate.
    pub gate: Option<&'static str>,
    pub down: &'static str,
    pub activation: Activation,
}

impl FeedForward {
    /// With a gate beside the values.
    pub const fn gated(activation: Activation) -> Self {
        FeedForward { up: "ffn_up", gate: Some("ffn_gate"), down: "ffn_down", activation }
    }

    /// Without a gate.
    pub const fn plain(activation: Activation) -> Self {
        FeedForward { up: "ffn_up", gate: None, down: "ffn_down", activation }
    }

    /// The expert that every token takes.
    pub const fn shared(activation: Activation) -> Self {
        FeedForward { up: "ffn_up_shexp", gate: Some("ffn_gate_shexp"), down: "ffn_down_shexp", activation }
    }
}

impl Builder<'_> {
    /// A feed-forward layer.
    pub fn feed_forward(&mut self, current: Id, layer: usize, shape: FeedForward) -> Result<Id, Error> {
        let up = self.linear(current, layer, shape.up)?;
        let hidden = match shape.gate {
            Some(gate) => {
                let gate = self.linear(current, layer, gate)?;
                self.graph.glu_split(gate, up)
            }
            None => self.activation(up, shape.activation),
        };
        self.linear(hidden, layer, shape.down)
    }

    pub(super) fn activation(&mut self, current: Id, activation: Activation) -> Id {
        match activation {
            Activation::Silu => self.graph.unary(Unary::Silu, current),
            Activation::Gelu => self.graph.unary(Unary::Gelu, current),
            Activation::ReluSquared => {
                let relu = self.graph.unary(Unary::Relu, current);
                self.graph.same(Op::Sqr, relu)
            }
            Activation::SwigluFused | Activation::SwigluOai => self.graph.glu(current),
        }
    }
}
