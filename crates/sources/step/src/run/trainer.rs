//! What the loop of transformers' Trainer does beside a plain one (transformers/trainer.py, 5.23; accelerate 1.15).

use std::rc::Rc;

use brimful_jobs::Train;
use brimful_units::Dtype;

use super::batch::{Batch, Samples};
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// The Trainer's names between two of its statements.
pub(super) struct Trainer {
    samples: Samples,
    /// `_tr_loss`, the sum of the losses that are not logged yet.
    _tr_loss: Tensor,
    /// `batch_samples`: every micro batch of an optimizer step is on the GPU from its beginning on.
    batches: Vec<Rc<Batch>>,
    /// `num_items_in_batch`, by which a loss over tokens is divided.
    num_items: Option<Tensor>,
    /// `tr_loss_step`, the loss of the last micro step.
    tr_loss_step: Option<Tensor>,
    /// `grad_norm` of the last optimizer step.
    grad_norm: Option<Tensor>,
}

impl Trainer {
    /// `_inner_training_loop` begins.
    pub fn new(device: &Device, samples: Samples) -> Trainer {
        let tr_loss = ops::new_tensor(device, "_to_copy", [], Dtype::F32);
        Trainer {
            samples,
            _tr_loss: tr_loss,
            batches: Vec::new(),
            num_items: None,
            tr_loss_step: None,
            grad_norm: None,
        }
    }

    /// `get_batch_samples`, whose results take the place of those of the step before.
    pub fn fetch(&mut self, device: &Device, job: &Train) {
        let batches: Vec<Rc<Batch>> =
            (0..job.accumulation).map(|_| Rc::new(Batch::new(device, self.samples))).collect();
        let num_items = num_items(&batches);
        self.num_items = num_items;
        self.batches = batches;
    }

    /// The micro batch of this number.
    pub fn batch(&self, micro: u64) -> Option<Rc<Batch>> {
        self.batches.get(usize::try_from(micro).ok()?).cloned()
    }

    /// The loss as the model's class returns it: over tokens, a sum that is divided by their number.
    pub fn loss_of(&self, loss: Tensor) -> Tensor {
        if self.num_items.is_some() { ops::div_scalar(loss) } else { loss }
    }

    /// `self._tr_loss += tr_loss_step`, after the loss was asked whether it is a number.
    pub fn add(&mut self, loss: &Tensor) {
        self.tr_loss_step = Some(loss.detach());
        for op in ["isnan", "isinf"] {
            drop(ops::plain_unary(op, loss, Dtype::Bool));
        }
    }

    /// `grad_norm = None` before the gradients are clipped, and what clipping returns after it.
    pub fn keep_norm(&mut self, norm: Option<Tensor>) {
        self.grad_norm = norm;
    }
}

/// `sum(labels.ne(-100).sum() for labels in …)`, divided by the parallel degrees; `None` where the labels are not tokens.
fn num_items(batches: &[Rc<Batch>]) -> Option<Tensor> {
    let mut total: Option<Tensor> = None;
    for batch in batches {
        let labels = batch.labels()?;
        let counted = ops::plain_unary("ne", labels, Dtype::Bool);
        let count = ops::reduced_to_scalar(&counted, "sum", Dtype::I64);
        drop(counted);
        let sum = ops::plain_unary("add", &count, Dtype::I64);
        drop(count);
        total = Some(sum);
    }
    let total = total?;
    Some(ops::plain_unary("div", &total, Dtype::F32))
}
