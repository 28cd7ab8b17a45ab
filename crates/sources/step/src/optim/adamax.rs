use super::averages::{Rule, Step};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.Adamax` (torch/optim/adamax.py).
pub(super) struct Adamax;

impl Rule for Adamax {
    /// The list of decayed gradients takes their absolute values in place; without decay a list is made for them.
    fn foreach(step: &Step<'_>) {
        let op = if step.decays() { "_foreach_add" } else { "_foreach_abs" };
        drop(ops::foreach(op, step.grads));
    }

    fn for_loop(step: &Step<'_>) {
        let mut last_grad = None::<Tensor>;
        for grad in step.grads {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = step.decayed(grad);
            drop(ops::like(grad, "abs", grad.dtype()));
        }
    }
}
