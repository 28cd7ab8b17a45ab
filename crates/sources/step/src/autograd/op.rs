//! How an op is declared to autograd. There is one order, that of PyTorch's generated code
//! (torch/csrc/autograd/generated/VariableType_*.cpp, written by tools/autograd/gen_variable_type.py, torch 2.15):
//!
//! 1. the node is made, and takes its sequence number;
//! 2. what it saves of its inputs is packed (`SavedVariable(self, false)`);
//! 3. the kernel runs;
//! 4. the outputs become the node's (`set_history`);
//! 5. what it saves of its results is packed (`SavedVariable(result, true)`).
//!
//! Both lists of saved tensors are sorted by name there, and the backward releases them in the order of packing, inputs
//! before results (`save_var` in tools/autograd/gen_autograd_functions.py). fixtures/step/ops.jsonl has recorded it.
//!
//! The order shows under checkpointing: a region that runs again stops at the last tensor that it packs. If that is an
//! input, the kernel never runs; if it is a result, it does.

use std::rc::Rc;

use brimful_trace::StrId;
use smallvec::SmallVec;

use super::Packed;
use super::node::{Apply, Call, Edges, Grads, Node, PackedTensors};
use crate::device::{Device, ScopeGuard};
use crate::tensor::Tensor;

/// Tensors that an op saves; `None` stands for one that it saves under another condition.
pub(crate) type Saved = SmallVec<[Option<Tensor>; 4]>;

/// The outputs of an op: those that carry gradients, and whatever else its kernel made.
pub(crate) trait Outputs {
    /// The outputs that carry gradients, in their order.
    fn differentiable(&self) -> &[Tensor];

    /// As [`Outputs::differentiable`], to replace them.
    fn differentiable_mut(&mut self) -> &mut [Tensor];
}

impl Outputs for Tensor {
    fn differentiable(&self) -> &[Tensor] {
        std::slice::from_ref(self)
    }

    fn differentiable_mut(&mut self) -> &mut [Tensor] {
        std::slice::from_mut(self)
    }
}

impl Outputs for Vec<Tensor> {
    fn differentiable(&self) -> &[Tensor] {
        self
    }

    fn differentiable_mut(&mut self) -> &mut [Tensor] {
        self
    }
}

/// One output that carries a gradient, and what the kernel made beside it.
impl<T> Outputs for (Tensor, T) {
    fn differentiable(&self) -> &[Tensor] {
        std::slice::from_ref(&self.0)
    }

    fn differentiable_mut(&mut self) -> &mut [Tensor] {
        std::slice::from_mut(&mut self.0)
    }
}

/// An op whose kernel has not run yet. The order of its methods is the order in which PyTorch does these things.
#[must_use]
pub(crate) struct Op {
    recording: Option<Recording>,
    scope: Option<ScopeGuard>,
}

/// An op whose kernel has run.
#[must_use]
pub(crate) struct Ran<T> {
    recording: Option<Recording>,
    outputs: T,
    /// Allocations belong to the op until it is recorded.
    _scope: Option<ScopeGuard>,
}

impl Op {
    /// Declares an op by its ATen name, the name of its node, and its inputs that can carry gradients. Allocations belong
    /// to it until it is recorded.
    pub fn new(name: &'static str, node: &'static str, inputs: &[&Tensor]) -> Op {
        let device = inputs[0].device();
        let scope = Some(device.op(name));
        Op { recording: Recording::begin(device, node, inputs), scope }
    }

    /// Declares an op that makes no memory of its own (a view), or that only calls ops with names of their own.
    pub fn nameless(node: &'static str, inputs: &[&Tensor]) -> Op {
        Op { recording: Recording::begin(inputs[0].device(), node, inputs), scope: None }
    }

    /// Says what the backward needs of the inputs; only asked where the op is recorded.
    pub fn saves_inputs(mut self, saved: impl FnOnce() -> Saved) -> Op {
        if let Some(recording) = &mut self.recording {
            recording.save(saved());
        }
        self
    }

    /// Runs the kernel: allocates the outputs, and the buffers that it has to itself.
    pub fn run<T: Outputs>(self, kernel: impl FnOnce() -> T) -> Ran<T> {
        Ran { recording: self.recording, outputs: kernel(), _scope: self.scope }
    }
}

impl<T: Outputs> Ran<T> {
    /// Says what the backward needs of the results; only asked where the op is recorded. A saved output is detached:
    /// otherwise it would keep its own node alive.
    pub fn saves_results(mut self, saved: impl FnOnce(&T) -> Saved) -> Ran<T> {
        if let Some(recording) = &mut self.recording {
            let stopped_before = recording.device.is_stopped();
            recording.save(saved(&self.outputs));
            // A region that stops here leaves the op by an exception: C++ destroys the outputs while it unwinds, before
            // Python drops the arguments. What was saved keeps its memory.
            if recording.device.is_stopped() && !stopped_before {
                self.outputs
                    .differentiable_mut()
                    .iter_mut()
                    .for_each(|output| *output = output.without_memory());
            }
        }
        self
    }

    /// Says how gradients pass through the op, and gives the outputs out. [`Call::saved`] counts what was saved of the
    /// inputs first, then what was saved of the results; the backward releases it in this order.
    pub fn backward(self, apply: impl Fn(&Call<'_>) -> Grads + 'static) -> T {
        // A region that stops in the op leaves it by an exception, and the node goes with what it held. A void run goes on
        // without allocating: its nodes are there, so that its backward finds what it asks for.
        let left = |device: &Device| device.is_stopped() && !device.failed();
        if let Some(recording) = self.recording.filter(|it| !left(&it.device)) {
            recording.finish(self.outputs.differentiable(), Box::new(apply));
        }
        self.outputs
    }
}

/// A node in the making.
struct Recording {
    device: Device,
    name: &'static str,
    /// The module whose forward runs, and the node's sequence number.
    place: (StrId, u64),
    edges: Edges,
    saved: PackedTensors,
}

impl Recording {
    /// `None` where gradients are off or no input wants one.
    fn begin(device: &Device, name: &'static str, inputs: &[&Tensor]) -> Option<Recording> {
        if !device.grad_enabled() || !inputs.iter().any(|input| input.requires_grad()) {
            return None;
        }
        Some(Recording {
            device: device.clone(),
            name,
            place: (device.current_module(), device.next_sequence()),
            edges: inputs.iter().map(|input| input.edge()).collect(),
            saved: PackedTensors::new(),
        })
    }

    fn save(&mut self, saved: Saved) {
        let packed = saved.into_iter().map(|tensor| tensor.map(|tensor| Packed::pack(&self.device, tensor)));
        self.saved.extend(packed);
    }

    /// Makes the outputs the node's: their gradients come to it.
    fn finish(self, outputs: &[Tensor], apply: Apply) {
        let metadata = outputs.iter().map(|output| (output.shape().clone(), output.dtype())).collect();
        let node = Rc::new(Node::new(self.name, self.place, self.edges, metadata, self.saved, apply));
        for (slot, output) in outputs.iter().enumerate() {
            output.set_grad_fn(node.clone(), slot);
        }
    }
}
