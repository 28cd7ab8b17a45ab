use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brimful_trace::StrId;
use brimful_units::{Dtype, Shape};
use smallvec::SmallVec;

use super::{AccumulateGrad, Packed};
use crate::device::Device;
use crate::tensor::Tensor;

/// Where a gradient goes: an input of a node.
#[derive(Clone)]
pub(crate) struct Edge {
    pub target: Target,
    pub slot: usize,
}

#[derive(Clone)]
pub(crate) enum Target {
    Node(Rc<Node>),
    Leaf(Rc<AccumulateGrad>),
}

impl Edge {
    /// Shape and dtype that the gradient must have.
    pub fn metadata(&self) -> Option<(Shape, Dtype)> {
        match &self.target {
            Target::Node(node) => node.inputs.borrow().get(self.slot).cloned(),
            Target::Leaf(leaf) => Some((leaf.variable.shape().clone(), leaf.variable.dtype())),
        }
    }
}

/// Gradients by position.
pub(crate) type Grads = SmallVec<[Option<Tensor>; 3]>;

/// A call of a node in the backward.
pub(crate) struct Call<'a> {
    /// The gradients that arrived, by output of the forward op.
    pub grads: &'a [Option<Tensor>],
    /// The saved tensors, in the order in which they were saved.
    pub saved: &'a [Option<Tensor>],
    /// Which inputs of the forward op want a gradient.
    pub wanted: SmallVec<[bool; 6]>,
}

impl Call<'_> {
    /// The gradient of the op's only (or first) output.
    pub fn grad(&self) -> &Tensor {
        self.grads[0].as_ref().expect("a node runs only when a gradient arrived")
    }

    /// A saved tensor that the op's own rule says was saved.
    pub fn saved(&self, at: usize) -> &Tensor {
        self.saved[at].as_ref().expect("saved by the forward under the same condition")
    }

    /// The gradient of an input where it is wanted.
    pub fn want(&self, at: usize, gradient: impl FnOnce() -> Tensor) -> Option<Tensor> {
        self.wanted[at].then(gradient)
    }
}

type Apply = Box<dyn Fn(&Call<'_>) -> Grads>;

/// A recorded op: what it saved, and how gradients pass through it.
pub(crate) struct Node {
    pub name: &'static str,
    /// The module whose forward made it.
    pub module: StrId,
    /// Later nodes run first in the backward.
    pub sequence: u64,
    pub edges: Edges,
    /// Shape and dtype of each output of the op.
    pub inputs: RefCell<SmallVec<[(Shape, Dtype); 1]>>,
    saved: RefCell<SmallVec<[Option<Packed>; 4]>>,
    apply: Apply,
    /// How many gradients are still to come in this backward.
    pub dependencies: Cell<u32>,
    /// The gradients that have come.
    pub buffer: RefCell<Grads>,
}

impl Node {
    /// Unpacks what was saved; recomputes it where a checkpoint packed it.
    pub fn unpack(&self) -> SmallVec<[Option<Tensor>; 4]> {
        let count = self.saved.borrow().len();
        (0..count)
            .map(|at| {
                let packed = self.saved.borrow()[at].clone();
                packed.map(|packed| packed.unpack())
            })
            .collect()
    }

    /// Drops what was saved, in order (`release_variables`).
    pub fn release(&self) {
        let saved = std::mem::take(&mut *self.saved.borrow_mut());
        saved.into_iter().for_each(drop);
    }

    pub fn apply(&self, call: &Call<'_>) -> Grads {
        (self.apply)(call)
    }
}

/// The edges of a node; long chains are taken apart in a loop, since recursion would overflow
/// the stack.
#[derive(Default)]
pub(crate) struct Edges(SmallVec<[Option<Edge>; 3]>);

impl Edges {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&Edge>> {
        self.0.iter().map(Option::as_ref)
    }
}

impl Drop for Edges {
    fn drop(&mut self) {
        let mut pending: Vec<Edge> = self.0.drain(..).flatten().collect();
        while let Some(edge) = pending.pop() {
            if let Target::Node(node) = edge.target
                && let Ok(mut node) = Rc::try_unwrap(node)
            {
                pending.extend(node.edges.0.drain(..).flatten());
            }
        }
    }
}

/// What an op keeps for its backward, in the order in which the backward releases it
/// (alphabetical by name in PyTorch's generated code).
pub(crate) type Saved = SmallVec<[Option<Tensor>; 4]>;

/// A node whose op has not run yet.
pub(crate) struct Recording {
    device: Device,
    node: Node,
}

/// Begins to record an op where gradients are on and an input wants one; what it saves of its
/// inputs is saved before it runs.
pub(crate) fn begin(
    name: &'static str,
    inputs: &[&Tensor],
    saved: impl FnOnce() -> Saved,
    apply: impl Fn(&Call<'_>) -> Grads + 'static,
) -> Option<Recording> {
    let device = inputs[0].device();
    if !device.grad_enabled() || !inputs.iter().any(|input| input.requires_grad()) {
        return None;
    }
    let node = Node {
        name,
        module: device.current_module(),
        sequence: device.next_sequence(),
        edges: Edges(inputs.iter().map(|input| input.edge()).collect()),
        inputs: RefCell::new(SmallVec::new()),
        saved: RefCell::new(SmallVec::new()),
        apply: Box::new(apply),
        dependencies: Cell::new(0),
        buffer: RefCell::new(Grads::new()),
    };
    let recording = Recording { device: device.clone(), node };
    recording.save(saved());
    Some(recording)
}

impl Recording {
    fn save(&self, saved: Saved) {
        let packed = saved.into_iter().map(|tensor| tensor.map(|tensor| Packed::pack(&self.device, tensor)));
        let packed: SmallVec<[Option<Packed>; 4]> = packed.collect();
        self.node.saved.borrow_mut().extend(packed);
    }

    /// Makes the outputs the op's: their gradients come to this node.
    pub fn finish(self, outputs: &[&Tensor]) {
        self.node.inputs.borrow_mut().extend(outputs.iter().map(|o| (o.shape().clone(), o.dtype())));
        let node = Rc::new(self.node);
        for (slot, output) in outputs.iter().enumerate() {
            output.set_grad_fn(node.clone(), slot);
        }
    }
}

/// Records an op that has run; `saved` is asked for what to keep only where it is recorded.
pub(crate) fn record(
    output: &Tensor,
    name: &'static str,
    inputs: &[&Tensor],
    saved: impl FnOnce() -> Saved,
    apply: impl Fn(&Call<'_>) -> Grads + 'static,
) {
    record_outputs(&[output], name, inputs, saved, apply);
}

/// As [`record`], for an op with several outputs that carry gradients.
pub(crate) fn record_outputs(
    outputs: &[&Tensor],
    name: &'static str,
    inputs: &[&Tensor],
    saved: impl FnOnce() -> Saved,
    apply: impl Fn(&Call<'_>) -> Grads + 'static,
) {
    if let Some(recording) = begin(name, inputs, saved, apply) {
        recording.finish(outputs);
    }
}
