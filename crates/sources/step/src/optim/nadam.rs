use super::averages::{Rule, Step};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.NAdam` (torch/optim/nadam.py).
pub(super) struct NAdam;

impl Rule for NAdam {
    fn foreach(step: &Step<'_>) {
        let decayed = step.decayed_list();
        let squares = step.list(|state| &state.second);
        let roots = ops::foreach("_foreach_sqrt", &squares);
        // The function returns: `grouped_grads` was bound before `exp_avg_sq_sqrt`.
        drop(decayed);
        drop(roots);
    }

    fn for_loop(step: &Step<'_>) {
        let (mut last_grad, mut last_denominator) = (None::<Tensor>, None::<Tensor>);
        for (state, grad) in step.states.iter().zip(step.grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = step.decayed(grad);
            // `exp_avg_sq.div(bias_correction2).sqrt()`
            let quotient = ops::div_scalar(&state.second);
            let denominator = ops::plain_unary("sqrt", &quotient, quotient.dtype());
            // The temporary goes first, then the loop's last denominator.
            drop(quotient);
            last_denominator = Some(denominator);
        }
        drop(last_grad);
        drop(last_denominator);
    }
}
