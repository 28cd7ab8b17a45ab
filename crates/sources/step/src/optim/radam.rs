use super::averages::{Rule, Step};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.RAdam` (torch/optim/radam.py).
pub(super) struct RAdam;

/// The first step whose variance is rectified with torch's own `betas`: the length of the average is then above 5.
const FIRST_RECTIFIED: u64 = 6;

impl Rule for RAdam {
    fn foreach(step: &Step<'_>) {
        let decayed = step.decayed_list();
        // `del grouped_grads` before the square roots are taken.
        drop(decayed);
        let squares = step.list(|state| &state.second);
        drop(ops::foreach("_foreach_sqrt", &squares));
    }

    fn for_loop(step: &Step<'_>) {
        let (mut last_grad, mut last_corrected) = (None::<Tensor>, None::<Tensor>);
        for (state, grad) in step.states.iter().zip(step.grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = step.decayed(grad);
            // `bias_corrected_exp_avg = exp_avg / bias_correction1`: the one before goes when the new one is there.
            let corrected = ops::div_scalar(&state.first);
            drop(last_corrected.replace(corrected.clone()));
            let update = ops::mul_scalar(&corrected);
            if step.number >= FIRST_RECTIFIED {
                rectified(update, &state.second);
            }
        }
        drop(last_grad);
        drop(last_corrected);
    }
}

/// `update * _compute_adaptive_lr() * _compute_rect()`
fn rectified(update: Tensor, exp_avg_sq: &Tensor) {
    let root = ops::plain_unary("sqrt", exp_avg_sq, exp_avg_sq.dtype());
    // A number divided by a tensor is the number times the reciprocal.
    let reciprocal = ops::plain_unary("reciprocal", &root, root.dtype());
    let adaptive_lr = ops::plain_unary("mul", &reciprocal, root.dtype());
    drop(reciprocal);
    drop(root);
    let product = ops::plain_binary("mul", &update, &adaptive_lr);
    drop(update);
    drop(adaptive_lr);
    drop(ops::plain_unary("mul", &product, product.dtype()));
}
