//! Gradient checkpointing (torch/utils/checkpoint.py): a block keeps its input only and runs
//! again in the backward.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use brimful_units::{Dtype, Shape};

use crate::autocast::{active_dtype, autocast};
use crate::autograd::{CHECKPOINT, Call, Op, Packed, SavedTensorHooks, Unpack, backward_all};
use crate::ops;
use crate::tensor::Tensor;

/// What a checkpoint runs: the tensors that a layer is given by position in, its results out. What a model passes by keyword
/// is the function's own. The first of the results goes on through the model; further ones are results that a layer returns
/// beside it, such as its attention weights or a bias that the next layer takes.
pub(crate) type Function = Rc<dyn Fn(&[Tensor]) -> Vec<Tensor>>;

/// `torch.utils.checkpoint.checkpoint(function, *inputs)` of one kind. There is at least one input.
pub(crate) type Checkpoint = fn(Inputs, Function) -> Vec<Tensor>;

/// The tensors that a layer is given by position.
pub(crate) struct Inputs(pub Vec<Tensor>);

impl Drop for Inputs {
    /// CPython drops a tuple's items from the last to the first (`tuple_dealloc` in Objects/tupleobject.c, 3.11).
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// `CheckpointFunction`: no graph in the forward; the backward runs forward and backward.
pub(crate) fn reentrant(inputs: Inputs, function: Function) -> Vec<Tensor> {
    let device = inputs.0[0].device().clone();
    let precision = active_dtype(&device);
    // `save_for_backward` of a Python function is packed when its forward has returned: after the result.
    let kept: Vec<Tensor> = inputs.0.clone();
    let further: Rc<RefCell<Vec<(Shape, Dtype)>>> = Rc::default();
    let sizes = further.clone();
    let edges: Vec<&Tensor> = inputs.0.iter().collect();
    Op::nameless(CHECKPOINT, &edges)
        .run(|| {
            let _off = device.set_grad_enabled(false);
            let outputs = function(&inputs.0);
            sizes.borrow_mut().extend(outputs.iter().map(|it| (it.shape().clone(), it.dtype())));
            outputs.into_iter().map(|output| not_an_input(output, &inputs)).collect::<Vec<Tensor>>()
        })
        .saves_results(move |_| kept.into_iter().map(Some).collect())
        .backward(move |call| rerun(call, &function, precision, &further).into_iter().collect())
}

/// An input that a Python function returns as it is becomes another object over the same memory (`_wrap_outputs` in
/// torch/csrc/autograd/custom_function.cpp).
fn not_an_input(output: Tensor, inputs: &Inputs) -> Tensor {
    if inputs.0.iter().any(|input| input.key() == output.key()) { output.detach() } else { output }
}

fn rerun(
    call: &Call<'_>,
    function: &Function,
    precision: Option<Dtype>,
    results: &RefCell<Vec<(Shape, Dtype)>>,
) -> Vec<Option<Tensor>> {
    let device = call.saved(0).device().clone();
    // The place of a gradient that did not come is taken by zeros (`PyNode::apply` in
    // torch/csrc/autograd/python_function.cpp).
    let mut grads: Vec<Tensor> = results
        .borrow()
        .iter()
        .enumerate()
        .map(|(at, (shape, dtype))| match call.grads.get(at) {
            Some(Some(grad)) => grad.clone(),
            _ => ops::new_tensor(&device, "zeros", shape.clone(), *dtype),
        })
        .collect();
    let detached: Vec<Tensor> = (0..call.saved.len())
        .map(|at| call.saved(at).detach_requiring_grad(call.saved(at).requires_grad()))
        .collect();
    let mut outputs = {
        let _on = device.set_grad_enabled(true);
        let _autocast = precision.map(|dtype| autocast(&device, Some(dtype)));
        function(&detached)
    };
    backward_all(&outputs, grads.clone());
    // `outputs` lives until the inner backward has returned; its gradients are in the detached inputs. CPython drops a tuple
    // from its end.
    while outputs.pop().is_some() {}
    while grads.pop().is_some() {}
    // Every block adds its first input to its output, so that a gradient reaches it; but for one that voided the run.
    let of_first = || Some(detached[0].without_memory());
    detached
        .iter()
        .enumerate()
        .map(|(at, input)| input.grad().or_else(|| if at == 0 { of_first() } else { None }))
        .collect()
}

/// One checkpointed call: what was saved in it is computed again when the first of it is needed.
struct Frame {
    function: Function,
    inputs: Inputs,
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
pub(crate) fn non_reentrant(inputs: Inputs, function: Function) -> Vec<Tensor> {
    let device = inputs.0[0].device().clone();
    let frame = Rc::new(Frame {
        function,
        inputs,
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
    let outputs = (frame.function)(&frame.inputs.0);
    device.hooks().borrow_mut().pop();
    outputs
}

impl Frame {
    /// Runs the block again up to the last tensor that was saved (`early_stop`).
    fn recompute(self: &Rc<Self>) {
        let device = self.inputs.0[0].device().clone();
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
        let mut outputs = (self.function)(&self.inputs.0);
        device.hooks().borrow_mut().pop();
        device.resume();
        // Nobody takes the second run's output: it goes when the region has been left.
        while outputs.pop().is_some() {}
    }
}
