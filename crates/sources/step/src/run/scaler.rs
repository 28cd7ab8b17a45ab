use std::rc::Rc;

use brimful_units::Dtype;

use crate::device::Device;
use crate::nn::Parameter;
use crate::ops;
use crate::optim::Optimizer;
use crate::tensor::Tensor;

/// `torch.amp.GradScaler` (torch/amp/grad_scaler.py).
#[derive(Default)]
pub(super) struct GradScaler {
    scale: Option<(Tensor, Tensor)>,
    found_inf: Option<Tensor>,
    unscaled: bool,
    /// Whether each rank looks at its parts of the gradients only, and asks the others.
    of_parts: bool,
}

impl GradScaler {
    /// A scaler that has not been called yet; `of_parts` says whether each rank has a part of each gradient.
    pub fn new(of_parts: bool) -> GradScaler {
        GradScaler { of_parts, ..GradScaler::default() }
    }

    /// `scaler.scale(loss)`: the scale and its growth tracker are made at the first call.
    ///
    /// `loss` is a scalar; so is the result.
    pub fn scale(&mut self, loss: &Tensor) -> Tensor {
        let device = loss.device();
        let (scale, _) = self.scale.get_or_insert_with(|| {
            let scale = ops::new_tensor(device, "full", [1], Dtype::F32);
            (scale, ops::new_tensor(device, "full", [1], Dtype::I32))
        });
        let scale = ops::view(scale, []);
        ops::mul(loss, &scale)
    }

    /// `scaler.unscale_(optimizer)`.
    pub fn unscale(&mut self, parameters: &[Rc<Parameter>]) {
        let Some(device) = parameters.first().map(|p| p.tensor().device().clone()) else { return };
        let inverse = {
            let wide = ops::new_tensor(&device, "_to_copy", [1], Dtype::F64);
            let reciprocal = ops::new_tensor(&device, "reciprocal", [1], Dtype::F64);
            // `.double()` is a temporary of `.double().reciprocal().float()`: it goes when the next call has returned.
            drop(wide);
            ops::to(reciprocal, Dtype::F32)
        };
        let found_inf = ops::new_tensor(&device, "full", [], Dtype::F32);
        self.found_inf = Some(unscale_with(&device, inverse, found_inf, self.of_parts));
        self.unscaled = true;
    }

    /// `scaler.step(optimizer)`.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer, parameters: &[Rc<Parameter>]) {
        if optimizer.supports_amp_scaling() {
            self.step_fused(optimizer, parameters);
            return;
        }
        if !self.unscaled {
            self.unscale(parameters);
        }
        optimizer.step();
    }

    /// The fused kernel unscales by itself: it is handed the scale and whether an infinity was
    /// found (`_check_inf_per_device`, then `_maybe_opt_step` with `grad_scale`).
    fn step_fused(&mut self, optimizer: &mut dyn Optimizer, parameters: &[Rc<Parameter>]) {
        let Some(device) = parameters.first().map(|p| p.tensor().device().clone()) else { return };
        if !self.unscaled {
            let inverse = ops::new_tensor(&device, "full", [], Dtype::F32);
            let found_inf = ops::new_tensor(&device, "full", [], Dtype::F32);
            self.found_inf = Some(unscale_with(&device, inverse, found_inf, self.of_parts));
        }
        let found_inf = ops::new_tensor(&device, "add", [], Dtype::F32);
        let grad_scale = (!self.unscaled).then(|| ops::new_tensor(&device, "mul", [1], Dtype::F32));
        optimizer.step();
        drop(grad_scale);
        drop(found_inf);
    }

    /// `scaler.update()`.
    pub fn update(&mut self) {
        self.found_inf = None;
        self.unscaled = false;
    }
}

/// `_amp_foreach_non_finite_check_and_unscale_` over copies of both factors on the gradients'
/// device; gives back whether an infinity was found.
fn unscale_with(device: &Device, inverse: Tensor, found_inf: Tensor, of_parts: bool) -> Tensor {
    let scalar = || ops::new_tensor(device, "_to_copy", [], Dtype::F32);
    let found_here = scalar();
    let inverse_here = scalar();
    if of_parts {
        // `found_inf_reduce_handler` (torch/distributed/tensor/_dispatch.py): the largest of all ranks.
        drop(ops::plain_unary("all_reduce", &found_here, Dtype::F32));
    }
    // `_unscale_grads_` returns: its copy of the inverse scale goes first, then the factors of its caller. The copy of
    // `found_inf` is kept in the scaler's state.
    drop(inverse_here);
    drop(inverse);
    drop(found_inf);
    found_here
}
