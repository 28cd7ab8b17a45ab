//! Gradient checkpointing (torch/utils/checkpoint.py): a block keeps its input only and runs
//! again in the backward.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use brimful_units::{Dtype, Shape};

use crate::autocast::{active_dtype, autocast};
use crate::autograd::{Call, Op, Packed, SavedTensorHooks, Unpack, backward_all};
use crate::ops::{self, grads, saved};
use crate::tensor::Tensor;

/// What a checkpoint runs: the input and another positional tensor in, the output out. What a model passes by keyword is
/// the function's own. The first of the results goes on through the model; further ones are results that a layer returns
/// beside it, such as its attention weights.
pub(crate) type Function = Rc<dyn Fn(&Tensor, Option<&Tensor>) -> Vec<Tensor>>;

/// `torch.utils.checkpoint.checkpoint(function, input, other)` of one kind.
pub(crate) type Checkpoint = fn(Tensor, Option<Tensor>, Function) -> Vec<Tensor>;

/// `CheckpointFunction`: no graph in the forward; the backward runs forward and backward.
pub(crate) fn reentrant(input: Tensor, other: Option<Tensor>, function: Function) -> Vec<Tensor> {
    let device = input.device().clone();
    let precision = active_dtype(&device);
    // `save_for_backward` of a Python function is packed when its forward has returned: after the result.
    let kept = input.clone();
    let further: Rc<RefCell<Vec<(Shape, Dtype)>>> = Rc::default();
    let sizes = further.clone();
    Op::nameless("CheckpointFunctionBackward", &[&input])
        .run(|| {
            let _off = device.set_grad_enabled(false);
            let outputs = function(&input, other.as_ref());
            sizes.borrow_mut().extend(outputs.iter().skip(1).map(|it| (it.shape().clone(), it.dtype())));
            outputs
        })
        .saves_results(|_| saved![Some(kept), other.clone()])
        .backward(move |call| grads![Some(rerun(call, &function, precision, &further))])
}

fn rerun(
    call: &Call<'_>,
    function: &Function,
    precision: Option<Dtype>,
    further: &RefCell<Vec<(Shape, Dtype)>>,
) -> Tensor {
    // No gradient comes to further results, whose place zeros take (`PyNode::apply` in
    // torch/csrc/autograd/python_function.cpp).
    let zeros: Vec<Tensor> = further
        .borrow()
        .iter()
        .map(|(shape, dtype)| ops::new_tensor(call.grad().device(), "zeros", shape.clone(), *dtype))
        .collect();
    let (input, other) = (call.saved(0), call.saved[1].as_ref());
    let device = input.device().clone();
    let detached = input.detach_requiring_grad(input.requires_grad());
    let mut outputs = {
        let _on = device.set_grad_enabled(true);
        let _autocast = precision.map(|dtype| autocast(&device, Some(dtype)));
        function(&detached, other)
    };
    let grads: Vec<Tensor> = std::iter::once(call.grad().clone()).chain(zeros.iter().cloned()).collect();
    backward_all(&outputs, grads);
    // `outputs` lives until the inner backward has returned; its gradient is in the detached input. CPython drops a tuple
    // from its end.
    while outputs.pop().is_some() {}
    drop(zeros);
    // Every block adds its input to its output, so that a gradient reaches it; but for one that voided the run.
    detached.grad().unwrap_or_else(|| detached.without_memory())
}

/// One checkpointed call: what was saved in it is computed again when the first of it is needed.
struct Frame {
    function: Function,
    other: Option<Tensor>,
    input: Tensor,
    precision: Option<Dtype>,
    /// What the first run saved. A graph that died with the run, such as that of a choice, took its places with it.
    holders: RefCell<Vec<Weak<Holder>>>,
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
        // Cannot fail: the second run is the same function of the same shapes, and packs the same tensors in the same order.
        let found = self.frame.recomputed.borrow_mut()[self.index].take();
        found.expect("the second run saves what the first one saved")
    }
}

/// `_checkpoint_without_reentrant_generator`.
pub(crate) fn non_reentrant(input: Tensor, other: Option<Tensor>, function: Function) -> Vec<Tensor> {
    let device = input.device().clone();
    let frame = Rc::new(Frame {
        function,
        other,
        input,
        precision: active_dtype(&device),
        holders: RefCell::new(Vec::new()),
        recomputed: RefCell::new(Vec::new()),
        done: Cell::new(false),
    });
    let packing = frame.clone();
    let hooks = SavedTensorHooks(Rc::new(move |_| {
        let mut holders = packing.holders.borrow_mut();
        let holder = Rc::new(Holder { frame: packing.clone(), index: holders.len() });
        holders.push(Rc::downgrade(&holder));
        Packed::Hooked(holder)
    }));
    device.hooks().borrow_mut().push(hooks);
    let outputs = (frame.function)(&frame.input, frame.other.as_ref());
    device.hooks().borrow_mut().pop();
    outputs
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
                let holders = frame.holders.borrow();
                let mut recomputed = frame.recomputed.borrow_mut();
                if let Some(holder) = holders.get(recomputed.len()) {
                    // Only what somebody can still ask for is kept for him (`_recomputation_hook`).
                    recomputed.push(holder.upgrade().map(|_| kept.clone()));
                }
                if recomputed.len() == holders.len() {
                    stopping.stop();
                }
            }
            Packed::Tensor(kept)
        }));
        let _on = device.set_grad_enabled(true);
        let _autocast = self.precision.map(|dtype| autocast(&device, Some(dtype)));
        device.hooks().borrow_mut().push(hooks);
        let mut outputs = (self.function)(&self.input, self.other.as_ref());
        device.hooks().borrow_mut().pop();
        device.resume();
        // Nobody takes the second run's output: it goes when the region has been left.
        while outputs.pop().is_some() {}
    }
}
