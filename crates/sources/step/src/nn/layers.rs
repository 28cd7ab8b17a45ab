//! The layers of torch.nn and transformers that hold the parameters.

use std::rc::Rc;

use brimful_models::Activation as Kind;
use brimful_units::Dtype;

use super::dora::Base;
use super::{Forward, Parameter};
use crate::ops;
use crate::tensor::Tensor;

/// `nn.Linear`.
pub(crate) struct Linear {
    /// `[out, in]`.
    pub weight: Rc<Parameter>,
    /// `[out]`.
    pub bias: Option<Rc<Parameter>>,
}

impl Linear {
    /// The layer as an adapter sees it.
    pub(super) fn base(&self) -> Base {
        Base { weight: self.weight.clone(), bias: self.bias.clone(), turned: false }
    }
}

impl Forward for Linear {
    /// `[…, in]`.
    type Input<'a> = &'a Tensor;
    /// `[…, out]`.
    type Output = Tensor;

    fn forward(&self, x: &Tensor) -> Tensor {
        if let Some(quantized) = self.weight.quantized() {
            return quantized.linear(x, self.bias.as_deref());
        }
        let bias = self.bias.as_ref().map(|bias| bias.tensor());
        ops::linear(x, &self.weight.tensor(), bias.as_ref())
    }
}

/// transformers' `Conv1D` (transformers/pytorch_utils.py): a Linear whose weight is transposed.
pub(crate) struct Conv1d {
    /// `[in, out]`.
    pub weight: Rc<Parameter>,
    /// `[out]`.
    pub bias: Rc<Parameter>,
}

impl Conv1d {
    /// The layer as an adapter sees it.
    pub(super) fn base(&self) -> Base {
        Base { weight: self.weight.clone(), bias: Some(self.bias.clone()), turned: true }
    }
}

impl Forward for Conv1d {
    /// `[…, in]`.
    type Input<'a> = &'a Tensor;
    /// `[…, out]`.
    type Output = Tensor;

    fn forward(&self, x: &Tensor) -> Tensor {
        if let Some(quantized) = self.weight.quantized() {
            return quantized.linear(x, Some(&self.bias));
        }
        ops::conv1d(x, &self.weight.tensor(), &self.bias.tensor())
    }
}

/// `nn.Embedding`, and with a scale `Gemma2TextScaledWordEmbedding`.
pub(crate) struct Embedding {
    /// `[rows, width]`.
    pub weight: Rc<Parameter>,
    /// What the rows are multiplied by: a buffer of one number; `None` if the family does not scale.
    pub embed_scale: Option<Tensor>,
}

impl Forward for Embedding {
    /// Indices, `[…]`.
    type Input<'a> = &'a Tensor;
    /// `[…, width]`.
    type Output = Tensor;

    fn forward(&self, indices: &Tensor) -> Tensor {
        let weight = self.weight.tensor();
        let rows = ops::embedding(&weight, indices);
        match &self.embed_scale {
            // `embed_scale.to(weight.dtype)` is the buffer itself unless PEFT has converted the weight since.
            Some(scale) => ops::mul(rows, ops::to(scale, weight.dtype())),
            None => rows,
        }
    }
}

/// The root-mean-square norm of the Llama family (`LlamaRMSNorm`), written out in Python:
/// `weight * (x * rsqrt(mean(x²) + eps))` in fp32, converted back before the weight.
pub(crate) struct RmsNorm {
    /// `[width]`.
    pub weight: Rc<Parameter>,
}

impl Forward for RmsNorm {
    /// `[…, width]`.
    type Input<'a> = &'a Tensor;
    /// As the input.
    type Output = Tensor;

    fn forward(&self, x: &Tensor) -> Tensor {
        let input_dtype = x.dtype();
        let hidden = ops::to(x, Dtype::F32);
        let variance = ops::mean_last(ops::pow_scalar(&hidden));
        let scale = ops::rsqrt(ops::add_scalar(&variance));
        let normalized = ops::mul(&hidden, scale);
        // `hidden_states` is bound to the product here, and so the fp32 input goes before the last product.
        drop(hidden);
        let weight = self.weight.tensor();
        let out = ops::mul(&weight, ops::to(&normalized, input_dtype));
        // The rest goes when the function returns: locals in the order of their first binding.
        drop(normalized);
        drop(variance);
        out
    }
}

/// `Gemma2RMSNorm`: everything in fp32, the weight as its distance from 1, converted back at the end.
pub(crate) struct CenteredRmsNorm {
    /// `[width]`.
    pub weight: Rc<Parameter>,
}

impl Forward for CenteredRmsNorm {
    /// `[…, width]`.
    type Input<'a> = &'a Tensor;
    /// As the input.
    type Output = Tensor;

    fn forward(&self, x: &Tensor) -> Tensor {
        let normalized = {
            // `x.float()` is the only argument of `_norm`, whose frame holds it to its end.
            let float = ops::to(x, Dtype::F32);
            let variance = ops::mean_last(ops::pow_scalar(&float));
            ops::mul(&float, ops::rsqrt(ops::add_scalar(variance)))
        };
        let weight = self.weight.tensor();
        // `output` is bound to the product, which frees the normalized input before the conversion.
        let output = ops::mul(&normalized, ops::add_scalar(ops::to(weight, Dtype::F32)));
        drop(normalized);
        ops::to(output, x.dtype())
    }
}

/// `nn.LayerNorm`.
pub(crate) struct LayerNorm {
    /// `[width]`.
    pub weight: Rc<Parameter>,
    /// `[width]`.
    pub bias: Rc<Parameter>,
}

impl Forward for LayerNorm {
    /// `[…, width]`.
    type Input<'a> = &'a Tensor;
    /// As the input.
    type Output = Tensor;

    fn forward(&self, x: &Tensor) -> Tensor {
        ops::layer_norm(x, Some(&self.weight.tensor()), Some(&self.bias.tensor()))
    }
}

/// `ACT2FN[name]` (transformers/activations.py).
pub(crate) struct Activation {
    /// Which function.
    pub kind: Kind,
}

impl Forward for Activation {
    /// Any shape.
    type Input<'a> = &'a Tensor;
    /// As the input.
    type Output = Tensor;

    fn forward(&self, x: &Tensor) -> Tensor {
        match self.kind {
            Kind::Silu => ops::silu(x),
            Kind::Gelu | Kind::GeluTanh => ops::gelu(x),
            Kind::Relu => ops::relu(x),
            Kind::GeluNew => gelu_new(x),
        }
    }
}

/// `0.5 * x * (1 + tanh(sqrt(2/π) * (x + 0.044715 * x³)))`, op by op.
pub(crate) fn gelu_new(x: &Tensor) -> Tensor {
    // Python evaluates `0.5 * input` first and holds it on its stack to the last product.
    let half = ops::mul_scalar(x);
    let cubic = ops::mul_scalar(ops::pow_autocast(x));
    let inner = ops::mul_scalar(ops::add(x, cubic));
    let gate = ops::add_scalar(ops::tanh(inner));
    ops::mul(half, gate)
}

/// `nn.Dropout`.
pub(crate) struct Dropout {
    /// The probability that an element becomes 0.
    pub p: f64,
}

impl Forward for Dropout {
    /// A tensor of any shape, and whether the model trains.
    type Input<'a> = (&'a Tensor, bool);
    /// As the input.
    type Output = Tensor;

    fn forward(&self, (x, training): (&Tensor, bool)) -> Tensor {
        ops::dropout(x, self.p, training)
    }
}
