//! The ends of the graph, where leaves collect their gradients.

use std::cell::RefCell;

use brimful_trace::Category;

use crate::ops;
use crate::tensor::{Tensor, contiguous_strides};

/// Collects a leaf's gradient in its `.grad` (torch/csrc/autograd/functions/accumulate_grad.h). The graph holds the
/// leaf through it; the leaf knows it weakly.
pub(crate) struct AccumulateGrad {
    /// The leaf.
    pub variable: Tensor,
    /// What has come of its gradient in the running backward.
    pub state: RefCell<LeafState>,
}

/// What the engine keeps of a leaf during a backward.
#[derive(Default)]
pub(crate) struct LeafState {
    /// How many gradients are still to come.
    pub dependencies: u32,
    /// The sum of those that have come.
    pub buffer: Option<Tensor>,
}

impl AccumulateGrad {
    /// The end of the graph for a leaf; it holds the leaf.
    pub fn new(variable: &Tensor) -> AccumulateGrad {
        AccumulateGrad { variable: variable.clone(), state: RefCell::default() }
    }

    /// Steals the first gradient where nobody else holds it and its memory order is the
    /// variable's; adds later ones in place.
    pub fn accumulate(&self, grad: Tensor) {
        let variable = &self.variable;
        if variable.has_grad() {
            return;
        }
        let steal = grad.use_count() == 1 && obeys_layout_contract(&grad, variable);
        let kept = if steal { grad.detach() } else { ops::clone_like(&grad, variable) };
        drop(grad);
        // A checkpointed block's input is a leaf too while the block runs again.
        if variable.category() == Category::Parameter {
            kept.categorize(Category::Gradient);
        }
        variable.set_grad(Some(kept));
    }
}

/// `obeys_layout_contract` in torch/csrc/autograd/utils/grad_layout_contract.h.
fn obeys_layout_contract(grad: &Tensor, variable: &Tensor) -> bool {
    if !variable.is_non_overlapping_and_dense() {
        return grad.is_contiguous();
    }
    let expected =
        if variable.rank() == 0 { contiguous_strides(variable.shape()) } else { variable.strides().clone() };
    (0..variable.rank()).all(|at| {
        grad.dim(at) == variable.dim(at) && (grad.dim(at) == 1 || grad.strides()[at] == expected[at])
    })
}
