use super::{Implementation, Optimizer, Parameters, with_gradients, zeros_like_state};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.RMSprop` (torch/optim/rmsprop.py).
pub(crate) struct RmsProp {
    parameters: Parameters,
    implementation: Implementation,
    momentum: bool,
    centered: bool,
    weight_decay: bool,
    states: Vec<RmsState>,
}

struct RmsState {
    square_avg: Tensor,
    _momentum_buffer: Option<Tensor>,
    grad_avg: Option<Tensor>,
}

impl RmsProp {
    /// `momentum` and `weight_decay` say whether they are not 0.
    pub fn new(
        parameters: Parameters,
        implementation: Implementation,
        momentum: bool,
        centered: bool,
        weight_decay: bool,
    ) -> RmsProp {
        RmsProp { parameters, implementation, momentum, centered, weight_decay, states: Vec::new() }
    }

    fn init(&self, p: &Tensor) -> RmsState {
        RmsState {
            square_avg: zeros_like_state(p),
            _momentum_buffer: self.momentum.then(|| zeros_like_state(p)),
            grad_avg: self.centered.then(|| zeros_like_state(p)),
        }
    }

    /// What the square root is taken of, and by which op.
    fn average<'a>(&self, state: &'a RmsState) -> &'a Tensor {
        state.grad_avg.as_ref().unwrap_or(&state.square_avg)
    }

    fn foreach(&self, grads: &[Tensor]) {
        let decayed = self.weight_decay.then(|| ops::foreach("_foreach_add", grads));
        let averages: Vec<Tensor> = self.states.iter().map(|state| self.average(state).clone()).collect();
        let op = if self.centered { "_foreach_addcmul" } else { "_foreach_sqrt" };
        let roots = ops::foreach(op, &averages);
        // The function returns: `grouped_grads` was bound before `avg`.
        drop(decayed);
        drop(roots);
    }

    fn for_loop(&self, grads: &[Tensor]) {
        let op = if self.centered { "addcmul" } else { "sqrt" };
        let (mut last_grad, mut last_root) = (None::<Tensor>, None);
        for (state, grad) in self.states.iter().zip(grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            if self.weight_decay {
                last_grad = Some(ops::like(grad, "add", grad.dtype()));
            }
            last_root = Some(ops::plain_unary(op, self.average(state), grad.dtype()));
        }
        // The function returns: `grad` was bound before `avg`.
        drop(last_grad);
        drop(last_root);
    }
}

impl Optimizer for RmsProp {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        if self.states.is_empty() {
            self.states = parameters.iter().map(|p| self.init(p)).collect();
        }
        match self.implementation {
            Implementation::ForLoop => self.for_loop(&grads),
            Implementation::Foreach | Implementation::Fused => self.foreach(&grads),
        }
    }
}
