use super::iterator::result;
use super::{grads, saved};
use crate::autocast::to_float;
use crate::autograd::record;
use crate::tensor::Tensor;
use brimful_units::Dtype;

/// `layer_norm(x, (width,), weight, bias)`.
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let x = &to_float(x);
    let device = x.device();
    let _op = device.op("native_layer_norm");
    let rows = x.numel() / x.last(0).max(1);
    let out = Tensor::empty(device, x.shape().clone(), x.dtype());
    let mean = Tensor::empty(device, [rows], Dtype::F32);
    let rstd = Tensor::empty(device, [rows], Dtype::F32);
    let kept = || saved![Some(x.clone()), Some(weight.clone()), Some(mean), Some(rstd)];
    record(&out, "NativeLayerNormBackward0", &[x, weight, bias], kept, |call| {
        let _op = call.grad().device().op("native_layer_norm_backward");
        let (x, weight) = (call.saved(0), call.saved(1));
        let x_grad = call.want(0, || result(&[x], x.dtype()));
        let weight_grad = call.want(1, || result(&[weight], weight.dtype()));
        grads![x_grad, weight_grad, call.want(2, || result(&[weight], weight.dtype()))]
    });
    out
}
