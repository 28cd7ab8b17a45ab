//! PEFT's LoRA (peft/tuners/lora/layer.py, 0.21.2): a frozen Linear with two small ones beside it.

use std::cell::OnceCell;
use std::rc::Rc;

use brimful_jobs::Lora;
use brimful_trace::Category;
use brimful_units::Dtype;

use super::Builder;
use crate::ops;
use crate::tensor::Tensor;

/// Where an adapter goes once the whole model is there.
pub(crate) type Slot = Rc<OnceCell<Adapter>>;

/// A Linear that gets an adapter.
pub(crate) struct Target {
    pub slot: Slot,
    pub path: String,
    pub inputs: u64,
    pub outputs: u64,
}

/// What stands beside a Linear: `lora_B(lora_A(dropout(x)))`.
pub(crate) struct Adapter {
    base_path: Rc<str>,
    dropout_path: Rc<str>,
    a_path: Rc<str>,
    b_path: Rc<str>,
    a: Tensor,
    b: Tensor,
    dropout: f64,
}

impl Adapter {
    /// `lora.Linear.forward` around the frozen `base`; the module's scope is open.
    pub fn forward(&self, x: &Tensor, base: impl FnOnce() -> Tensor) -> Tensor {
        let device = x.device();
        let result = {
            let _module = device.module(&self.base_path);
            base()
        };
        let dtype = result.dtype();
        let x = ops::to(x, self.a.dtype());
        let dropped = super::dropout(&self.dropout_path, &x, self.dropout, true);
        let low = {
            let _module = device.module(&self.a_path);
            ops::linear(&dropped, &self.a, None)
        };
        drop(dropped);
        let high = {
            let _module = device.module(&self.b_path);
            ops::linear(&low, &self.b, None)
        };
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

impl Builder {
    /// `get_peft_model`: adapters on every target, made in the base's dtype and then converted to fp32 unless told
    /// otherwise. Returns what is trained, in the order of the modules.
    pub fn get_peft_model(&self, lora: &Lora) -> Vec<Tensor> {
        let targets = self.targets.take();
        let made: Vec<[Tensor; 2]> = targets
            .iter()
            .map(|target| [self.adapter(lora.r, target.inputs), self.adapter(target.outputs, lora.r)])
            .collect();
        let made: Vec<[Tensor; 2]> = made.into_iter().map(|pair| self.cast_adapter(pair, lora)).collect();
        for (target, [a, b]) in targets.iter().zip(&made) {
            let path = |name: &str| Rc::from(format!("{}.{name}", target.path));
            let adapter = Adapter {
                base_path: path("base_layer"),
                dropout_path: path("lora_dropout.default"),
                a_path: path("lora_A.default"),
                b_path: path("lora_B.default"),
                a: a.clone(),
                b: b.clone(),
                dropout: lora.lora_dropout,
            };
            // A slot is filled once: its target is listed once.
            let _ = target.slot.set(adapter);
        }
        made.into_iter().flatten().inspect(Tensor::require_grad).collect()
    }

    fn adapter(&self, rows: u64, columns: u64) -> Tensor {
        let made = ops::new_tensor(&self.device, "_to_copy", [rows, columns], self.dtype);
        made.categorize(Category::Parameter);
        made
    }

    /// `cast_adapter_dtype` (peft/tuners/tuners_utils.py).
    fn cast_adapter(&self, pair: [Tensor; 2], lora: &Lora) -> [Tensor; 2] {
        if !lora.autocast_adapter_dtype {
            return pair;
        }
        pair.map(|half| {
            let full = ops::to(half, Dtype::F32);
            full.categorize(Category::Parameter);
            full
        })
    }
}
