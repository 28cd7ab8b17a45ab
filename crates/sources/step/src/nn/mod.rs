//! Layers: parameters and the modules that hold them.

use std::rc::Rc;

use brimful_jobs::Precision;
use brimful_models::Activation;
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// Makes a model's parameters and buffers on the device, in the order of its constructor.
pub(crate) struct Builder {
    pub device: Device,
    pub dtype: Dtype,
}

impl Builder {
    pub fn new(device: &Device, precision: Precision) -> Builder {
        let dtype = match precision {
            Precision::Fp32 | Precision::AmpBf16 | Precision::AmpFp16 => Dtype::F32,
            Precision::Fp16 => Dtype::F16,
            Precision::Bf16 => Dtype::Bf16,
        };
        Builder { device: device.clone(), dtype }
    }

    pub fn parameter(&self, shape: impl Into<Shape>) -> Tensor {
        let parameter = ops::new_tensor(&self.device, "empty", shape, self.dtype);
        parameter.require_grad();
        parameter.categorize(Category::Parameter);
        parameter
    }

    pub fn linear(&self, path: String, inputs: u64, outputs: u64, bias: bool) -> Linear {
        Linear {
            path: path.into(),
            weight: self.parameter([outputs, inputs]),
            bias: bias.then(|| self.parameter([outputs])),
        }
    }

    pub fn conv1d(&self, path: String, inputs: u64, outputs: u64) -> Conv1d {
        Conv1d {
            path: path.into(),
            weight: self.parameter([inputs, outputs]),
            bias: self.parameter([outputs]),
        }
    }

    pub fn embedding(&self, path: String, rows: u64, width: u64) -> Embedding {
        Embedding { path: path.into(), weight: self.parameter([rows, width]) }
    }

    pub fn rms_norm(&self, path: String, width: u64) -> RmsNorm {
        RmsNorm { path: path.into(), weight: self.parameter([width]) }
    }

    pub fn layer_norm(&self, path: String, width: u64) -> LayerNorm {
        LayerNorm { path: path.into(), weight: self.parameter([width]), bias: self.parameter([width]) }
    }
}

/// `nn.Linear`.
pub(crate) struct Linear {
    pub path: Rc<str>,
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}

impl Linear {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        ops::linear(x, &self.weight, self.bias.as_ref())
    }

    pub fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        std::iter::once(&self.weight).chain(&self.bias).cloned()
    }
}

/// transformers' `Conv1D`: a Linear whose weight is `[in, out]`.
pub(crate) struct Conv1d {
    pub path: Rc<str>,
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Conv1d {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        ops::conv1d(x, &self.weight, &self.bias)
    }

    pub fn parameters(&self) -> [Tensor; 2] {
        [self.weight.clone(), self.bias.clone()]
    }
}

/// `nn.Embedding`.
pub(crate) struct Embedding {
    pub path: Rc<str>,
    pub weight: Tensor,
}

impl Embedding {
    pub fn forward(&self, indices: &Tensor) -> Tensor {
        let _module = indices.device().module(&self.path);
        ops::embedding(&self.weight, indices)
    }
}

/// The root-mean-square norm of the Llama family, written out in Python:
/// `weight * (x * rsqrt(mean(x²) + eps))` in fp32, converted back before the weight.
pub(crate) struct RmsNorm {
    pub path: Rc<str>,
    pub weight: Tensor,
}

impl RmsNorm {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        let input_dtype = x.dtype();
        let hidden = ops::to(x, Dtype::F32);
        let variance = ops::mean_last(ops::pow_scalar(&hidden));
        let scale = ops::rsqrt(ops::add_scalar(&variance));
        let normalized = ops::mul(&hidden, scale);
        drop(hidden);
        let out = ops::mul(&self.weight, ops::to(&normalized, input_dtype));
        drop(normalized);
        drop(variance);
        out
    }
}

/// `nn.LayerNorm`.
pub(crate) struct LayerNorm {
    pub path: Rc<str>,
    pub weight: Tensor,
    pub bias: Tensor,
}

impl LayerNorm {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        ops::layer_norm(x, &self.weight, &self.bias)
    }

    pub fn parameters(&self) -> [Tensor; 2] {
        [self.weight.clone(), self.bias.clone()]
    }
}

/// `ACT2FN[name](x)` (transformers/activations.py).
pub(crate) fn activation(kind: Activation, path: &Rc<str>, x: &Tensor) -> Tensor {
    let _module = x.device().module(path);
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
pub(crate) fn dropout(path: &Rc<str>, x: &Tensor, p: f64, training: bool) -> Tensor {
    let _module = x.device().module(path);
    ops::dropout(x, p, training)
}
