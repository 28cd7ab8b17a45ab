//! Losses (aten/src/ATen/native/LossNLL.cpp, aten/src/ATen/native/Loss.cpp, aten/src/ATen/native/cuda/Loss.cu).

use super::iterator::result;
use super::{grads, saved};
use crate::autocast::to_float;
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `cross_entropy(logits, target)` of two-dimensional logits: log-softmax, then the negative
/// log-likelihood with the number of targets as a second output.
pub(crate) fn cross_entropy(logits: &Tensor, target: &Tensor) -> Tensor {
    let _op = logits.device().op("cross_entropy_loss");
    let log_probabilities = super::log_softmax(logits);
    // Autocast leaves log_softmax as it is, since the call names its dtype, and runs nll_loss in fp32
    // (aten/src/ATen/autocast_mode.h, torch 2.15).
    let log_probabilities = to_float(&log_probabilities);
    nll_loss(&log_probabilities, target)
}

fn nll_loss(x: &Tensor, target: &Tensor) -> Tensor {
    let op = Op::new("nll_loss_forward", "NllLossBackward0", &[x]);
    let scalar = || Tensor::empty(x.device(), [], x.dtype());
    let ran = op.saves_inputs(|| saved![Some(x.clone()), Some(target.clone())]).run(|| (scalar(), scalar()));
    let (loss, _) =
        ran.saves_results(|(_, total_weight)| saved![Some(total_weight.clone())]).backward(|call| {
            let x = call.saved(0);
            let _op = x.device().op("nll_loss_backward");
            grads![Some(Tensor::empty(x.device(), x.shape().clone(), x.dtype()))]
        });
    loss
}

/// `mse_loss(x, target)`, the mean, which autocast runs in fp32. Its one number keeps the memory of a whole tensor: the meta
/// function makes the output as large as the input, and `mean_out` then narrows it.
pub(crate) fn mse_loss(x: &Tensor, target: &Tensor) -> Tensor {
    let (target, x) = (to_float(target), to_float(x));
    Op::new("mse_loss", "MseLossBackward0", &[&x])
        .saves_inputs(|| saved![Some(x.clone()), Some(target.clone())])
        .run(|| {
            let out = result(&[&x, &target], x.dtype());
            let squares = result(&[&x, &target], x.dtype());
            super::stage_mean(&squares);
            drop(squares);
            out.unsafe_view_as([].into(), [].into())
        })
        .backward(|call| {
            let x = call.saved(0);
            let _op = x.device().op("mse_loss_backward");
            grads![Some(result(&[x], x.dtype()))]
        })
}
