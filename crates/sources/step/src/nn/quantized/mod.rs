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

    /// `dequantize_bnb_weight` of PEFT: the whole matrix.
    pub fn dense(&self) -> Tensor {
        match self {
            Quantized::FourBit(weight) => weight.dequantized(weight.packed.device()),
            Quantized::EightBit(weight) => weight.dequantized(),
        }
    }

    /// `deepcopy` of a 4-bit layer, which PEFT makes while it initializes DoRA; `None` for 8 bits, which it leaves.
    pub fn deep_copy(&self, bias: Option<&Parameter>) -> Option<Vec<Tensor>> {
        let Quantized::FourBit(weight) = self else { return None };
        // The state first, then the packed tensor; and the state a second time, which the layer holds beside its weight.
        let mut copies: Vec<Tensor> = weight.state().map(deep_copy).collect();
        copies.push(deep_copy(&weight.packed));
        copies.extend(bias.map(|bias| ops::clone_preserving(&bias.tensor())));
        copies.extend(weight.state().map(deep_copy));
        Some(copies)
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

/// `Tensor.__deepcopy__` (torch/_tensor.py, 2.15): the copied storage goes into a new tensor of one element.
fn deep_copy(tensor: &Tensor) -> Tensor {
    let copy = ops::clone_preserving(tensor);
    drop(ops::new_tensor(tensor.device(), "new_empty", [], tensor.dtype()));
    copy
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
