//! Layer norm and the fused RMS norm (aten/src/ATen/native/cuda/layer_norm_kernel.cu).

use brimful_units::Dtype;

use super::iterator::result;
use super::{grads, saved};
use crate::autocast::to_float;
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `layer_norm(x, (width,), weight, bias)`.
pub(crate) fn layer_norm(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
    // autocast converts from the last argument to the first: C++ compilers evaluate them in this order.
    let (bias, weight, x) = (bias.map(to_float), weight.map(to_float), &to_float(x));
    let rows = x.numel() / x.last(0).max(1);
    let statistic = || Tensor::empty(x.device(), [rows], Dtype::F32);
    // Gradients come by position: the input's, and those of what there is of weight and bias.
    let inputs: Vec<&Tensor> = [Some(x), weight.as_ref(), bias.as_ref()].into_iter().flatten().collect();
    let (has_weight, has_bias) = (weight.is_some(), bias.is_some());
    let ran = Op::new("native_layer_norm", "NativeLayerNormBackward0", &inputs)
        .saves_inputs(|| saved![bias.clone(), Some(x.clone()), weight.clone()])
        .run(|| {
            // The kernel reads row-major rows (`input.expect_contiguous()`).
            let rows = row_major(x);
            let out = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
            let statistics = (statistic(), statistic());
            drop(rows);
            (out, statistics)
        });
    let (out, _) = ran
        .saves_results(|(_, (mean, rstd))| saved![Some(mean.clone()), Some(rstd.clone())])
        .backward(move |call| {
            let _op = call.grad().device().op("native_layer_norm_backward");
            let x = call.saved(1);
            let rows = row_major(x);
            let x_grad = call.want(0, || Tensor::empty(x.device(), x.shape().clone(), x.dtype()));
            let of_saved = |at: usize| result(&[call.saved(at)], call.saved(at).dtype());
            let weight_grad = has_weight.then(|| call.want(1, || of_saved(2)));
            let bias_grad = has_bias.then(|| call.want(1 + usize::from(has_weight), || of_saved(0)));
            let grad_rows = row_major(call.grad());
            drop(grad_rows);
            drop(rows);
            [Some(x_grad), weight_grad, bias_grad].into_iter().flatten().collect()
        });
    out
}

/// `F.rms_norm(x, (width,))` without a weight (`_fused_rms_norm`), which autocast runs in fp32.
pub(crate) fn rms_norm(x: &Tensor) -> Tensor {
    let x = &to_float(x);
    let rows = x.numel() / x.last(0).max(1);
    let ran = Op::new("_fused_rms_norm", "FusedRmsNormBackward0", &[x])
        .saves_inputs(|| saved![Some(x.clone())])
        .run(|| {
            let copy = row_major(x);
            let out = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
            let rstd = Tensor::empty(x.device(), [rows], Dtype::F32);
            drop(copy);
            (out, rstd)
        });
    let (out, _) = ran.saves_results(|(_, rstd)| saved![Some(rstd.clone())]).backward(|call| {
        let _op = call.grad().device().op("_fused_rms_norm_backward");
        let x = call.saved(0);
        let copy = row_major(x);
        let x_grad = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
        let grad_rows = row_major(call.grad());
        drop(grad_rows);
        drop(copy);
        grads![Some(x_grad)]
    });
    out
}

/// A row-major copy for the time of a kernel; the tensor itself where it is row-major.
fn row_major(x: &Tensor) -> Tensor {
    if x.is_contiguous() { x.clone() } else { Tensor::empty(x.device(), x.shape().clone(), x.dtype()) }
}
