//! Nodes of the graph: what an op saved, and how gradients pass through it (torch/csrc/autograd/function.h).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brimful_trace::StrId;
use brimful_units::{Dtype, Shape};
use smallvec::SmallVec;

use super::{AccumulateGrad, Packed};
use crate::tensor::{LeafHook, Tensor};

/// Where a gradient goes: an input of a node.
#[derive(Clone)]
pub(crate) struct Edge {
    /// The node that takes the gradient.
    pub target: Target,
    /// Which of the node's gradients it is: the position among the outputs of the node's op.
    pub slot: usize,
}

/// What an edge leads to.
#[derive(Clone)]
pub(crate) enum Target {
    /// The node of a recorded op.
    Node(Rc<Node>),
    /// A leaf that collects its gradient.
    Leaf(Rc<AccumulateGrad>),
}

impl Edge {
    /// Shape and dtype that the gradient must have; a leaf may take any dtype.
    pub fn metadata(&self) -> Option<(Shape, Option<Dtype>)> {
        match &self.target {
            Target::Node(node) => {
                let inputs = node.inputs.borrow();
                inputs.get(self.slot).map(|(shape, dtype)| (shape.clone(), Some(*dtype)))
            }
            Target::Leaf(leaf) => Some((leaf.variable.shape().clone(), leaf.variable.grad_dtype())),
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
        // Cannot fail: the engine calls a node only when a gradient has come, and ops with several outputs look at `grads`.
        self.grads[0].as_ref().expect("a node runs only when a gradient arrived")
    }

    /// A saved tensor that the op's own rule says was saved.
    pub fn saved(&self, at: usize) -> &Tensor {
        // Cannot fail: an op asks for what its own declaration saves.
        self.saved[at].as_ref().expect("saved by the forward under the same condition")
    }

    /// The gradient of an input where it is wanted.
    pub fn want(&self, at: usize, gradient: impl FnOnce() -> Tensor) -> Option<Tensor> {
        self.wanted[at].then(gradient)
    }
}

/// What a node does with the gradients that arrive.
pub(super) type Apply = Box<dyn Fn(&Call<'_>) -> Grads>;

/// A recorded op: what it saved, and how gradients pass through it.
pub(crate) struct Node {
    /// PyTorch's name of the node, such as `MulBackward0`.
    pub name: &'static str,
    /// The module whose forward made it.
    pub module: StrId,
    /// Later nodes run first in the backward.
    pub sequence: u64,
    /// What was saved. It goes before the edges (`deleteNode` in torch/csrc/autograd/function.cpp).
    saved: RefCell<PackedTensors>,
    /// Where the gradient of each input of the op goes.
    pub edges: Edges,
    /// Shape and dtype of each output of the op.
    pub inputs: RefCell<SmallVec<[(Shape, Dtype); 1]>>,
    apply: Apply,
    /// How many gradients are still to come in this backward.
    pub dependencies: Cell<u32>,
    /// The gradients that have come.
    pub buffer: RefCell<Grads>,
    /// What is called before the node runs, each with the gradient that must have come.
    hooks: RefCell<Vec<(usize, LeafHook)>>,
}

/// The saved tensors of a node, as hooks packed them.
pub(super) type PackedTensors = SmallVec<[Option<Packed>; 4]>;

impl Node {
    /// A node that waits for the backward. `outputs` are shape and dtype of each output of its op.
    pub(super) fn new(
        name: &'static str,
        place: (StrId, u64),
        edges: Edges,
        outputs: SmallVec<[(Shape, Dtype); 1]>,
        saved: PackedTensors,
        apply: Apply,
    ) -> Node {
        let (module, sequence) = place;
        Node {
            name,
            module,
            sequence,
            edges,
            inputs: RefCell::new(outputs),
            saved: RefCell::new(saved),
            apply,
            dependencies: Cell::new(0),
            buffer: RefCell::new(Grads::new()),
            hooks: RefCell::default(),
        }
    }

    /// Has `hook` called before the node runs, if the gradient of its op's output `slot` has come.
    pub fn on_gradient(&self, slot: usize, hook: LeafHook) {
        self.hooks.borrow_mut().push((slot, hook));
    }

    /// Calls the hooks of the gradients that have come.
    pub fn call_hooks(&self, grads: &Grads) {
        for (slot, hook) in self.hooks.take() {
            if grads.get(slot).is_some_and(Option::is_some) {
                hook();
            }
        }
    }

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

    /// Drops what was saved, in the order in which it was saved: inputs by name, then results by name
    /// (`release_variables`, written by tools/autograd/gen_autograd_functions.py, torch 2.15).
    pub fn release(&self) {
        let saved = std::mem::take(&mut *self.saved.borrow_mut());
        saved.into_iter().for_each(drop);
    }

    /// Computes the gradients of the op's inputs.
    pub fn apply(&self, call: &Call<'_>) -> Grads {
        (self.apply)(call)
    }
}

/// The edges of a node; long chains are taken apart in a loop, since recursion would overflow
/// the stack.
#[derive(Default)]
pub(crate) struct Edges(SmallVec<[Option<Edge>; 3]>);

impl FromIterator<Option<Edge>> for Edges {
    fn from_iter<I: IntoIterator<Item = Option<Edge>>>(edges: I) -> Edges {
        Edges(edges.into_iter().collect())
    }
}

impl Edges {
    /// The edges in the order of the op's inputs; `None` for an input that wants no gradient.
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
