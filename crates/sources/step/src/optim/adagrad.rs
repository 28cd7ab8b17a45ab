use brimful_jobs::TrainingLoop;
use brimful_units::Dtype;

use super::{Implementation, Optimizer, Parameters, state};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.Adagrad` (torch/optim/adagrad.py): its sums exist from the constructor on.
pub(crate) struct Adagrad {
    parameters: Parameters,
    implementation: Implementation,
    weight_decay: bool,
    /// On the device for the fused kernel and under accelerate, on the host otherwise.
    _steps: Vec<Tensor>,
    sums: Vec<Tensor>,
}

impl Adagrad {
    /// `weight_decay` says whether it is not 0. The sums are made here, in the order of the parameters.
    pub fn new(
        parameters: Parameters,
        implementation: Implementation,
        weight_decay: bool,
        recipe: TrainingLoop,
    ) -> Adagrad {
        // accelerate moves what is there when it prepares the optimizer: Adagrad has its steps, other classes nothing yet.
        let on_device = implementation == Implementation::Fused || recipe == TrainingLoop::Trainer;
        let (mut steps, mut sums) = (Vec::new(), Vec::new());
        for p in parameters.iter().map(|parameter| parameter.tensor()) {
            if on_device {
                steps.push(state(ops::new_tensor(p.device(), "zeros", [], Dtype::F32)));
            }
            sums.push(state(ops::like(&p, "full_like", p.dtype())));
        }
        Adagrad { parameters, implementation, weight_decay, _steps: steps, sums }
    }

    /// The sums of the parameters that have a gradient, and the gradients.
    fn sums_and_gradients(&self) -> (Vec<Tensor>, Vec<Tensor>) {
        let rows = self.parameters.iter().zip(&self.sums);
        rows.filter_map(|(parameter, sum)| parameter.grad().map(|grad| (sum.clone(), grad))).unzip()
    }

    fn foreach(&self, sums: &[Tensor], grads: &[Tensor]) {
        let decayed = self.weight_decay.then(|| ops::foreach("_foreach_add", grads));
        let deviations = ops::foreach("_foreach_sqrt", sums);
        let numerators = (!self.weight_decay).then(|| ops::foreach("_foreach_mul", grads));
        // `_multi_tensor_adagrad` returns: its lists go in the order in which they were bound.
        drop(decayed);
        drop(deviations);
        drop(numerators);
    }

    fn for_loop(&self, sums: &[Tensor], grads: &[Tensor]) {
        let (mut last_grad, mut last_deviation) = (None::<Tensor>, None::<Tensor>);
        for (sum, grad) in sums.iter().zip(grads) {
            // The loop binds `grad` anew before it decays: the decayed one before goes first.
            drop(last_grad.take());
            last_grad = self.weight_decay.then(|| ops::like(grad, "add", grad.dtype()));
            last_deviation = Some(ops::plain_unary("sqrt", sum, sum.dtype()));
        }
        drop(last_grad);
        drop(last_deviation);
    }
}

impl Optimizer for Adagrad {
    fn step(&mut self) {
        let (sums, grads) = self.sums_and_gradients();
        match self.implementation {
            Implementation::Foreach => self.foreach(&sums, &grads),
            Implementation::ForLoop => self.for_loop(&sums, &grads),
            Implementation::Fused => {}
        }
    }

    fn supports_amp_scaling(&self) -> bool {
        self.implementation == Implementation::Fused
    }
}
