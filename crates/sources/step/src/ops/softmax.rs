use brimful_units::Dtype;

use super::{grads, saved};
use crate::autocast::to_float;
use crate::autograd::record;
use crate::tensor::Tensor;

/// `softmax(x, -1, dtype)`: converts first.
pub(crate) fn softmax_in(x: &Tensor, dtype: Dtype) -> Tensor {
    let _op = x.device().op("softmax");
    if x.dtype() == Dtype::F16 && dtype == Dtype::F32 {
        return softmax_half_to_float(x);
    }
    let converted = super::to(x, dtype);
    softmax(&converted)
}

/// fp16 goes to fp32 inside the kernel (`softmax` in aten/src/ATen/native/SoftMax.cpp).
fn softmax_half_to_float(x: &Tensor) -> Tensor {
    let out = row_major(x, "_softmax", Dtype::F32);
    record(
        &out,
        "SoftmaxBackward0",
        &[x],
        || saved![Some(out.detach())],
        |call| {
            let grad = row_major(call.grad(), "_softmax_backward_data", Dtype::F16);
            let _op = grad.device().op("_softmax_backward_data");
            drop(super::mul(call.grad(), call.saved(0)));
            grads![Some(grad)]
        },
    );
    out
}

/// `softmax(x, -1)`, which autocast runs in fp32.
pub(crate) fn softmax_autocast(x: &Tensor) -> Tensor {
    softmax(&to_float(x))
}

fn softmax(x: &Tensor) -> Tensor {
    let out = row_major(x, "_softmax", x.dtype());
    record(
        &out,
        "SoftmaxBackward0",
        &[x],
        || saved![Some(out.detach())],
        |call| {
            let grad = row_major(call.grad(), "_softmax_backward_data", call.grad().dtype());
            // `grad * output` is materialised first: softmax_backward_cuda_out in SoftMax.cu
            let _op = grad.device().op("_softmax_backward_data");
            drop(super::mul(call.grad(), call.saved(0)));
            grads![Some(grad)]
        },
    );
    out
}

/// `log_softmax(x, -1)`; the result is saved.
pub(crate) fn log_softmax(x: &Tensor) -> Tensor {
    let out = row_major(x, "_log_softmax", x.dtype());
    let from = x.dtype();
    record(
        &out,
        "LogSoftmaxBackward0",
        &[x],
        || saved![Some(out.detach())],
        move |call| grads![Some(row_major(call.grad(), "_log_softmax_backward_data", from))],
    );
    out
}

fn row_major(x: &Tensor, op: &'static str, dtype: Dtype) -> Tensor {
    let _op = x.device().op(op);
    Tensor::empty(x.device(), x.shape().clone(), dtype)
}
