//! PEFT's LoRA (peft/tuners/lora/layer.py, 0.21.2): a frozen Linear with two small ones beside it.

use std::rc::Rc;

use brimful_jobs::Lora;
use brimful_units::Dtype;

use super::builder::Target;
use super::{Builder, Forward, Module, Parameter, Wrapper};
use crate::ops;
use crate::tensor::Tensor;

/// What stands in the place of a Linear: `base_layer(x) + lora_B(lora_A(dropout(x))) * scaling`.
struct Adapter {
    module: Module,
    dropout: Module,
    lora_a: (Module, Parameter),
    lora_b: (Module, Parameter),
    p: f64,
}

impl Wrapper for Adapter {
    /// `lora.Linear.forward` around the frozen base.
    fn call(&self, input: Tensor, _: Option<Tensor>, base: Forward) -> Tensor {
        let device = input.device().clone();
        let _module = self.module.scope(&device);
        let result = base(&input, None);
        let dtype = result.dtype();
        let x = ops::to(&input, self.lora_a.1.tensor().dtype());
        let dropped = super::dropout(&self.dropout, &x, self.p, true);
        let low = small(&self.lora_a, &dropped);
        drop(dropped);
        let high = small(&self.lora_b, &low);
        drop(low);
        let scaled = ops::mul_scalar(high);
        let sum = ops::add(&result, scaled);
        // A recomputation that ends in here leaves by an exception: the names go in their order.
        if device.is_stopped() {
            drop(x);
        }
        drop(result);
        ops::to(sum, dtype)
    }
}

/// One of the two small Linears.
fn small((module, weight): &(Module, Parameter), x: &Tensor) -> Tensor {
    let _module = module.scope(x.device());
    ops::linear(x, &weight.tensor(), None)
}

impl Builder {
    /// `get_peft_model`: adapters on every target, made in the base's dtype and then converted to fp32 unless the job
    /// says otherwise.
    pub fn get_peft_model(&self, lora: &Lora) {
        let targets = self.targets();
        // All adapters are made before the first is converted.
        let made: Vec<[Parameter; 2]> = targets.iter().map(|target| self.adapter(target, lora.r)).collect();
        for parameter in made.iter().flatten() {
            if lora.autocast_adapter_dtype {
                cast_adapter_dtype(parameter);
            }
            parameter.tensor().require_grad();
        }
        for (target, [a, b]) in targets.iter().zip(made) {
            attach(&target.module, a, b, lora.lora_dropout);
        }
    }

    fn adapter(&self, target: &Target, rank: u64) -> [Parameter; 2] {
        let make = |rows: u64, columns: u64| {
            let _module = target.module.scope(&self.device);
            self.added_parameter(ops::new_tensor(&self.device, "_to_copy", [rows, columns], self.dtype))
        };
        [make(rank, target.inputs), make(target.outputs, rank)]
    }
}

/// `cast_adapter_dtype` (peft/tuners/tuners_utils.py): `param.data = param.data.to(torch.float32)`.
fn cast_adapter_dtype(parameter: &Parameter) {
    let half = parameter.tensor();
    let full = ops::to(&half, Dtype::F32);
    full.categorize(brimful_trace::Category::Parameter);
    drop(half);
    parameter.set_data(full);
}

/// Puts the adapter in the Linear's place: the Linear is its `base_layer` from now on.
fn attach(linear: &Module, a: Parameter, b: Parameter, p: f64) {
    let path = linear.path();
    let below = |name: &str| Module::new(format!("{path}.{name}"));
    linear.rename(format!("{path}.base_layer"));
    linear.wrap(Rc::new(Adapter {
        module: Module::new(path.clone()),
        dropout: below("lora_dropout.default"),
        lora_a: (below("lora_A.default"), a),
        lora_b: (below("lora_B.default"), b),
        p,
    }));
}
