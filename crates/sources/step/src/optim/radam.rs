use super::{Averages, Implementation, Optimizer, Parameters, decayed, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.RAdam` (torch/optim/radam.py).
pub(crate) struct RAdam {
    parameters: Parameters,
    implementation: Implementation,
    weight_decay: bool,
    states: Vec<Averages>,
    /// Steps taken.
    steps: u64,
}

/// The first step whose variance is rectified with torch's own `betas`: the length of the average is then above 5.
const FIRST_RECTIFIED: u64 = 6;

impl RAdam {
    /// `weight_decay` says whether weights decay through the gradient.
    pub fn new(parameters: Parameters, implementation: Implementation, weight_decay: bool) -> RAdam {
        RAdam { parameters, implementation, weight_decay, states: Vec::new(), steps: 0 }
    }

    fn foreach(&self, grads: &[Tensor]) {
        let decayed = self.weight_decay.then(|| ops::foreach("_foreach_add", grads));
        // `del grouped_grads` before the square roots are taken.
        drop(decayed);
        let squares: Vec<Tensor> = self.states.iter().map(|state| state.second.clone()).collect();
        drop(ops::foreach("_foreach_sqrt", &squares));
    }

    fn for_loop(&self, grads: &[Tensor]) {
        let (mut last_grad, mut last_corrected) = (None::<Tensor>, None::<Tensor>);
        for (state, grad) in self.states.iter().zip(grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = decayed(grad, self.weight_decay);
            // `bias_corrected_exp_avg = exp_avg / bias_correction1`: the one before goes when the new one is there.
            let corrected = ops::div_scalar(&state.first);
            drop(last_corrected.replace(corrected.clone()));
            let update = ops::mul_scalar(&corrected);
            if self.steps >= FIRST_RECTIFIED {
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

impl Optimizer for RAdam {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        if self.states.is_empty() {
            self.states = Averages::of(&parameters);
        }
        self.steps += 1;
        match self.implementation {
            Implementation::ForLoop => self.for_loop(&grads),
            Implementation::Foreach | Implementation::Fused => self.foreach(&grads),
        }
    }
}
