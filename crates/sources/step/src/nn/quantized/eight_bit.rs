//! `Linear8bitLt` of LLM.int8(): a weight in bytes, and inputs that are quantized for each product.

use std::rc::Rc;

use brimful_units::Dtype;

use super::{Quantized, cast_bias, part, product};
use crate::autocast::to_lower;
use crate::autograd::{MATMUL_8BIT, Op};
use crate::nn::Parameter;
use crate::ops::{self, grads};
use crate::tensor::Tensor;

/// A weight in bytes.
pub(in crate::nn) struct EightBit {
    /// `CB`, `[out, in]`.
    pub rows: Tensor,
    /// `SCB`: a scale for each row.
    scales: Tensor,
    looks_for_outliers: bool,
}

impl EightBit {
    /// `Int8Params._quantize`. transformers takes the weight to the host first, and bitsandbytes brings it back in fp16.
    pub fn new(dense: Tensor, looks_for_outliers: bool) -> EightBit {
        let copy = ops::new_tensor(dense.device(), "_to_copy", dense.shape().clone(), Dtype::F16);
        let (rows, scales) = quantized(&copy, false);
        drop(copy);
        drop(dense);
        EightBit { rows: part(rows), scales: part(scales), looks_for_outliers }
    }

    /// `Linear8bitLt.forward`.
    pub fn linear(&self, x: &Tensor, bias: Option<&Parameter>, weight: Rc<Quantized>) -> Tensor {
        let device = x.device().clone();
        drop(cast_bias(bias, x));
        let input = {
            let _off = device.set_grad_enabled(false);
            if x.rank() == 3 { ops::reshape(x, [x.dim(0) * x.dim(1), x.dim(2)]) } else { x.clone() }
        };
        let out_shape = x.shape().with_last(1, &[self.rows.dim(0)]);
        let in_shape = x.shape().clone();
        let kept = input.clone();
        Op::nameless(MATMUL_8BIT, &[x])
            .run(|| {
                let _off = device.set_grad_enabled(false);
                let out = self.matmul(&input);
                if out.shape() == &out_shape { out } else { ops::reshape(&out, out_shape) }
            })
            // `ctx.tensors` holds the input past the node's own release: it goes with the graph.
            .backward(move |call| match &*weight {
                Quantized::EightBit(weight) => {
                    let grad = weight.input_gradient(call.grad(), kept.dtype());
                    grads![Some(ops::view(&grad, in_shape.clone()))]
                }
                Quantized::FourBit(_) => grads![None],
            })
    }

    /// The product of a matrix, without outliers (`MatMul8bitLt.forward`).
    fn matmul(&self, x: &Tensor) -> Tensor {
        let half = ops::to(x, Dtype::F16);
        let (bytes, scales) = quantized(&half, self.looks_for_outliers);
        drop(half);
        let sums = self.int8_linear_matmul(&bytes);
        // `int8_mm_dequant` adds the bias in its kernel or in place.
        let half = ops::plain_unary("int8_mm_dequant", &sums, Dtype::F16);

        let out = ops::to(&half, x.dtype());
        drop(half);
        drop(sums);
        drop((bytes, scales));
        out
    }

    /// Products of bytes, which cuBLASLt computes where a row's bytes are a multiple of 4.
    fn int8_linear_matmul(&self, x: &Tensor) -> Tensor {
        let device = x.device();
        let out = ops::new_tensor(device, "int8_linear_matmul", [x.dim(0), self.rows.dim(0)], Dtype::I32);
        if x.last(0).is_multiple_of(4) {
            return out;
        }
        // `torch.matmul(B.float(), A.float().t()).to(torch.int32)`
        let (left, right) = (ops::to(x, Dtype::F32), ops::to(&self.rows, Dtype::F32));
        let sums = {
            let transposed = ops::t(&right);
            let right_lower = to_lower(&transposed);
            ops::mm(&to_lower(&left), &right_lower)
        };
        drop(left);
        drop(right);
        let whole = ops::to(&sums, Dtype::I32);
        drop(sums);
        drop(whole);
        out
    }

    /// `int8_vectorwise_dequant`: `A * stats.view(-1, 1) / 127`.
    pub fn dequantized(&self) -> Tensor {
        let scaled = ops::plain_unary("mul", &self.rows, Dtype::F32);
        let dense = ops::plain_unary("mul", &scaled, Dtype::F32);
        drop(scaled);
        dense
    }

    /// `grad_output @ CB * SCB / 127`, in the input's dtype.
    fn input_gradient(&self, grad: &Tensor, dtype: Dtype) -> Tensor {
        let grad = match grad.rank() {
            3 => ops::contiguous(ops::reshape(grad, [grad.dim(0) * grad.dim(1), grad.dim(2)])),
            _ => grad.clone(),
        };
        let dense = ops::plain_unary("_to_copy", &self.rows, dtype);
        let scales = ops::plain_unary("mul", &self.scales, Dtype::F32);
        drop(scales);
        let grad = ops::to(&grad, dtype);
        product(&grad, &dense)
    }
}

/// `int8_vectorwise_quant`: bytes, and a scale for each row. Outliers are searched for and not found.
fn quantized(x: &Tensor, looks_for_outliers: bool) -> (Tensor, Tensor) {
    let device = x.device();
    let _op = device.op("int8_vectorwise_quant");
    let scales = Tensor::empty(device, [x.dim(0)], Dtype::F32);
    let bytes = Tensor::empty(device, x.shape().clone(), Dtype::I8);
    if looks_for_outliers {
        let magnitudes = ops::plain_unary("abs", x, x.dtype());
        let outliers = ops::plain_unary("ge", &magnitudes, Dtype::Bool);
        drop(magnitudes);
        drop(ops::reduced_to_scalar(&outliers, "any", Dtype::Bool));
        drop(outliers);
    }
    (bytes, scales)
}
