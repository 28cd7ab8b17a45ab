//! PEFT's LoRA (peft/tuners/lora/layer.py, 0.21.2): two small Linears beside a frozen one, as a wrapper around it.

use std::rc::Rc;

use brimful_jobs::Lora;
use brimful_units::Dtype;

use super::builder::Plan;
use super::dora::{Base, Dora};
use super::layers::{Dropout, Embedding, Linear};
use super::{Forward, Inner, Module, Parameter, Wrapper};
use crate::autocast::active_dtype;
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// A Linear that gets an adapter.
pub(super) struct Target {
    /// The name of the Linear, which the adapter takes.
    path: Rc<str>,
    /// The Linear's parameters.
    base: Base,
    /// The width of what goes in.
    inputs: u64,
    /// The width of what comes out.
    outputs: u64,
    rank: u64,
    attach: Box<dyn Fn(Adapter)>,
}

impl Target {
    /// The Linear `module`, named `path`.
    pub fn new<F>(module: &Module<F>, path: String, base: Base, [inputs, rank, outputs]: [u64; 3]) -> Target
    where
        F: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
    {
        let module = module.clone();
        let attach = Box::new(move |adapter: Adapter| {
            // The wrapper is a module of the Linear's name, and holds the Linear as `base_layer`.
            module.rename(&format!("{}.base_layer", adapter.path));
            module.wrap(adapter);
        });
        Target { path: path.into(), base, inputs, outputs, rank, attach }
    }
}

/// Which of PEFT's layers an adapter is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `lora.Linear`.
    Linear,
    /// `lora.Linear8bitLt` (peft/tuners/lora/bnb.py).
    EightBit,
    /// `lora.Linear4bit`, which clones the frozen layer's output.
    FourBit,
}

impl Kind {
    /// The layer for a Linear with this weight (`dispatch_bnb_8bit` and `dispatch_bnb_4bit`).
    fn of(weight: &Parameter) -> Kind {
        match weight.quantized() {
            None => Kind::Linear,
            Some(weight) if weight.is_four_bit() => Kind::FourBit,
            Some(_) => Kind::EightBit,
        }
    }
}

/// `lora.Linear`: the frozen Linear's output and `lora_B(lora_A(dropout(x)))`.
struct Adapter {
    device: Device,
    path: Rc<str>,
    kind: Kind,
    dropout: Module<Dropout>,
    /// From the input's width to the rank.
    lora_a: Module<Linear>,
    /// From the rank to the output's width.
    lora_b: Module<Linear>,
    /// What DoRA trains besides.
    dora: Option<Dora>,
}

impl Adapter {
    fn new(plan: &Plan, target: &Target, lora: &Lora) -> Adapter {
        // `_move_adapter_to_device_of_base_layer`: adapters take the layer's dtype if it is one of floating-point numbers.
        let of_base = match target.base.weight.quantized() {
            Some(weight) => weight.dtype(),
            None => target.base.weight.tensor().dtype(),
        };
        let dtype = if of_base.is_floating() { of_base } else { Dtype::F32 };
        let linear = |name: &str, shape: [u64; 2]| {
            let path = format!("{}.{name}.default", target.path);
            let weight = plan.parameter_of(format!("{path}.weight"), "_to_copy", shape, dtype);
            Module::new(&plan.device, path, Linear { weight, bias: None })
        };
        let dropout = format!("{}.lora_dropout.default", target.path);
        // `update_layer` makes A before B, and then what is made of both.
        let lora_a = linear("lora_A", [target.rank, target.inputs]);
        let lora_b = linear("lora_B", [target.outputs, target.rank]);
        let weights = || [&*lora_a.get().weight, &*lora_b.get().weight];
        let dora = lora.use_dora.then(|| Dora::new(plan, &target.path, &target.base, weights()));
        Adapter {
            device: plan.device.clone(),
            path: target.path.clone(),
            kind: Kind::of(&target.base.weight),
            dropout: Module::new(&plan.device, dropout, Dropout { p: lora.lora_dropout }),
            lora_a,
            lora_b,
            dora,
        }
    }

    fn weights(&self) -> impl Iterator<Item = &Rc<Parameter>> {
        let of_both = [&self.lora_a.get().weight, &self.lora_b.get().weight];
        of_both.into_iter().chain(self.dora.as_ref().map(Dora::magnitude))
    }
}

impl<F> Wrapper<F> for Adapter
where
    F: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
{
    fn call(&self, x: &Tensor, base_layer: Inner<F>) -> Tensor {
        let _module = self.device.module(&self.path);
        let result = base_layer.call(x);
        match self.kind {
            Kind::Linear => self.beside_linear(x, result),
            Kind::EightBit => self.beside_quantized(x, result),
            Kind::FourBit => {
                let clone = ops::clone_preserving(&result);
                drop(result);
                self.beside_quantized(x, clone)
            }
        }
    }
}

impl Adapter {
    /// `lora_B(lora_A(dropout(x))) * scaling`.
    fn scaled(&self, x: &Tensor) -> Tensor {
        let dropped = self.dropout.call((x, true));
        let low = self.lora_a.call(&dropped);
        // Both are temporaries of one expression: each goes when the next call has returned.
        drop(dropped);
        let high = self.lora_b.call(&low);
        drop(low);
        ops::mul_scalar(high)
    }

    /// `lora.Linear.forward` after its base layer.
    fn beside_linear(&self, x: &Tensor, result: Tensor) -> Tensor {
        let dtype = result.dtype();
        let x = ops::to(x, self.lora_a.get().weight.tensor().dtype());
        let sum = match &self.dora {
            Some(dora) => dora.beside(&x, &result, &self.dropout, [&self.lora_a, &self.lora_b]),
            None => ops::add(&result, self.scaled(&x)),
        };
        // A recomputation that ends in here leaves by an exception: the names go in their order.
        if self.device.is_stopped() {
            drop(x);
        }
        drop(result);
        ops::to(sum, dtype)
    }

    /// `forward` of PEFT's layers for bitsandbytes, after the base layer. Under autocast nothing is converted.
    fn beside_quantized(&self, x: &Tensor, result: Tensor) -> Tensor {
        let converts = active_dtype(&self.device).is_none();
        let dtype = result.dtype();
        let x = if converts { ops::to(x, self.lora_a.get().weight.tensor().dtype()) } else { x.clone() };
        if let Some(dora) = &self.dora {
            let sum = dora.beside(&x, &result, &self.dropout, [&self.lora_a, &self.lora_b]);
            // The sum takes the result's name, and its conversion takes the sum's.
            if self.device.is_stopped() {
                drop(x);
                return sum;
            }
            drop(result);
            return if converts { ops::to(sum, dtype) } else { sum };
        }
        let mut output = self.scaled(&x);
        if converts {
            output = ops::to(output, dtype);
        }
        let sum = ops::add(&result, &output);
        // A recomputation that ends in here leaves by an exception: the names go in their order.
        if self.device.is_stopped() {
            drop(x);
            drop(result);
            drop(output);
            return sum;
        }
        drop(result);
        drop(x);
        drop(output);
        sum
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
