use super::averages::{Rule, Step};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.Adadelta` (torch/optim/adadelta.py).
pub(super) struct Adadelta;

impl Rule for Adadelta {
    fn foreach(step: &Step<'_>) {
        let decayed = step.decayed_list();
        let deviations = ops::foreach("_foreach_add", &step.list(|state| &state.first));
        let deltas = ops::foreach("_foreach_add", &step.list(|state| &state.second));
        // The function returns: its lists go in the order in which they were bound.
        drop(decayed);
        drop(deviations);
        drop(deltas);
    }

    fn for_loop(step: &Step<'_>) {
        let (mut last_grad, mut last_deviation, mut last_delta) =
            (None::<Tensor>, None::<Tensor>, None::<Tensor>);
        for (state, grad) in step.states.iter().zip(step.grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = step.decayed(grad);
            last_deviation = Some(ops::like(&state.first, "add", grad.dtype()));
            last_delta = Some(ops::like(&state.second, "add", grad.dtype()));
        }
        drop(last_grad);
        drop(last_deviation);
        drop(last_delta);
    }
}
