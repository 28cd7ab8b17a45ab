//! Layers: modules, the parameters that they hold, and what libraries put around them.

mod builder;
mod lora;
mod module;
mod parameter;

use std::rc::Rc;

use brimful_models::Activation;
use brimful_units::Dtype;

use crate::ops;
use crate::tensor::Tensor;

pub(crate) use builder::Builder;
pub(crate) use module::{Forward, Module, Wrapper};
pub(crate) use parameter::Parameter;

/// `nn.Linear`.
pub(crate) struct Linear {
    module: Rc<Module>,
    pub weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        self.module.call(x, move |x| {
            let bias = bias.as_ref().map(Parameter::tensor);
            ops::linear(x, &weight.tensor(), bias.as_ref())
        })
    }
}

/// transformers' `Conv1D`: a Linear whose weight is `[in, out]`.
pub(crate) struct Conv1d {
    module: Rc<Module>,
    weight: Parameter,
    bias: Parameter,
}

impl Conv1d {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        self.module.call(x, move |x| ops::conv1d(x, &weight.tensor(), &bias.tensor()))
    }
}

/// `nn.Embedding`.
pub(crate) struct Embedding {
    module: Module,
    pub weight: Parameter,
    output_requires_grad: bool,
}

impl Embedding {
    pub fn forward(&self, indices: &Tensor) -> Tensor {
        let _module = self.module.scope(indices.device());
        let out = ops::embedding(&self.weight.tensor(), indices);
        if self.output_requires_grad {
            out.require_grad();
        }
        out
    }
}

/// The root-mean-square norm of the Llama family, written out in Python:
/// `weight * (x * rsqrt(mean(x²) + eps))` in fp32, converted back before the weight.
pub(crate) struct RmsNorm {
    module: Module,
    weight: Parameter,
}

impl RmsNorm {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = self.module.scope(x.device());
        let input_dtype = x.dtype();
        let hidden = ops::to(x, Dtype::F32);
        let variance = ops::mean_last(ops::pow_scalar(&hidden));
        let scale = ops::rsqrt(ops::add_scalar(&variance));
        let normalized = ops::mul(&hidden, scale);
        // `hidden_states` is bound anew before the return; `variance` is a name until the frame ends.
        drop(hidden);
        let out = ops::mul(self.weight.tensor(), ops::to(&normalized, input_dtype));
        drop(normalized);
        drop(variance);
        out
    }
}

/// `nn.LayerNorm`.
pub(crate) struct LayerNorm {
    module: Module,
    weight: Parameter,
    bias: Parameter,
}

impl LayerNorm {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = self.module.scope(x.device());
        ops::layer_norm(x, &self.weight.tensor(), &self.bias.tensor())
    }
}

/// `ACT2FN[name](x)` (transformers/activations.py).
pub(crate) fn activation(kind: Activation, module: &Module, x: &Tensor) -> Tensor {
    let _module = module.scope(x.device());
    match kind {
        Activation::Silu => ops::silu(x),
        Activation::Gelu | Activation::GeluTanh => ops::gelu(x),
        Activation::Relu => ops::relu(x),
        Activation::GeluNew => gelu_new(x),
    }
}

/// `0.5 * x * (1 + tanh(sqrt(2/π) * (x + 0.044715 * x³)))`, op by op.
fn gelu_new(x: &Tensor) -> Tensor {
    let half = ops::mul_scalar(x);
    let cubic = ops::mul_scalar(ops::pow_autocast(x));
    let inner = ops::mul_scalar(ops::add(x, cubic));
    let gate = ops::add_scalar(ops::tanh(inner));
    ops::mul(half, gate)
}

/// `nn.Dropout`.
pub(crate) fn dropout(module: &Module, x: &Tensor, p: f64, training: bool) -> Tensor {
    let _module = module.scope(x.device());
    ops::dropout(x, p, training)
}
