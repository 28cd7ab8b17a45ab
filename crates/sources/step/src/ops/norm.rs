//! Layer norm (aten/src/ATen/native/cuda/layer_norm_kernel.cu).

use brimful_units::Dtype;

use super::iterator::result;
use super::{grads, saved};
use crate::autocast::to_float;
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `layer_norm(x, (width,), weight, bias)`.
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    // autocast converts from the last argument to the first: C++ compilers evaluate them in this order.
    let (bias, weight, x) = (&to_float(bias), &to_float(weight), &to_float(x));
    let rows = x.numel() / x.last(0).max(1);
    let statistic = || Tensor::empty(x.device(), [rows], Dtype::F32);
    let op = Op::new("native_layer_norm", "NativeLayerNormBackward0", &[x, weight, bias]);
    let ran = op
        .saves_inputs(|| saved![Some(bias.clone()), Some(x.clone()), Some(weight.clone())])
        .run(|| (Tensor::empty(x.device(), x.shape().clone(), x.dtype()), (statistic(), statistic())));
    let (out, _) = ran
        .saves_results(|(_, (mean, rstd))| saved![Some(mean.clone()), Some(rstd.clone())])
        .backward(|call| {
            let _op = call.grad().device().op("native_layer_norm_backward");
            let (x, weight) = (call.saved(1), call.saved(2));
            let x_grad = call.want(0, || result(&[x], x.dtype()));
            let weight_grad = call.want(1, || result(&[weight], weight.dtype()));
            grads![x_grad, weight_grad, call.want(2, || result(&[weight], weight.dtype()))]
        });
    out
}
