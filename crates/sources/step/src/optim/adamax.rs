use super::{Averages, Implementation, Optimizer, Parameters, decayed, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.Adamax` (torch/optim/adamax.py).
pub(crate) struct Adamax {
    parameters: Parameters,
    implementation: Implementation,
    weight_decay: bool,
    states: Vec<Averages>,
}

impl Adamax {
    /// `weight_decay` says whether it is not 0.
    pub fn new(parameters: Parameters, implementation: Implementation, weight_decay: bool) -> Adamax {
        Adamax { parameters, implementation, weight_decay, states: Vec::new() }
    }

    /// The list of decayed gradients takes their absolute values in place; without decay a list is made for them.
    fn foreach(&self, grads: &[Tensor]) {
        let op = if self.weight_decay { "_foreach_add" } else { "_foreach_abs" };
        drop(ops::foreach(op, grads));
    }

    fn for_loop(&self, grads: &[Tensor]) {
        let mut last_grad = None::<Tensor>;
        for grad in grads {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = decayed(grad, self.weight_decay);
            drop(ops::like(grad, "abs", grad.dtype()));
        }
    }
}

impl Optimizer for Adamax {
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
