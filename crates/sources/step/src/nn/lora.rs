//! PEFT's LoRA (peft/tuners/lora/layer.py, 0.21.2): two small Linears beside a frozen one, as a wrapper around it.

use std::rc::Rc;

use brimful_jobs::Lora;
use brimful_units::Dtype;

use super::builder::Plan;
use super::layers::{Dropout, Embedding, Linear};
use super::{Forward, Inner, Module, Parameter, Wrapper};
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// A Linear that gets an adapter.
pub(super) struct Target {
    /// The name of the Linear, which the adapter takes.
    path: Rc<str>,
    /// The width of what goes in.
    inputs: u64,
    /// The width of what comes out.
    outputs: u64,
    attach: Box<dyn Fn(Adapter)>,
}

impl Target {
    /// The Linear `module`, named `path`.
    pub fn new<F>(module: &Module<F>, path: String, inputs: u64, outputs: u64) -> Target
    where
        F: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
    {
        let module = module.clone();
        let attach = Box::new(move |adapter: Adapter| {
            // The wrapper is a module of the Linear's name, and holds the Linear as `base_layer`.
            module.rename(&format!("{}.base_layer", adapter.path));
            module.wrap(adapter);
        });
        Target { path: path.into(), inputs, outputs, attach }
    }
}

/// `lora.Linear`: the frozen Linear's output and `lora_B(lora_A(dropout(x)))`.
struct Adapter {
    device: Device,
    path: Rc<str>,
    dropout: Module<Dropout>,
    /// From the input's width to the rank.
    lora_a: Module<Linear>,
    /// From the rank to the output's width.
    lora_b: Module<Linear>,
}

impl Adapter {
    fn new(plan: &Plan, target: &Target, lora: &Lora) -> Adapter {
        let linear = |name: &str, shape: [u64; 2]| {
            let path = format!("{}.{name}.default", target.path);
            let weight = plan.parameter(format!("{path}.weight"), "_to_copy", shape);
            Module::new(&plan.device, path, Linear { weight, bias: None })
        };
        let dropout = format!("{}.lora_dropout.default", target.path);
        Adapter {
            device: plan.device.clone(),
            path: target.path.clone(),
            dropout: Module::new(&plan.device, dropout, Dropout { p: lora.lora_dropout }),
            // `update_layer` makes A before B.
            lora_a: linear("lora_A", [lora.r, target.inputs]),
            lora_b: linear("lora_B", [target.outputs, lora.r]),
        }
    }

    fn weights(&self) -> [&Rc<Parameter>; 2] {
        [&self.lora_a.get().weight, &self.lora_b.get().weight]
    }
}

impl<F> Wrapper<F> for Adapter
where
    F: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
{
    /// `lora.Linear.forward`.
    fn call(&self, x: &Tensor, base_layer: Inner<F>) -> Tensor {
        let _module = self.device.module(&self.path);
        let result = base_layer.call(x);
        let dtype = result.dtype();
        let x = ops::to(x, self.lora_a.get().weight.tensor().dtype());
        let dropped = self.dropout.call((&x, true));
        let low = self.lora_a.call(&dropped);
        // Both are temporaries of one expression: each goes when the next call has returned.
        drop(dropped);
        let high = self.lora_b.call(&low);
        drop(low);
        let scaled = ops::mul_scalar(high);
        let sum = ops::add(&result, scaled);
        // A recomputation that ends in here leaves by an exception: the names go in their order.
        if self.device.is_stopped() {
            drop(x);
        }
        drop(result);
        ops::to(sum, dtype)
    }
}

/// `get_peft_model`: adapters on every target, all made in the base's dtype and then converted to fp32 unless the job
/// says otherwise.
pub(super) fn get_peft_model(plan: &Plan, lora: &Lora) {
    let targets = plan.targets.take();
    let adapters: Vec<Adapter> = targets.iter().map(|target| Adapter::new(plan, target, lora)).collect();
    if lora.autocast_adapter_dtype {
        adapters.iter().flat_map(Adapter::weights).for_each(|weight| cast_adapter_dtype(weight));
    }
    for (target, adapter) in targets.iter().zip(adapters) {
        (target.attach)(adapter);
    }
}

/// `cast_adapter_dtype` (peft/tuners/tuners_utils.py): `param.data = param.data.to(torch.float32)`.
fn cast_adapter_dtype(weight: &Parameter) {
    weight.set_data(ops::to(weight.tensor(), Dtype::F32));
}

/// The hook of `enable_input_require_grads`: `output.requires_grad_(True)`.
pub(super) struct RequireGrad;

impl Wrapper<Embedding> for RequireGrad {
    fn call(&self, indices: &Tensor, embedding: Inner<Embedding>) -> Tensor {
        let out = embedding.call(indices);
        out.require_grad();
        out
    }
}
