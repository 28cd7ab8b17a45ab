//! PEFT's DoRA (peft/tuners/lora/dora.py and variants.py, 0.21.2): an adapter that also trains the length of each row of the
//! weight, for which it makes the whole weight at every call.

use std::rc::Rc;

use brimful_units::Dtype;

use super::builder::Plan;
use super::layers::{Dropout, Linear};
use super::{Module, Parameter};
use crate::autocast::active_dtype;
use crate::autograd::Op;
use crate::device::Device;
use crate::ops::{self, grads, saved};
use crate::tensor::Tensor;

/// The frozen layer that an adapter is beside.
#[derive(Clone)]
pub(super) struct Base {
    /// Its weight.
    pub weight: Rc<Parameter>,
    /// Its bias.
    pub bias: Option<Rc<Parameter>>,
    /// Whether the weight is `[in, out]` (`fan_in_fan_out`).
    pub turned: bool,
}

impl Base {
    /// `dequantize_module_weight`.
    fn dense(&self) -> Tensor {
        self.weight.quantized().map_or_else(|| self.weight.tensor(), |weight| weight.dense())
    }

    /// `transpose(weight, fan_in_fan_out)`.
    fn rows(&self, weight: &Tensor) -> Tensor {
        if self.turned && self.weight.quantized().is_none() { ops::t(weight) } else { weight.clone() }
    }
}

/// `DoraLinearLayer`.
pub(super) struct Dora {
    device: Device,
    path: Rc<str>,
    /// The length of each row, `[out]`.
    magnitude: Rc<Parameter>,
    base: Base,
}

impl Dora {
    /// `update_layer`: the lengths are those of the weight with its adapter.
    pub fn new(plan: &Plan, path: &str, base: &Base, [a, b]: [&Parameter; 2]) -> Dora {
        let path = format!("{path}.lora_magnitude_vector.default");
        let scope: Rc<str> = path.as_str().into();
        let (a, b) = (a.tensor(), b.tensor());
        let is_half = a.dtype() == Dtype::F16;
        let (a, b) = if is_half { (ops::to(a, Dtype::F32), ops::to(b, Dtype::F32)) } else { (a, b) };
        let copy = base.weight.quantized().and_then(|weight| weight.deep_copy(base.bias.as_deref()));
        let weight = base.dense();
        let mut adapter = ops::mm(&b, &a);
        if is_half {
            adapter = ops::to(&adapter, Dtype::F16);
        }
        let (norm, sum) = weight_norm(&base.rows(&weight), &adapter);
        let magnitude = plan.parameter_over(format!("{path}.weight"), norm);
        // The function returns: its locals go in their order, and the norm's graph with what it saved from the sum on.
        drop(copy);
        drop(weight);
        drop(adapter);
        drop(sum);
        drop((a, b));
        Dora { device: plan.device.clone(), path: scope, magnitude, base: base.clone() }
    }

    /// The trained length.
    pub fn magnitude(&self) -> &Rc<Parameter> {
        &self.magnitude
    }

    /// `DoraLinearVariant.forward`: without dropout the base layer's own result is scaled, else it computes a second one.
    pub fn beside(
        &self,
        x: &Tensor,
        result: &Tensor,
        dropout: &Module<Dropout>,
        adapter: [&Module<Linear>; 2],
    ) -> Tensor {
        if dropout.get().p == 0.0 {
            return ops::add(result, self.forward(x, adapter, Some(result)));
        }
        let x = dropout.call((x, true));
        ops::add(result, self.forward(&x, adapter, None))
    }

    /// `DoraLinearLayer.forward`.
    fn forward(&self, x: &Tensor, [a, b]: [&Module<Linear>; 2], base_result: Option<&Tensor>) -> Tensor {
        let _module = self.device.module(&self.path);
        let lora_weight = ops::to(lora_weight(&self.device, a, b), x.dtype());
        let weight = ops::to(self.base.dense(), x.dtype());
        let (norm, sum) = weight_norm(&self.base.rows(&weight), &lora_weight.detach());
        drop(sum);
        let scale = {
            let scale = divided(&self.magnitude.tensor(), &norm);
            ops::view(&scale, [1, scale.dim(0)])
        };
        let lora_result = {
            let low = a.call(x);
            b.call(&low)
        };
        let base_result = match (base_result, &self.base.bias) {
            (Some(result), Some(bias)) => ops::sub(result, bias.tensor()),
            (Some(result), None) => result.clone(),
            (None, _) => ops::linear(x, &self.base.rows(&weight), None),
        };
        let of_base = ops::mul(ops::sub_scalar(&scale), &base_result);
        let of_adapter = ops::mul_scalar(ops::mul(&scale, &lora_result));
        let out = ops::add(of_base, of_adapter);
        // The function returns: its locals go in the order in which they were bound first.
        drop(base_result);
        drop(lora_weight);
        drop(weight);
        drop(norm);
        drop(scale);
        drop(lora_result);
        out
    }
}

/// `get_lora_weight`: the adapter of the unit matrix.
fn lora_weight(device: &Device, a: &Module<Linear>, b: &Module<Linear>) -> Tensor {
    let weight = a.get().weight.tensor();
    let eye = ops::new_tensor(device, "eye", [weight.dim(1), weight.dim(1)], weight.dtype());
    let high = {
        let low = a.call(&eye);
        b.call(&low)
    };
    ops::t(&high)
}

/// `get_weight_norm`: the lengths, and the sum that they are of.
fn weight_norm(weight: &Tensor, lora_weight: &Tensor) -> (Tensor, Tensor) {
    let sum = ops::add(weight, ops::mul_scalar(lora_weight));
    // Autocast asks for a result in fp32 and converts nothing (`fp32_append_dtype` in ATen/autocast_mode.h).
    let dtype = if active_dtype(sum.device()).is_some() { Dtype::F32 } else { sum.dtype() };
    let kept = ops::reduced(&sum, "linalg_vector_norm", &[1], dtype);
    let norm = kept.unsafe_view_as([kept.dim(0)].into(), [1].into());
    drop(kept);
    let norm = ops::to(&norm, sum.dtype());
    (norm, sum)
}

/// `a / b` of a `b` that wants no gradient.
fn divided(a: &Tensor, b: &Tensor) -> Tensor {
    Op::new("div", "DivBackward0", &[a])
        .saves_inputs(|| saved![Some(b.clone())])
        .run(|| ops::plain_binary("div", a, b))
        .backward(|call| grads![Some(ops::div(call.grad(), call.saved(0)))])
}
