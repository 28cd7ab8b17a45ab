use super::{Implementation, Optimizer, Parameters, state, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// `torch.optim.SGD` (torch/optim/sgd.py).
pub(crate) struct Sgd {
    parameters: Parameters,
    implementation: Implementation,
    momentum: bool,
    nesterov: bool,
    weight_decay: bool,
    momentum_buffers: Vec<Tensor>,
}

impl Sgd {
    /// `momentum` and `weight_decay` say whether they are not 0.
    pub fn new(
        parameters: Parameters,
        implementation: Implementation,
        momentum: bool,
        nesterov: bool,
        weight_decay: bool,
    ) -> Sgd {
        Sgd { parameters, implementation, momentum, nesterov, weight_decay, momentum_buffers: Vec::new() }
    }

    fn foreach(&mut self, grads: Vec<Tensor>) {
        let decayed = self.weight_decay.then(|| ops::foreach("_foreach_add", &grads));
        let grads = decayed.as_ref().map_or(&grads[..], |list| &list.0);
        if self.momentum && self.momentum_buffers.is_empty() {
            self.momentum_buffers = grads.iter().map(first_buffer).collect();
        }
        // With nesterov the momentum is added in place: into the decayed list, or into the gradients themselves.
    }

    fn for_loop(&mut self, grads: Vec<Tensor>) {
        let first = self.momentum_buffers.is_empty();
        // The loop's name `grad`, which is bound anew before it decays.
        let mut grad: Option<Tensor> = None;
        for (at, original) in grads.iter().enumerate() {
            drop(grad.replace(original.clone()));
            if self.weight_decay {
                grad = Some(ops::like(original, "add", original.dtype()));
            }
            if !self.momentum {
                continue;
            }
            if first {
                let buffer = first_buffer(grad.as_ref().unwrap_or(original));
                self.momentum_buffers.push(buffer);
            }
            grad = Some(if self.nesterov {
                ops::like(original, "add", original.dtype())
            } else {
                self.momentum_buffers[at].clone()
            });
        }
    }
}

/// `grad.detach().clone()`.
fn first_buffer(grad: &Tensor) -> Tensor {
    state(ops::like(grad, "clone", grad.dtype()))
}

impl Optimizer for Sgd {
    fn step(&mut self) {
        let (_, grads) = with_gradients(&self.parameters);
        match self.implementation {
            Implementation::Foreach => self.foreach(grads),
            Implementation::ForLoop => self.for_loop(grads),
            Implementation::Fused => {
                if self.momentum && self.momentum_buffers.is_empty() {
                    let empty = |grad: &Tensor| state(ops::like(grad, "empty_like", grad.dtype()));
                    self.momentum_buffers = grads.iter().map(empty).collect();
                }
            }
        }
    }

    fn supports_amp_scaling(&self) -> bool {
        self.implementation == Implementation::Fused
    }
}
