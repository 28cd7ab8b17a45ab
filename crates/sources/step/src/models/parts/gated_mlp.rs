//! The gated feed-forward of the Llama family (`LlamaMLP`).

use brimful_models::Activation as Kind;

use crate::nn::{Activation, Builder, Forward, Linear, Module};
use crate::ops;
use crate::tensor::Tensor;

/// `mlp`.
pub(in crate::models) struct GatedMlp {
    gate_proj: Module<Linear>,
    up_proj: Module<Linear>,
    down_proj: Module<Linear>,
    act_fn: Module<Activation>,
}

impl GatedMlp {
    /// The feed-forward with this activation.
    pub fn new(builder: &Builder, act: Kind) -> GatedMlp {
        GatedMlp {
            gate_proj: builder.linear("gate_proj"),
            up_proj: builder.linear("up_proj"),
            down_proj: builder.linear("down_proj"),
            act_fn: builder.activation("act_fn", act),
        }
    }
}

impl Forward for GatedMlp {
    /// `[B, S, width]`.
    type Input<'a> = &'a Tensor;
    /// As the input.
    type Output = Tensor;

    /// `down_proj(act_fn(gate_proj(x)) * up_proj(x))`.
    fn forward(&self, x: &Tensor) -> Tensor {
        // The gate's projection is a temporary: it goes before `up_proj` runs.
        let gate = {
            let projected = self.gate_proj.call(x);
            self.act_fn.call(&projected)
        };
        let up = self.up_proj.call(x);
        let product = ops::mul(gate, up);
        self.down_proj.call(&product)
    }
}
