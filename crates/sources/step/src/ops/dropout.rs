//! Dropout (aten/src/ATen/native/cuda/Dropout.cu).

use brimful_units::Dtype;

use super::iterator::result;
use super::{Operand, grads, has_channels_last_strides, saved};
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `dropout(x, p, training)` on CUDA: the fused kernel keeps a byte per element
/// (aten/src/ATen/native/cuda/Dropout.cu). Outside of training the tensor itself.
pub(crate) fn dropout<'a>(x: impl Into<Operand<'a>>, p: f64, training: bool) -> Tensor {
    let x = x.into();
    if training && p > 0.0 { native_dropout(&x) } else { Tensor::clone(&x) }
}

/// `F.dropout(x, p, training, inplace=True)`: `x.mul_(noise)`, where the noise has the input's dtype (`_dropout_impl` in
/// aten/src/ATen/native/Dropout.cpp).
pub(crate) fn dropout_in_place(x: &Tensor, p: f64, training: bool) -> Tensor {
    if !training || p == 0.0 {
        return x.clone();
    }
    let noise = super::plain_unary("empty_like", x, x.dtype());
    Op::new("mul_", "MulBackward0", &[x])
        .saves_inputs(|| saved![Some(noise.clone())])
        .run(|| x.clone())
        .backward(|call| grads![Some(super::mul(call.grad(), call.saved(0)))])
}

fn native_dropout(x: &Tensor) -> Tensor {
    let op = Op::new("native_dropout", "NativeDropoutBackward0", &[x]);
    // The kernel makes the mask before the output.
    let ran = op.run(|| {
        let mask = result(&[x], Dtype::Bool);
        (result(&[x], x.dtype()), mask)
    });
    let (out, _) = ran.saves_results(|(_, mask)| saved![Some(mask.clone())]).backward(|call| {
        let _op = call.grad().device().op("native_dropout_backward");
        // `at::empty_like(self, self.suggest_memory_format())`: row-major, whatever order the gradient has, unless it is one
        // of images in channels-last.
        let grad = call.grad();
        grads![Some(if has_channels_last_strides(grad) {
            result(&[grad], grad.dtype())
        } else {
            Tensor::empty(grad.device(), grad.shape().clone(), grad.dtype())
        })]
    });
    out
}
