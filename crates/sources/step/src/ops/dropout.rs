//! Dropout (aten/src/ATen/native/cuda/Dropout.cu).

use brimful_units::Dtype;

use super::iterator::result;
use super::{Operand, grads, saved};
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `dropout(x, p, training)` on CUDA: the fused kernel keeps a byte per element
/// (aten/src/ATen/native/cuda/Dropout.cu). Outside of training the tensor itself.
pub(crate) fn dropout<'a>(x: impl Into<Operand<'a>>, p: f64, training: bool) -> Tensor {
    let x = x.into();
    if training && p > 0.0 { native_dropout(&x) } else { Tensor::clone(&x) }
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
        grads![Some(result(&[call.grad()], call.grad().dtype()))]
    });
    out
}
