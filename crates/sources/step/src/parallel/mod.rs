//! A run that several GPUs share. Techniques are hooks at the boundaries of modules and parameters, as they are in torch, and
//! know no model.
//!
//! One rank is simulated, on tensors of its own sizes, so that a thousand ranks cost no more than two. It is rank 0. With DDP
//! all ranks hold the same.

mod ddp;

use std::rc::Rc;

use brimful_jobs::{Parallel, Shard};

use self::ddp::Ddp;
use crate::StepError;
use crate::device::Device;
use crate::models::Model;

/// The model as it runs on several GPUs.
pub(crate) enum Spread {
    /// One GPU: nothing is around the model.
    Alone,
    /// `DistributedDataParallel(model)`.
    Ddp(Rc<Ddp>),
}

impl Spread {
    /// Puts around the model what the job asks for.
    pub fn around(model: &Model, device: &Device, parallel: Option<&Parallel>) -> Spread {
        match parallel.map(|parallel| parallel.shard) {
            None => Spread::Alone,
            Some(Shard::Fsdp2 { .. }) => {
                device.fail(StepError::Unsupported {
                    key: "parallel.shard",
                    value: "fsdp2".to_owned(),
                    cure: "DDP is simulated: parallel.shard = \"ddp\"",
                });
                Spread::Alone
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
        }
    }
}
