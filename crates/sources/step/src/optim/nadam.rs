use super::{Averages, Implementation, Optimizer, Parameters, decayed, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.NAdam` (torch/optim/nadam.py).
pub(crate) struct NAdam {
    parameters: Parameters,
    implementation: Implementation,
    weight_decay: bool,
    states: Vec<Averages>,
}

impl NAdam {
    /// `weight_decay` says whether weights decay through the gradient.
    pub fn new(parameters: Parameters, implementation: Implementation, weight_decay: bool) -> NAdam {
        NAdam { parameters, implementation, weight_decay, states: Vec::new() }
    }

    fn foreach(&self, grads: &[Tensor]) {
        let decayed = self.weight_decay.then(|| ops::foreach("_foreach_add", grads));
        let squares: Vec<Tensor> = self.states.iter().map(|state| state.second.clone()).collect();
        let roots = ops::foreach("_foreach_sqrt", &squares);
        // The function returns: `grouped_grads` was bound before `exp_avg_sq_sqrt`.
        drop(decayed);
        drop(roots);
    }

    fn for_loop(&self, grads: &[Tensor]) {
        let (mut last_grad, mut last_denominator) = (None::<Tensor>, None::<Tensor>);
        for (state, grad) in self.states.iter().zip(grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = decayed(grad, self.weight_decay);
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

impl Optimizer for NAdam {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        if self.states.is_empty() {
            self.states = Averages::of(&parameters);
        }
        match self.implementation {
            Implementation::ForLoop => self.for_loop(&grads),
            Implementation::Foreach | Implementation::Fused => self.foreach(&grads),
        }
    }
}
