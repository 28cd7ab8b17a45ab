use super::{Implementation, Optimizer, Parameters, with_gradients, zeros_like_state};
use crate::ops;
use crate::tensor::Tensor;

/// The two averages that the Adams of torch keep for a parameter.
pub(super) struct Averages {
    pub first: Tensor,
    pub second: Tensor,
}

/// What one step allocates beside the averages, in both ways in which torch walks over the parameters.
pub(super) trait Rule {
    /// `_multi_tensor_*`: lists of temporaries.
    fn foreach(step: &Step<'_>);

    /// `_single_tensor_*`: one parameter after the other.
    fn for_loop(step: &Step<'_>);
}

/// One step over the parameters that have a gradient.
pub(super) struct Step<'a> {
    pub states: &'a [Averages],
    pub grads: &'a [Tensor],
    /// The step's number, from 1 on.
    pub number: u64,
    /// Whether weights decay through the gradient.
    weight_decay: bool,
}

impl Step<'_> {
    /// `torch._foreach_add(grads, params, alpha=weight_decay)` where weights decay.
    pub fn decayed_list(&self) -> Option<ops::TensorList> {
        self.weight_decay.then(|| ops::foreach("_foreach_add", self.grads))
    }

    /// `grad.add(param, alpha=weight_decay)` where weights decay.
    pub fn decayed(&self, grad: &Tensor) -> Option<Tensor> {
        self.weight_decay.then(|| ops::like(grad, "add", grad.dtype()))
    }

    /// A list of one of the averages.
    pub fn list(&self, pick: fn(&Averages) -> &Tensor) -> Vec<Tensor> {
        self.states.iter().map(|state| pick(state).clone()).collect()
    }

    /// Whether weights decay through the gradient.
    pub fn decays(&self) -> bool {
        self.weight_decay
    }
}

/// An optimizer of torch that keeps two averages for each parameter and steps by a rule.
pub(super) struct TwoAverages<R> {
    parameters: Parameters,
    implementation: Implementation,
    weight_decay: bool,
    states: Vec<Averages>,
    steps: u64,
    rule: std::marker::PhantomData<R>,
}

impl<R: Rule> TwoAverages<R> {
    /// `weight_decay` says whether weights decay through the gradient.
    pub fn new(parameters: Parameters, implementation: Implementation, weight_decay: bool) -> TwoAverages<R> {
        let rule = std::marker::PhantomData;
        TwoAverages { parameters, implementation, weight_decay, states: Vec::new(), steps: 0, rule }
    }
}

impl<R: Rule> Optimizer for TwoAverages<R> {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        if self.states.is_empty() {
            let both = |p| Averages { first: zeros_like_state(p), second: zeros_like_state(p) };
            self.states = parameters.iter().map(both).collect();
        }
        self.steps += 1;
        let weight_decay = self.weight_decay;
        let step = Step { states: &self.states, grads: &grads, number: self.steps, weight_decay };
        match self.implementation {
            Implementation::ForLoop => R::for_loop(&step),
            Implementation::Foreach | Implementation::Fused => R::foreach(&step),
        }
    }
}
