//! bitsandbytes' weights (bitsandbytes/nn/modules.py, autograd/_functions.py and backends/cuda/ops.py, 0.50): how one is
//! made of a dense weight, and the layers that compute with it.

mod eight_bit;
mod four_bit;
mod gemm;

use std::rc::Rc;

use brimful_jobs::QuantizedForm;
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use super::Parameter;
use crate::ops;
use crate::tensor::Tensor;

pub(super) use eight_bit::EightBit;
pub(super) use four_bit::{Codes, FourBit};

/// A quantized weight.
pub(super) enum Quantized {
    /// `Params4bit` and its `QuantState`.
    FourBit(FourBit),
    /// `Int8Params`, and the state of its layer.
    EightBit(EightBit),
}

impl Quantized {
    /// Quantizes a dense weight `[out, in]` on the GPU. `codes` are those that all weights of a process share.
    pub fn new(dense: Tensor, form: QuantizedForm, codes: &Codes) -> Quantized {
        match form {
            QuantizedForm::FourBit { double_quant, compute_dtype, storage, .. } => {
                let codes = double_quant.then_some(codes);
                Quantized::FourBit(FourBit::new(&ops::contiguous(dense), (compute_dtype, storage), codes))
            }
            QuantizedForm::EightBit { looks_for_outliers } => {
                Quantized::EightBit(EightBit::new(dense, looks_for_outliers))
            }
        }
    }

    /// The tensor that `named_parameters()` shows.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Quantized::FourBit(weight) => &weight.packed,
            Quantized::EightBit(weight) => &weight.rows,
        }
    }

    /// The dimensions of the matrix, `[out, in]`.
    pub fn shape(&self) -> &Shape {
        match self {
            Quantized::FourBit(weight) => &weight.shape,
            Quantized::EightBit(weight) => weight.rows.shape(),
        }
    }

    /// The layer's forward. PEFT's adapters are around it.
    pub fn linear(self: &Rc<Self>, x: &Tensor, bias: Option<&Parameter>) -> Tensor {
        let quantized = self.clone();
        match &**self {
            Quantized::FourBit(weight) => weight.linear(x, bias, quantized),
            Quantized::EightBit(weight) => weight.linear(x, bias, quantized),
        }
    }

    /// The dtype of the layer: that in which it computes, or that of its bytes.
    pub fn dtype(&self) -> Dtype {
        match self {
            Quantized::FourBit(weight) => weight.compute_dtype,
            Quantized::EightBit(weight) => weight.rows.dtype(),
        }
    }

    /// Whether the layer holds 4 bits.
    pub fn is_four_bit(&self) -> bool {
        matches!(self, Quantized::FourBit(_))
    }
}

/// `bias.data = bias.data.to(x.dtype)`, which changes the bias for good.
fn cast_bias(bias: Option<&Parameter>, x: &Tensor) -> Option<Tensor> {
    let bias = bias?;
    let tensor = bias.tensor();
    if tensor.dtype() != x.dtype() {
        let converted = ops::to(&tensor, x.dtype());
        drop(tensor);
        bias.set_data(converted);
    }
    Some(bias.tensor())
}

/// What holds the weight beside its numbers counts as the weight.
fn part(tensor: Tensor) -> Tensor {
    tensor.categorize(Category::Parameter);
    tensor
}

/// `x @ weight`, of a matrix or of a batch of rows (`should_fold` in aten/src/ATen/native/LinearAlgebra.cpp).
fn product(x: &Tensor, weight: &Tensor) -> Tensor {
    if x.rank() == 2 {
        return ops::mm(x, weight);
    }
    let folds = (0..x.rank().saturating_sub(2))
        .all(|at| x.strides()[at] == x.strides()[at + 1].saturating_mul(x.dim(at + 1)));
    if folds { ops::matmul_folded(x, weight) } else { ops::matmul(x, weight) }
}
