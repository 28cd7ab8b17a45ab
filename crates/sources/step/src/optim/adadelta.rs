use super::{Averages, Implementation, Optimizer, Parameters, decayed, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.Adadelta` (torch/optim/adadelta.py).
pub(crate) struct Adadelta {
    parameters: Parameters,
    implementation: Implementation,
    weight_decay: bool,
    /// The averages of the squares, and of the updates' squares.
    states: Vec<Averages>,
}

impl Adadelta {
    /// `weight_decay` says whether it is not 0.
    pub fn new(parameters: Parameters, implementation: Implementation, weight_decay: bool) -> Adadelta {
        Adadelta { parameters, implementation, weight_decay, states: Vec::new() }
    }

    fn foreach(&self, grads: &[Tensor]) {
        let decayed = self.weight_decay.then(|| ops::foreach("_foreach_add", grads));
        let of = |pick: fn(&Averages) -> &Tensor| -> Vec<Tensor> {
            self.states.iter().map(|state| pick(state).clone()).collect()
        };
        let deviations = ops::foreach("_foreach_add", &of(|state| &state.first));
        let deltas = ops::foreach("_foreach_add", &of(|state| &state.second));
        // The function returns: its lists go in the order in which they were bound.
        drop(decayed);
        drop(deviations);
        drop(deltas);
    }

    fn for_loop(&self, grads: &[Tensor]) {
        let (mut last_grad, mut last_deviation, mut last_delta) =
            (None::<Tensor>, None::<Tensor>, None::<Tensor>);
        for (state, grad) in self.states.iter().zip(grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = decayed(grad, self.weight_decay);
            last_deviation = Some(ops::like(&state.first, "add", grad.dtype()));
            last_delta = Some(ops::like(&state.second, "add", grad.dtype()));
        }
        drop(last_grad);
        drop(last_deviation);
        drop(last_delta);
    }
}

impl Optimizer for Adadelta {
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
