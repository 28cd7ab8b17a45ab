use brimful_units::Dtype;

use super::{Implementation, Optimizer, Parameters, state, with_gradients, zeros_like_state};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.Adam` and `AdamW` (torch/optim/adam.py): AdamW decays in place, Adam with
/// `weight_decay` adds to the gradient.
pub(crate) struct Adam {
    parameters: Parameters,
    implementation: Implementation,
    amsgrad: bool,
    coupled_decay: bool,
    states: Vec<AdamState>,
}

struct AdamState {
    /// On the device for the fused kernel, on the host otherwise.
    _step: Option<Tensor>,
    _exp_avg: Tensor,
    exp_avg_sq: Tensor,
    _max_exp_avg_sq: Option<Tensor>,
}

impl Adam {
    /// `coupled_decay` says whether Adam (not AdamW) has a `weight_decay` other than 0.
    pub fn new(
        parameters: Parameters,
        implementation: Implementation,
        amsgrad: bool,
        coupled_decay: bool,
    ) -> Adam {
        Adam { parameters, implementation, amsgrad, coupled_decay, states: Vec::new() }
    }

    fn init(&self, p: &Tensor) -> AdamState {
        let fused = self.implementation == Implementation::Fused;
        AdamState {
            _step: fused.then(|| state(ops::new_tensor(p.device(), "zeros", [], Dtype::F32))),
            _exp_avg: zeros_like_state(p),
            exp_avg_sq: zeros_like_state(p),
            _max_exp_avg_sq: self.amsgrad.then(|| zeros_like_state(p)),
        }
    }

    fn foreach(&self, grads: &[Tensor]) {
        let decayed = self.coupled_decay.then(|| ops::foreach("_foreach_add", grads));
        // `device_grads` is deleted before the square roots are taken (`del device_grads`).
        drop(decayed);
        let squares: Vec<Tensor> = self.states.iter().map(|state| state.exp_avg_sq.clone()).collect();
        drop(ops::foreach("_foreach_sqrt", &squares));
    }

    /// `denom = (exp_avg_sq.sqrt() / c).add_(eps)`: the last one lives until the next is made.
    fn for_loop(&self, grads: &[Tensor]) {
        let mut last_denominator: Option<Tensor> = None;
        let mut last_grad: Option<Tensor> = None;
        for (state, grad) in self.states.iter().zip(grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            if self.coupled_decay {
                last_grad = Some(ops::like(grad, "add", grad.dtype()));
            }
            let denominator = ops::div_scalar(ops::plain_unary("sqrt", &state.exp_avg_sq, grad.dtype()));
            last_denominator = Some(denominator);
        }
        // The function returns: `grad` was bound before `denom`.
        drop(last_grad);
        drop(last_denominator);
    }
}

impl Optimizer for Adam {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        if self.states.is_empty() {
            self.states = parameters.iter().map(|p| self.init(p)).collect();
        }
        match self.implementation {
            Implementation::Foreach => self.foreach(&grads),
            Implementation::ForLoop => self.for_loop(&grads),
            Implementation::Fused => {}
        }
    }

    fn supports_amp_scaling(&self) -> bool {
        self.implementation == Implementation::Fused
    }
}
