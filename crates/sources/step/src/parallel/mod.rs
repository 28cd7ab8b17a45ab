//! A run that several GPUs share. Techniques are hooks at the boundaries of modules and parameters, as they are in torch, and
//! know no model.
//!
//! One rank is simulated, on tensors of its own sizes, so that a thousand ranks cost no more than two. It is rank 0. With DDP
//! all ranks hold the same, and with FSDP2 no rank has more rows of a parameter than rank 0.

mod ddp;
mod fsdp2;
mod shard;

use std::rc::Rc;

use brimful_jobs::{Parallel, Shard};

use self::ddp::Ddp;
use self::fsdp2::{Fsdp2, Policy};
use crate::device::Device;
use crate::models::{Model, Outputs};
use crate::tensor::Tensor;

/// The model as it runs on several GPUs.
pub(crate) enum Spread {
    /// One GPU: nothing is around the model.
    Alone,
    /// `DistributedDataParallel(model)`.
    Ddp(Rc<Ddp>),
    /// `fully_shard` of the layers and the model.
    Fsdp2(Fsdp2),
}

impl Spread {
    /// Puts around the model what the job asks for.
    pub fn around(model: &Model, device: &Device, parallel: Option<&Parallel>) -> Spread {
        let world = parallel.map_or(1, |parallel| parallel.data);
        match parallel.map(|parallel| parallel.shard) {
            None => Spread::Alone,
            Some(Shard::Fsdp2 { reshard_after_forward, param_dtype, reduce_dtype }) => {
                let policy = Policy { reshard_after_forward, param_dtype, reduce_dtype };
                Spread::Fsdp2(Fsdp2::around(model, device, world, policy))
            }
            Some(Shard::Ddp { bucket_cap_bytes, gradient_as_bucket_view }) => {
                Spread::Ddp(Ddp::around(model, device, bucket_cap_bytes, gradient_as_bucket_view))
            }
        }
    }

    /// Runs before each forward. `synchronized` says whether the gradients of its backward go to the other ranks.
    pub fn before_forward(&self, synchronized: bool) {
        match self {
            Spread::Alone => {}
            Spread::Ddp(ddp) => ddp.before_forward(synchronized),
            Spread::Fsdp2(fsdp) => fsdp.before_forward(synchronized),
        }
    }

    /// What the model is given in the place of an input of numbers.
    pub fn cast(&self, input: &Tensor) -> Option<Tensor> {
        match self {
            Spread::Fsdp2(fsdp) => Some(fsdp.cast(input)),
            Spread::Alone | Spread::Ddp(_) => None,
        }
    }

    /// Runs after each forward, with what the model returns.
    pub fn after_forward(&self, outputs: &Outputs) {
        if let Spread::Fsdp2(fsdp) = self {
            fsdp.after_forward(outputs);
        }
    }

    /// Runs when a backward has done everything else.
    pub fn after_backward(&self) {
        if let Spread::Fsdp2(fsdp) = self {
            fsdp.after_backward();
        }
    }

    /// Whether each rank has a part of each parameter and gradient, so that a norm is that of all parts.
    pub fn splits_gradients(&self) -> bool {
        matches!(self, Spread::Fsdp2(_))
    }
}
