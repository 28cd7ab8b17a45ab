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

/// The parameters and the running statistics of a batch norm, each of `[channels]`.
pub(crate) struct BatchNorm<'a> {
    /// The factor.
    pub weight: &'a Tensor,
    /// The summand.
    pub bias: &'a Tensor,
    /// The running mean and variance.
    pub running: [&'a Tensor; 2],
    /// Whether statistics of the batch are taken.
    pub training: bool,
}

/// `F.batch_norm(x, …)` of row-major images (`_batch_norm_impl_index` in aten/src/ATen/native/Normalization.cpp).
pub(crate) fn batch_norm(x: &Tensor, norm: &BatchNorm<'_>) -> Tensor {
    // cuDNN's kernels keep weights in fp32 and know no bf16.
    let cudnn = norm.weight.dtype() == Dtype::F32 && matches!(x.dtype(), Dtype::F32 | Dtype::F16);
    let (name, node, backward) = if cudnn {
        ("cudnn_batch_norm", "CudnnBatchNormBackward0", "cudnn_batch_norm_backward")
    } else {
        ("native_batch_norm", "NativeBatchNormBackward0", "native_batch_norm_backward")
    };
    let [mean, variance] = norm.running.map(Tensor::clone);
    // cuDNN takes none of the batch's statistics where the running ones are used.
    let channels = if cudnn && !norm.training { 0 } else { x.dim(1) };
    let (out, _) = Op::new(name, node, &[x, norm.weight, norm.bias])
        .saves_inputs(|| saved![Some(x.clone()), Some(mean), Some(variance), Some(norm.weight.clone())])
        .run(|| {
            let out = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
            let mean = Tensor::empty(x.device(), [channels], Dtype::F32);
            // A tuple drops its last value first.
            (out, Statistics { inverse: Tensor::empty(x.device(), [channels], Dtype::F32), mean })
        })
        .saves_results(|(_, statistics)| {
            saved![Some(statistics.mean.clone()), Some(statistics.inverse.clone())]
        })
        .backward(move |call| {
            let _op = call.grad().device().op(backward);
            let (x, weight) = (call.saved(0), call.saved(3));
            let x_grad = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
            let weight_grad = Tensor::empty(x.device(), weight.shape().clone(), weight.dtype());
            let bias_grad = Tensor::empty(x.device(), weight.shape().clone(), weight.dtype());
            grads![Some(x_grad), Some(weight_grad), Some(bias_grad)]
        });
    out
}

/// What a kernel found of a batch.
struct Statistics {
    /// One over the standard deviations.
    inverse: Tensor,
    /// The means.
    mean: Tensor,
}

/// `F.group_norm(x, groups, weight, bias)` of row-major images (aten/src/ATen/native/cuda/group_norm_kernel.cu), which autocast
/// runs in fp32.
pub(crate) fn group_norm(x: &Tensor, groups: u64, weight: &Tensor, bias: &Tensor) -> Tensor {
    let (bias, weight, x) = (to_float(bias), to_float(weight), &to_float(x));
    let (samples, channels) = (x.dim(0), x.dim(1));
    let device = x.device().clone();
    let wide = move |columns: u64| Tensor::empty(&device, [samples, columns], Dtype::F32);
    let make = wide.clone();
    let (out, _) = Op::new("native_group_norm", "NativeGroupNormBackward0", &[x, &weight, &bias])
        .saves_inputs(|| saved![Some(x.clone()), Some(weight.clone())])
        .run(|| {
            let out = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
            let [mean, rstd] = [(), ()].map(|()| Tensor::empty(x.device(), [samples, groups], x.dtype()));
            // Half precision takes its statistics in fp32 first.
            let halves = (x.dtype() != Dtype::F32).then(|| (make(groups), make(groups)));
            let (factors, summands) = (make(channels), make(channels));
            drop(summands);
            drop(factors);
            if let Some((mean, rstd)) = halves {
                drop(rstd);
                drop(mean);
            }
            (out, (mean, rstd))
        })
        .saves_results(|(_, (mean, rstd))| saved![Some(mean.clone()), Some(rstd.clone())])
        .backward(move |call| {
            let _op = call.grad().device().op("native_group_norm_backward");
            let (x, weight) = (call.saved(0), call.saved(1));
            let grad_rows = row_major(call.grad());
            let x_grad = call.want(0, || Tensor::empty(x.device(), x.shape().clone(), x.dtype()));
            let of_weight = || Tensor::empty(x.device(), weight.shape().clone(), weight.dtype());
            let (weight_grad, bias_grad) = (call.want(1, of_weight), call.want(2, of_weight));
            let sums = (wide(channels), wide(channels));
            let (second, third) = (wide(groups), wide(groups));
            let first = wide(channels);
            drop(third);
            drop(second);
            drop(first);
            drop(sums.1);
            drop(sums.0);
            drop(grad_rows);
            grads![x_grad, weight_grad, bias_grad]
        });
    out
}

/// A row-major copy for the time of a kernel; the tensor itself where it is row-major.
fn row_major(x: &Tensor) -> Tensor {
    if x.is_contiguous() { x.clone() } else { Tensor::empty(x.device(), x.shape().clone(), x.dtype()) }
}
