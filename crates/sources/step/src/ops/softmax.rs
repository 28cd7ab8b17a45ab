//! Softmax and its logarithm (aten/src/ATen/native/cuda/SoftMax.cu).

use brimful_units::Dtype;

use super::{grads, saved};
use crate::autocast::{active_dtype, to_float};
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `softmax(x, -1, dtype)`: converts first, but for fp16 to fp32, which the kernel does itself (`softmax` in
/// aten/src/ATen/native/SoftMax.cpp).
pub(crate) fn softmax_in(x: &Tensor, dtype: Dtype) -> Tensor {
    let _op = x.device().op("softmax");
    if x.dtype() == Dtype::F16 && dtype == Dtype::F32 {
        return softmax(x, Dtype::F32);
    }
    let converted = super::to(x, dtype);
    softmax(&converted, converted.dtype())
}

/// `softmax(x, -1)`, to which autocast passes `dtype=torch.float32` (`fp32_set_opt_dtype` in aten/src/ATen/autocast_mode.h):
/// the kernel converts fp16 itself, as in [`softmax_in`].
pub(crate) fn softmax_autocast(x: &Tensor) -> Tensor {
    if x.dtype() == Dtype::F16 && active_dtype(x.device()).is_some() {
        return softmax(x, Dtype::F32);
    }
    let x = to_float(x);
    softmax(&x, x.dtype())
}

fn softmax(x: &Tensor, dtype: Dtype) -> Tensor {
    let from = x.dtype();
    Op::new("_softmax", "SoftmaxBackward0", &[x])
        .run(|| of_rows(x, dtype))
        .saves_results(|out| saved![Some(out.detach())])
        .backward(move |call| {
            let _op = call.grad().device().op("_softmax_backward_data");
            let grad = row_major(call.grad(), from);
            // `grad * output` is materialised: softmax_backward_cuda_out in SoftMax.cu
            drop(super::mul(call.grad(), call.saved(0)));
            grads![Some(grad)]
        })
}

/// `log_softmax(x, -1)`; the result is saved.
pub(crate) fn log_softmax(x: &Tensor) -> Tensor {
    let from = x.dtype();
    Op::new("_log_softmax", "LogSoftmaxBackward0", &[x])
        .run(|| of_rows(x, from))
        .saves_results(|out| saved![Some(out.detach())])
        .backward(move |call| {
            let _op = call.grad().device().op("_log_softmax_backward_data");
            grads![Some(row_major(call.grad(), from))]
        })
}

/// The result of the kernel, which reads row-major numbers: of others it makes a copy for itself, after the result
/// (`host_softmax`).
fn of_rows(x: &Tensor, dtype: Dtype) -> Tensor {
    let out = row_major(x, dtype);
    drop((!x.is_contiguous()).then(|| row_major(x, x.dtype())));
    out
}

fn row_major(x: &Tensor, dtype: Dtype) -> Tensor {
    Tensor::empty(x.device(), x.shape().clone(), dtype)
}
