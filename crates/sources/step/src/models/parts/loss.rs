//! `ForCausalLMLoss` (transformers/loss/loss_utils.py).

use crate::ops;
use crate::rules::TransformersRules;
use crate::tensor::Tensor;

/// Logits to fp32, labels (not logits) shifted by padding, cross entropy over all tokens.
pub(in crate::models) fn causal_lm_loss(
    logits: &Tensor,
    labels: &Tensor,
    rules: &TransformersRules,
) -> Tensor {
    let logits = ops::to(logits, rules.loss_dtype);
    let padded = ops::pad_last_by_one(labels);
    let shifted = ops::contiguous(ops::slice(&padded, 1, labels.dim(1)));
    let flat = ops::view(&logits, [logits.numel() / logits.last(0).max(1), logits.last(0)]);
    let targets = ops::view(&shifted, [shifted.numel()]);
    let loss = ops::cross_entropy(&flat, &targets);
    // `fixed_cross_entropy` has returned; the views and the fp32 logits go with the frame of the loss function.
    drop(flat);
    drop(logits);
    drop(padded);
    drop((targets, shifted));
    loss
}
