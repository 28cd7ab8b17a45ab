//! Gradient checkpointing (torch/utils/checkpoint.py): a block keeps its input only and runs
//! again in the backward.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brimful_jobs::Checkpointing;
use brimful_units::Dtype;

use crate::autocast::{active_dtype, autocast};
use crate::autograd::{Call, Op, Packed, SavedTensorHooks, Unpack, backward};
use crate::nn::{Forward, Wrapper};
use crate::ops::{grads, saved};
use crate::tensor::Tensor;

/// `torch.utils.checkpoint.checkpoint(module.__call__, input, other)` around a block. What a model passes by keyword is the
/// function's own.
pub(crate) struct Checkpoint(pub Checkpointing);

impl Wrapper for Checkpoint {
    fn call(&self, input: Tensor, other: Option<Tensor>, forward: Forward) -> Tensor {
        match self.0 {
            Checkpointing::None => forward(&input, other.as_ref()),
            Checkpointing::Reentrant => reentrant(input, other, forward),
            Checkpointing::NonReentrant => non_reentrant(input, other, forward),
        }
    }
}

/// `CheckpointFunction`: no graph in the forward; the backward runs forward and backward.
fn reentrant(input: Tensor, other: Option<Tensor>, function: Forward) -> Tensor {
    let device = input.device().clone();
    let precision = active_dtype(&device);
    // `save_for_backward` of a Python function is packed when its forward has returned: after the result.
    let kept = input.clone();
    Op::nameless("CheckpointFunctionBackward", &[&input])
        .run(|| {
            let _off = device.set_grad_enabled(false);
            function(&input, other.as_ref())
        })
        .saves_results(|_| saved![Some(kept), other.clone()])
        .backward(move |call| grads![Some(rerun(call, &function, precision))])
}

fn rerun(call: &Call<'_>, function: &Forward, precision: Option<Dtype>) -> Tensor {
    let (input, other) = (call.saved(0), call.saved[1].as_ref());
    let device = input.device().clone();
    let detached = input.detach_requiring_grad(input.requires_grad());
    let output = {
        let _on = device.set_grad_enabled(true);
        let _autocast = precision.map(|dtype| autocast(&device, Some(dtype)));
        function(&detached, other)
    };
    backward(&output, call.grad().clone());
    drop(output);
    detached.grad().expect("the block's input takes part in its output")
}

/// One checkpointed call: what was saved in it is computed again when the first of it is needed.
struct Frame {
    function: Forward,
    other: Option<Tensor>,
    input: Tensor,
    precision: Option<Dtype>,
    saved: Cell<usize>,
    recomputed: RefCell<Vec<Option<Tensor>>>,
    done: Cell<bool>,
}

/// A saved tensor's place in its frame.
struct Holder {
    frame: Rc<Frame>,
    index: usize,
}

impl Unpack for Holder {
    fn unpack(&self) -> Tensor {
        if !self.frame.done.replace(true) {
            self.frame.recompute();
        }
        let found = self.frame.recomputed.borrow_mut()[self.index].take();
        found.expect("the second run saves what the first one saved")
    }
}

/// `_checkpoint_without_reentrant_generator`.
fn non_reentrant(input: Tensor, other: Option<Tensor>, function: Forward) -> Tensor {
    let device = input.device().clone();
    let frame = Rc::new(Frame {
        function,
        other,
        input,
        precision: active_dtype(&device),
        saved: Cell::new(0),
        recomputed: RefCell::new(Vec::new()),
        done: Cell::new(false),
    });
    let packing = frame.clone();
    let hooks = SavedTensorHooks(Rc::new(move |_| {
        let index = packing.saved.get();
        packing.saved.set(index + 1);
        Packed::Hooked(Rc::new(Holder { frame: packing.clone(), index }))
    }));
    device.hooks().borrow_mut().push(hooks);
    let output = (frame.function)(&frame.input, frame.other.as_ref());
    device.hooks().borrow_mut().pop();
    output
}

impl Frame {
    /// Runs the block again up to the last tensor that was saved (`early_stop`).
    fn recompute(self: &Rc<Self>) {
        let device = self.input.device().clone();
        let frame = Rc::downgrade(self);
        let stopping = device.clone();
        let hooks = SavedTensorHooks(Rc::new(move |tensor: Tensor| {
            let kept = if tensor.requires_grad() { tensor.detach() } else { tensor };
            if let Some(frame) = frame.upgrade() {
                let mut recomputed = frame.recomputed.borrow_mut();
                if recomputed.len() < frame.saved.get() {
                    recomputed.push(Some(kept.clone()));
                }
                if recomputed.len() == frame.saved.get() {
                    stopping.stop();
                }
            }
            Packed::Tensor(kept)
        }));
        let _on = device.set_grad_enabled(true);
        let _autocast = self.precision.map(|dtype| autocast(&device, Some(dtype)));
        device.hooks().borrow_mut().push(hooks);
        let output = (self.function)(&self.input, self.other.as_ref());
        device.hooks().borrow_mut().pop();
        device.resume();
        drop(output);
    }
}
