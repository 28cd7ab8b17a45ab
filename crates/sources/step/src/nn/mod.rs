//! Layers: parameters and the modules that hold them.

mod lora;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use brimful_jobs::{Lora, Precision};
use brimful_models::Activation;
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use self::lora::{Slot, Target};
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// Makes a model's parameters and buffers on the device, in the order of its constructor.
pub(crate) struct Builder {
    pub device: Device,
    pub dtype: Dtype,
    /// Adapters to come: the model itself is frozen.
    lora: Option<Lora>,
    targets: RefCell<Vec<Target>>,
}

impl Builder {
    pub fn new(device: &Device, precision: Precision, lora: Option<&Lora>) -> Builder {
        let dtype = match precision {
            Precision::Fp32 | Precision::AmpBf16 | Precision::AmpFp16 => Dtype::F32,
            Precision::Fp16 => Dtype::F16,
            Precision::Bf16 => Dtype::Bf16,
        };
        Builder { device: device.clone(), dtype, lora: lora.cloned(), targets: RefCell::default() }
    }

    /// The path of a module of the model: PEFT wraps the model in two more.
    pub fn root(&self, path: &str) -> String {
        match (&self.lora, path) {
            (None, path) => path.to_owned(),
            (Some(_), "") => "base_model.model".to_owned(),
            (Some(_), path) => format!("base_model.model.{path}"),
        }
    }

    pub fn parameter(&self, shape: impl Into<Shape>) -> Tensor {
        let parameter = ops::new_tensor(&self.device, "empty", shape, self.dtype);
        if self.lora.is_none() {
            parameter.require_grad();
        }
        parameter.categorize(Category::Parameter);
        parameter
    }

    pub fn linear(&self, path: String, inputs: u64, outputs: u64, bias: bool) -> Linear {
        Linear {
            adapter: self.slot(&path, inputs, outputs),
            path: path.into(),
            weight: self.parameter([outputs, inputs]),
            bias: bias.then(|| self.parameter([outputs])),
        }
    }

    pub fn conv1d(&self, path: String, inputs: u64, outputs: u64) -> Conv1d {
        Conv1d {
            adapter: self.slot(&path, inputs, outputs),
            path: path.into(),
            weight: self.parameter([inputs, outputs]),
            bias: self.parameter([outputs]),
        }
    }

    /// The place of a Linear's adapter, to be filled where LoRA's `target_modules` name it.
    fn slot(&self, path: &str, inputs: u64, outputs: u64) -> Slot {
        let slot = Rc::new(OnceCell::new());
        if self.lora.as_ref().is_some_and(|lora| lora.target_modules.include(path)) {
            let target = Target { slot: slot.clone(), path: path.to_owned(), inputs, outputs };
            self.targets.borrow_mut().push(target);
        }
        slot
    }

    /// The table of the input tokens. `enable_input_require_grads` is a hook on it.
    pub fn embedding(&self, path: String, rows: u64, width: u64) -> Embedding {
        let requires = self.lora.as_ref().is_some_and(|lora| lora.enable_input_require_grads);
        Embedding { output_requires_grad: requires, ..self.position_embedding(path, rows, width) }
    }

    pub fn position_embedding(&self, path: String, rows: u64, width: u64) -> Embedding {
        Embedding { path: path.into(), weight: self.parameter([rows, width]), output_requires_grad: false }
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
    adapter: Slot,
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}

impl Linear {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        let base = || ops::linear(x, &self.weight, self.bias.as_ref());
        match self.adapter.get() {
            Some(adapter) => adapter.forward(x, base),
            None => base(),
        }
    }

    pub fn parameters(&self) -> impl Iterator<Item = Tensor> + '_ {
        std::iter::once(&self.weight).chain(&self.bias).cloned()
    }
}

/// transformers' `Conv1D`: a Linear whose weight is `[in, out]`.
pub(crate) struct Conv1d {
    pub path: Rc<str>,
    adapter: Slot,
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Conv1d {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _module = x.device().module(&self.path);
        let base = || ops::conv1d(x, &self.weight, &self.bias);
        match self.adapter.get() {
            Some(adapter) => adapter.forward(x, base),
            None => base(),
        }
    }

    pub fn parameters(&self) -> [Tensor; 2] {
        [self.weight.clone(), self.bias.clone()]
    }
}

/// `nn.Embedding`.
pub(crate) struct Embedding {
    pub path: Rc<str>,
    pub weight: Tensor,
    output_requires_grad: bool,
}

impl Embedding {
    pub fn forward(&self, indices: &Tensor) -> Tensor {
        let _module = indices.device().module(&self.path);
        let out = ops::embedding(&self.weight, indices);
        if self.output_requires_grad {
            out.require_grad();
        }
        out
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
