//! The backward pass, node by node (torch/csrc/autograd/engine.cpp, `Engine::evaluate_function`).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use brimful_trace::StrId;

use super::node::{Call, Edge, Grads, Node, Target};
use crate::ops;
use crate::tensor::Tensor;

/// A node whose gradients have all come, ordered by when its op ran.
enum Ready {
    Leaf(Rc<super::AccumulateGrad>),
    Node(Rc<Node>),
}

impl Ready {
    /// Leaves go first: PyTorch gives them the largest sequence number.
    fn priority(&self) -> u64 {
        match self {
            Ready::Leaf(_) => u64::MAX,
            Ready::Node(node) => node.sequence,
        }
    }
}

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.priority() == other.priority()
    }
}

impl Eq for Ready {}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority().cmp(&other.priority())
    }
}

/// Runs the backward from `root` with the gradient `grad`; what was saved is released on the way.
pub(crate) fn backward(root: &Tensor, grad: Tensor) {
    backward_all(std::slice::from_ref(root), vec![grad]);
}

/// As [`backward`], from several roots with a gradient for each; a root that wants none is left out.
pub(crate) fn backward_all(roots: &[Tensor], grads: Vec<Tensor>) {
    let Some(device) = roots.first().map(|root| root.device().clone()) else { return };
    let _off = device.set_grad_enabled(false);
    let roots: Vec<(Edge, Tensor)> =
        roots.iter().zip(grads).filter_map(|(root, grad)| Some((root.edge()?, grad))).collect();
    // The roots hang on a node of their own (`GraphRoot`), which counts as one that brings a gradient to each.
    count_dependencies(roots.iter().map(|(edge, _)| edge));
    let mut ready = BinaryHeap::new();
    for (edge, grad) in roots {
        deliver(&edge, Some(grad), &mut ready);
    }
    while let Some(next) = ready.pop() {
        match next {
            Ready::Node(node) => evaluate(&node, &mut ready),
            Ready::Leaf(leaf) => {
                let grad = leaf.state.borrow_mut().buffer.take();
                let _scope = device.node("AccumulateGrad", StrId::default());
                if let Some(grad) = grad {
                    leaf.accumulate(grad);
                }
                if let Some(hook) = leaf.variable.gradient_hook() {
                    hook();
                }
            }
        }
    }
}

/// Counts for every reachable node how many gradients will come.
fn count_dependencies<'a>(roots: impl Iterator<Item = &'a Edge>) {
    let mut pending: Vec<Rc<Node>> = Vec::new();
    roots.for_each(|edge| count(edge, &mut pending));
    while let Some(node) = pending.pop() {
        node.edges.iter().flatten().for_each(|edge| count(edge, &mut pending));
    }
}

/// Counts one edge; what it leads to is pending when it is reached for the first time.
fn count(edge: &Edge, pending: &mut Vec<Rc<Node>>) {
    match &edge.target {
        Target::Leaf(leaf) => leaf.state.borrow_mut().dependencies += 1,
        Target::Node(next) => {
            let before = next.dependencies.get();
            next.dependencies.set(before + 1);
            if before == 0 {
                pending.push(next.clone());
            }
        }
    }
}

fn evaluate(node: &Rc<Node>, ready: &mut BinaryHeap<Ready>) {
    let outputs = call(node);
    node.release();
    for (edge, output) in node.edges.iter().zip(outputs) {
        if let Some(edge) = edge {
            deliver(edge, output, ready);
        }
    }
}

/// The node of a reentrant checkpoint.
pub(crate) const CHECKPOINT: &str = "CheckpointFunctionBackward";
/// The node of a product with a 4-bit weight.
pub(crate) const MATMUL_4BIT: &str = "MatMul4BitBackward";
/// The node of a product with an 8-bit weight.
pub(crate) const MATMUL_8BIT: &str = "MatMul8bitLtBackward";
/// The node that FSDP2 puts before a unit's inputs.
pub(crate) const POST_BACKWARD: &str = "RegisterPostBackwardFunctionBackward";
/// The nodes of functions of Python's.
const OF_PYTHON: [&str; 4] = [CHECKPOINT, MATMUL_4BIT, MATMUL_8BIT, POST_BACKWARD];

/// Runs the node's function and brings each gradient to its input's shape and dtype.
fn call(node: &Rc<Node>) -> Grads {
    let mut grads = std::mem::take(&mut *node.buffer.borrow_mut());
    if grads.iter().all(Option::is_none) {
        return node.edges.iter().map(|_| None).collect();
    }
    node.call_hooks(&grads);
    // Cannot fail: nodes to which no gradient came returned above.
    let device = grads.iter().flatten().next().expect("a gradient arrived").device().clone();
    let mut outputs = {
        let _scope = device.node(node.name, node.module);
        let mut saved = node.unpack();
        let wanted = node.edges.iter().map(|edge| edge.is_some()).collect();
        let outputs = node.apply(&Call { grads: &grads, saved: &saved, wanted });
        while let Some(last) = saved.pop() {
            drop(last);
        }
        outputs
    };
    if OF_PYTHON.contains(&node.name) {
        // A function of Python is given its gradients as a tuple, which CPython drops from its end when the function has
        // returned (`PyNode::apply` in torch/csrc/autograd/python_function.cpp).
        while grads.pop().is_some() {}
    }
    for (edge, output) in node.edges.iter().zip(outputs.iter_mut()) {
        if let (Some(edge), Some(grad)) = (edge, output.take()) {
            *output = Some(validated(edge, grad));
        }
    }
    outputs
}

/// `validate_outputs`: a broadcast input's gradient is summed, a converted one's converted back.
fn validated(edge: &Edge, grad: Tensor) -> Tensor {
    let Some((shape, dtype)) = edge.metadata() else { return grad };
    let device = grad.device().clone();
    let _scope = device.node("", StrId::default());
    let grad = if grad.shape() == &shape { grad } else { ops::sum_to(grad, &shape) };
    match dtype {
        Some(dtype) if grad.dtype() != dtype => ops::to(grad, dtype),
        _ => grad,
    }
}

/// Adds a gradient to a node's input, and queues the node when it was the last to come.
fn deliver(edge: &Edge, grad: Option<Tensor>, ready: &mut BinaryHeap<Ready>) {
    match &edge.target {
        Target::Leaf(leaf) => {
            let mut state = leaf.state.borrow_mut();
            if let Some(grad) = grad {
                add_to(&mut state.buffer, grad);
            }
            state.dependencies -= 1;
            if state.dependencies == 0 {
                drop(state);
                ready.push(Ready::Leaf(leaf.clone()));
            }
        }
        Target::Node(node) => {
            let mut buffer = node.buffer.borrow_mut();
            let inputs = node.inputs.borrow().len();
            buffer.resize(inputs.max(1), None);
            if let Some(grad) = grad {
                add_to(&mut buffer[edge.slot], grad);
            }
            drop(buffer);
            let left = node.dependencies.get() - 1;
            node.dependencies.set(left);
            if left == 0 {
                ready.push(Ready::Node(node.clone()));
            }
        }
    }
}

/// `accumulate` in torch/csrc/autograd/input_buffer.cpp: in place where the first gradient is
/// held by nobody else, into a new tensor otherwise.
fn add_to(slot: &mut Option<Tensor>, grad: Tensor) {
    match slot.take() {
        None => *slot = Some(grad),
        Some(old) if old.is_non_overlapping_and_dense() && old.is_sole_owner() => *slot = Some(old),
        Some(old) => {
            let device = old.device().clone();
            let _scope = device.node("", StrId::default());
            *slot = Some(ops::add(old, grad));
        }
    }
}
