use brimful_units::Shape;

use super::{Optimizer, Parameters, state, with_gradients, zeros_like_state};
use crate::ops::{self, TensorList};
use crate::tensor::Tensor;

/// `torch.optim.Adafactor` (torch/optim/_adafactor.py): row and column factors of the second
/// moment for matrices, the whole moment for vectors. A loop unless `foreach=True`.
pub(crate) struct Adafactor {
    parameters: Parameters,
    foreach: bool,
    states: Vec<Factors>,
}

#[derive(Clone)]
enum Factors {
    Matrix { row: Tensor, column: Tensor },
    Vector { variance: Tensor },
}

impl Adafactor {
    /// `foreach` is the constructor's argument; `None` runs the loop.
    pub fn new(parameters: Parameters, foreach: Option<bool>) -> Adafactor {
        Adafactor { parameters, foreach: foreach == Some(true), states: Vec::new() }
    }

    fn for_loop(&self, parameters: &[Tensor], grads: &[Tensor]) {
        let mut last = Locals::default();
        for ((p, grad), factors) in parameters.iter().zip(grads).zip(&self.states) {
            read_norm(p);
            match factors {
                Factors::Matrix { row, column } => {
                    last.row_mean = Some(norm_along(grad, grad.rank() - 1));
                    last.column_mean = Some(norm_along(grad, grad.rank() - 2));
                    let estimate = outer(row, column);
                    drop(mean_of_rows(row));
                    last.estimate = Some(estimate);
                }
                Factors::Vector { variance } => {
                    last.squared = Some(ops::mul(grad, grad));
                    last.estimate = Some(ops::like(variance, "clone", variance.dtype()));
                }
            }
            last.update = last.estimate.clone();
            if let Some(update) = &last.update {
                read_norm(update);
            }
        }
    }

    fn multi_tensor(&self, parameters: &[Tensor], grads: &[Tensor]) {
        // `updates` keeps the last group's list until it is bound to the next one.
        let mut last: Option<TensorList> = None;
        for matrices in group_order(&self.states) {
            let members: Vec<usize> = (0..grads.len())
                .filter(|at| matches!(self.states[*at], Factors::Matrix { .. }) == matrices)
                .collect();
            for at in &members {
                read_norm(&parameters[*at]);
            }
            let estimates = if matrices {
                self.estimates_of_matrices(grads, &members)
            } else {
                let group: Vec<Tensor> = members.iter().map(|at| grads[*at].clone()).collect();
                drop(ops::foreach("_foreach_mul", &group));
                TensorList(members.iter().map(|at| self.states[*at].cloned_variance()).collect())
            };
            drop(last.replace(estimates));
            for update in last.iter().flat_map(|list| &list.0) {
                read_norm(update);
            }
        }
    }

    fn estimates_of_matrices(&self, grads: &[Tensor], members: &[usize]) -> TensorList {
        let along = |back: usize| {
            TensorList(members.iter().map(|at| norm_along(&grads[*at], grads[*at].rank() - back)).collect())
        };
        drop(along(1));
        drop(along(2));
        let (mut estimates, mut means) = (Vec::new(), Vec::new());
        for at in members {
            if let Factors::Matrix { row, column } = &self.states[*at] {
                estimates.push(outer(row, column));
            }
        }
        for at in members {
            if let Factors::Matrix { row, .. } = &self.states[*at] {
                means.push(mean_of_rows(row));
            }
        }
        drop(TensorList(means));
        TensorList(estimates)
    }
}

/// The loop's local names, which keep the last parameter's temporaries until they are bound anew.
#[derive(Default)]
struct Locals {
    row_mean: Option<Tensor>,
    column_mean: Option<Tensor>,
    estimate: Option<Tensor>,
    squared: Option<Tensor>,
    update: Option<Tensor>,
}

impl Factors {
    fn of(grad: &Tensor) -> Factors {
        if grad.rank() < 2 {
            return Factors::Vector { variance: zeros_like_state(grad) };
        }
        let last = grad.rank() - 1;
        let with_one = |at: usize| -> Shape {
            (0..grad.rank()).map(|dim| if dim == at { 1 } else { grad.dim(dim) }).collect()
        };
        let zeros = |shape| state(ops::new_tensor(grad.device(), "new_zeros", shape, grad.dtype()));
        let row = zeros(with_one(last));
        Factors::Matrix { row, column: zeros(with_one(last - 1)) }
    }

    fn cloned_variance(&self) -> Tensor {
        match self {
            Factors::Vector { variance } => ops::like(variance, "clone", variance.dtype()),
            Factors::Matrix { row, .. } => row.clone(),
        }
    }
}

/// The groups in the order in which their first member appears.
fn group_order(states: &[Factors]) -> Vec<bool> {
    let first = states.first().is_some_and(|factors| matches!(factors, Factors::Matrix { .. }));
    let both = states.iter().any(|factors| matches!(factors, Factors::Matrix { .. }) != first);
    if both { vec![first, !first] } else { vec![first] }
}

/// `row @ column`: of a stack of matrices, such as experts, a product for each.
fn outer(row: &Tensor, column: &Tensor) -> Tensor {
    if row.rank() == 2 { ops::mm(row, column) } else { ops::matmul(row, column) }
}

/// `x.norm(2).item()`.
fn read_norm(x: &Tensor) {
    drop(ops::reduced_to_scalar(x, "linalg_vector_norm", x.dtype()));
}

fn norm_along(grad: &Tensor, dim: usize) -> Tensor {
    ops::reduced(grad, "linalg_vector_norm", &[dim], grad.dtype())
}

fn mean_of_rows(row: &Tensor) -> Tensor {
    ops::reduced(row, "mean", &[row.rank() - 2], row.dtype())
}

impl Optimizer for Adafactor {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        if self.states.is_empty() {
            self.states = grads.iter().map(Factors::of).collect();
        }
        if self.foreach { self.multi_tensor(&parameters, &grads) } else { self.for_loop(&parameters, &grads) }
    }
}
