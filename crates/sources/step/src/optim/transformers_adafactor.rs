use brimful_units::{Dtype, Shape};

use super::{Optimizer, Parameters, state, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// transformers' `Adafactor` (transformers/optimization.py): a loop in fp32, one parameter after
/// the other; Python's local names keep the last one's tensors until they are bound anew.
pub(crate) struct Adafactor {
    parameters: Parameters,
    /// Whether it keeps a first moment (`beta1`).
    averages: bool,
    states: Vec<State>,
}

struct State {
    exp_avg: Option<Tensor>,
    moment: Moment,
    rms: Option<Tensor>,
}

#[derive(Clone)]
enum Moment {
    Factored { row: Tensor, column: Tensor },
    Whole(Tensor),
}

/// The local names of `step`.
#[derive(Default)]
struct Locals {
    grad: Option<Tensor>,
    master: Option<Tensor>,
    update: Option<Tensor>,
}

impl Adafactor {
    /// `averages` says whether `beta1` is given.
    pub fn new(parameters: Parameters, averages: bool) -> Adafactor {
        Adafactor { parameters, averages, states: Vec::new() }
    }

    fn init(&self, grad: &Tensor) -> State {
        let exp_avg = self.averages.then(|| state(ops::zeros_like(grad)));
        let moment =
            if grad.rank() >= 2 { factored(grad) } else { Moment::Whole(state(ops::zeros_like(grad))) };
        State { exp_avg, moment, rms: None }
    }

    fn update(&mut self, at: usize, p: &Tensor, original: &Tensor, locals: &mut Locals) {
        let half = original.dtype() != Dtype::F32;
        // `grad = p.grad` frees the last parameter's fp32 copy before `grad.float()` makes the next.
        locals.grad = None;
        let grad = ops::to(original, Dtype::F32);
        locals.grad = Some(grad.clone());
        if self.states.len() <= at {
            let made = self.init(&grad);
            self.states.push(made);
        }
        // `p_data_fp32 = p` does the same for the master copy.
        locals.master = None;
        let master = if half { ops::to(p, Dtype::F32) } else { p.clone() };
        locals.master = Some(master.clone());
        let state = &mut self.states[at];
        let rms = root_mean_square(&master);
        rms.categorize(brimful_trace::Category::Optimizer);
        state.rms = Some(rms);
        let squared = ops::add_scalar(ops::plain_unary("pow", &grad, Dtype::F32));
        // Only now is the last parameter's update freed: `update` is bound to the squares after they are made.
        locals.update = Some(squared.clone());
        let update = match &state.moment {
            Moment::Factored { row, column } => {
                drop(ops::mean_kept(&squared, squared.rank() - 1));
                drop(ops::mean_kept(&squared, squared.rank() - 2));
                drop(squared);
                approximate(row, column)
            }
            Moment::Whole(moment) => {
                drop(squared);
                ops::plain_unary("rsqrt", moment, Dtype::F32)
            }
        };
        locals.update = Some(update.clone());
        let scale = ops::div_scalar(root_mean_square(&update));
        drop(scale);
        drop(update);
        if let Some(average) = &state.exp_avg {
            locals.update = Some(average.clone());
        }
        drop(locals.update.as_ref().map(ops::neg));
    }
}

fn factored(grad: &Tensor) -> Moment {
    let dims = grad.shape().dims();
    let row: Shape = dims[..dims.len() - 1].into();
    let column: Shape = dims[..dims.len() - 2].iter().chain(&dims[dims.len() - 1..]).copied().collect();
    let moved = |shape| state(ops::new_tensor(grad.device(), "_to_copy", shape, Dtype::F32));
    let row = moved(row);
    Moment::Factored { row, column: moved(column) }
}

/// `tensor.norm(2) / tensor.numel() ** 0.5`.
fn root_mean_square(x: &Tensor) -> Tensor {
    ops::div_scalar(ops::reduced_to_scalar(x, "linalg_vector_norm", Dtype::F32))
}

/// `_approx_sq_grad`: the outer product of the factors' inverse roots.
fn approximate(row: &Tensor, column: &Tensor) -> Tensor {
    let device = row.device();
    let row_factor = {
        let mean = ops::mean_kept(row, row.rank() - 1);
        ops::div(row, mean)
    };
    let column_factor = ops::plain_unary("rsqrt", column, Dtype::F32);
    let shape: Shape = row.shape().dims().iter().copied().chain([column.last(0)]).collect();
    let product = ops::new_tensor(device, "mul", shape, Dtype::F32);
    drop(row_factor);
    drop(column_factor);
    product
}

impl Optimizer for Adafactor {
    fn step(&mut self) {
        let (parameters, grads) = with_gradients(&self.parameters);
        let mut locals = Locals::default();
        for (at, (p, grad)) in parameters.iter().zip(&grads).enumerate() {
            self.update(at, p, grad, &mut locals);
        }
    }
}
