use std::borrow::Borrow;

use brimful_units::Dtype;

use super::iterator::result;
use super::{grads, saved};
use crate::autograd::record;
use crate::tensor::Tensor;

/// `dropout(x, p, training)` on CUDA: the fused kernel keeps a byte per element
/// (aten/src/ATen/native/cuda/Dropout.cu). Outside of training the tensor itself.
pub(crate) fn dropout(x: impl Borrow<Tensor>, p: f64, training: bool) -> Tensor {
    let out = if training && p > 0.0 { native_dropout(x.borrow()) } else { x.borrow().clone() };
    drop(x);
    out
}

fn native_dropout(x: &Tensor) -> Tensor {
    let _op = x.device().op("native_dropout");
    let mask = result(&[x], Dtype::Bool);
    let out = result(&[x], x.dtype());
    record(
        &out,
        "NativeDropoutBackward0",
        &[x],
        || saved![Some(mask)],
        |call| {
            let _op = call.grad().device().op("native_dropout_backward");
            grads![Some(result(&[call.grad()], call.grad().dtype()))]
        },
    );
    out
}
