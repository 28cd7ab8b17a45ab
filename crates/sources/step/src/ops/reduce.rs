//! Reductions, and the staging buffer of those that spread over several thread blocks
//! (`setReduceConfig` in aten/src/ATen/native/cuda/Reduce.cuh).

use brimful_units::{Dtype, Shape};
use smallvec::SmallVec;

use super::{grads, plain_binary, plain_unary, saved};
use crate::autograd::Op;
use crate::device::Device;
use crate::tensor::Tensor;

/// `x.mean(-1, keepdim=True)` of a temporary.
pub(crate) fn mean_last(x: Tensor) -> Tensor {
    mean(&x, x.rank() - 1, true)
}

/// `torch.logsumexp(x, -1)` (`logsumexp_out_impl` in aten/src/ATen/native/ReduceOps.cpp, `logsumexp_backward` in
/// torch/csrc/autograd/FunctionsManual.cpp, torch 2.15), which autocast runs in fp32.
pub(crate) fn logsumexp_last(x: &Tensor) -> Tensor {
    let x = crate::autocast::to_float(x);
    let last = x.rank() - 1;
    Op::new("logsumexp", "LogsumexpBackward0", &[&x])
        .saves_inputs(|| saved![Some(Tensor::clone(&x))])
        .run(|| {
            let maxima = reduced(&x, "amax", &[last], x.dtype());
            // `maxes_squeezed.masked_fill_(maxes_squeezed.abs() == INFINITY, 0)`: the temporaries go in the reverse order.
            let magnitudes = plain_unary("abs", &maxima, x.dtype());
            drop(plain_unary("eq", &magnitudes, Dtype::Bool));
            drop(magnitudes);
            let shifted = plain_binary("sub", &x, &maxima);
            let sums = reduced(&shifted, "sum", &[last], x.dtype());
            drop(shifted);
            let shape = x.shape().with_last(1, &[]);
            let strides = crate::tensor::contiguous_strides(&shape);
            sums.unsafe_view_as(shape, strides)
        })
        .saves_results(|out| saved![Some(out.detach())])
        .backward(move |call| {
            let kept = |tensor: &Tensor| super::unsqueeze(tensor, last);
            let (grad, result) = (kept(call.grad()), kept(call.saved(1)));
            let shifted = plain_binary("sub", call.saved(0), &result);
            let shares = plain_unary("exp", &shifted, shifted.dtype());
            let grad = super::mul(&grad, &shares);
            drop(shares);
            drop(shifted);
            grads![Some(grad)]
        })
}

/// `x.mean(dim)`, or with `keep` as `x.mean(dim, keepdim=True)`.
pub(crate) fn mean(x: &Tensor, dim: usize, keep: bool) -> Tensor {
    mean_of(x, &[dim], keep)
}

/// As [`mean`], of several dimensions in their order.
pub(crate) fn mean_of(x: &Tensor, dims: &[usize], keep: bool) -> Tensor {
    let spread = |expanded: Tensor| super::div_scalar(&expanded);
    along(x, ("mean", "MeanBackward1"), (dims, keep), x.dtype(), spread)
}

/// `x.sum(dim)`, or with `keep` as `x.sum(dim, keepdim=True)`, in `dtype`.
pub(crate) fn sum(x: &Tensor, dim: usize, keep: bool, dtype: Dtype) -> Tensor {
    along(x, ("sum", "SumBackward1"), (&[dim], keep), dtype, |expanded| expanded)
}

/// `x.sum(dim)` of whole numbers or truth values, in int64: others are converted first (`make_reduction` in
/// aten/src/ATen/native/ReduceOpsUtils.h).
pub(crate) fn count(x: &Tensor, dim: usize) -> Tensor {
    let device = x.device();
    let _op = device.op("sum");
    let mut shape = x.shape().clone();
    shape.remove(dim);
    let out = Tensor::empty(device, shape, Dtype::I64);
    let whole = super::to(x, Dtype::I64);
    let outputs = out.numel();
    if outputs > 0 {
        let plan = Plan::new(device, outputs, x.numel() / outputs, reduces_fastest(&whole, &[dim]));
        plan.stage_as(device, Dtype::I64.size());
    }
    drop(whole);
    out
}

/// A reduction of dimensions, whose gradient is expanded over them and then `spread`.
fn along(
    x: &Tensor,
    (op, node): (&'static str, &'static str),
    (dims, keep): (&[usize], bool),
    dtype: Dtype,
    spread: fn(Tensor) -> Tensor,
) -> Tensor {
    let whole = x.shape().clone();
    let dims: SmallVec<[usize; 4]> = dims.into();
    Op::new(op, node, &[x])
        .run(|| {
            let kept = reduced(x, op, &dims, dtype);
            if keep {
                return kept;
            }
            let mut shape = kept.shape().clone();
            // From the last on, so that the numbers of the others stay.
            dims.iter().rev().for_each(|dim| {
                shape.remove(*dim);
            });
            let strides = crate::tensor::contiguous_strides(&shape);
            kept.unsafe_view_as(shape, strides)
        })
        .backward(move |call| {
            let unsqueezed = |grad: Tensor| dims.iter().fold(grad, |grad, dim| super::unsqueeze(&grad, *dim));
            let kept = if keep { call.grad().clone() } else { unsqueezed(call.grad().clone()) };
            grads![Some(spread(super::expand(kept, whole.clone())))]
        })
}

/// `at::sum_to(x, shape)`: sums what broadcasting repeated; the tensor itself where nothing was.
pub(crate) fn sum_to(x: Tensor, shape: &Shape) -> Tensor {
    let leading = x.rank() - shape.rank();
    let dims: Vec<usize> =
        (0..x.rank()).filter(|at| *at < leading || (shape[at - leading] == 1 && x.dim(*at) != 1)).collect();
    if dims.is_empty() {
        return x;
    }
    let summed = reduced(&x, "sum", &dims, x.dtype());
    drop(x);
    if leading > 0 { super::view(&summed, shape.clone()) } else { summed }
}

/// `x.sum(-1)`, as the memory-efficient attention's backward takes it.
pub(super) fn reduce_last(x: &Tensor) -> Tensor {
    let kept = reduced(x, "sum", &[x.rank() - 1], x.dtype());
    let shape = x.shape().with_last(1, &[]);
    let strides = crate::tensor::contiguous_strides(&shape);
    kept.unsafe_view_as(shape, strides)
}

/// A new tensor with the given dimensions reduced to one, and the kernel's staging buffer.
pub(crate) fn reduced(x: &Tensor, op: &'static str, dims: &[usize], dtype: Dtype) -> Tensor {
    let device = x.device();
    let _op = device.op(op);
    let mut shape = x.shape().clone();
    for at in dims {
        shape[*at] = 1;
    }
    let out = Tensor::empty(device, shape, dtype);
    let outputs = out.numel();
    if outputs > 0 {
        let along_fastest = reduces_fastest(x, dims);
        let plan = Plan::new(device, outputs, x.numel() / outputs, along_fastest);
        plan.stage(device);
    }
    out
}

/// `x.sum()` and the like: everything into one value.
pub(crate) fn reduced_to_scalar(x: &Tensor, op: &'static str, dtype: Dtype) -> Tensor {
    let device = x.device();
    let _op = device.op(op);
    let out = Tensor::empty(device, [], dtype);
    let plan = Plan::new(device, 1, x.numel(), Along::Everything);
    // Truth values are accumulated as they are (`and_kernel_cuda`, `or_kernel_cuda`).
    plan.stage_as(device, if dtype == Dtype::Bool { dtype.size() } else { ACCUMULATOR_BYTES });
    out
}

/// Whether the kernel divides each output among several blocks, which then share a staging buffer.
pub(crate) fn divides_outputs(x: &Tensor, dim: usize) -> bool {
    let outputs = x.numel() / x.dim(dim).max(1);
    outputs > 0
        && Plan::new(x.device(), outputs, x.dim(dim), reduces_fastest(x, &[dim])).blocks_per_output > 1
}

/// Which dimensions a reduction runs along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Along {
    /// Every one: the input is one contiguous run.
    Everything,
    /// The fastest one among others.
    Fastest,
    /// Only slower ones: one thread may own so many outputs that lie side by side.
    Slower { vector: u64 },
}

fn reduces_fastest(x: &Tensor, dims: &[usize]) -> Along {
    let sized = |at: &usize| x.dim(*at) > 1;
    let kept: Vec<usize> = (0..x.rank()).filter(|at| !dims.contains(at) && sized(at)).collect();
    let slowest_kept = kept.iter().map(|at| x.strides()[*at]).min();
    let fastest = dims.iter().filter(|at| sized(at)).map(|at| x.strides()[*at]).min();
    match (fastest, slowest_kept) {
        (_, None) => Along::Everything,
        (Some(reduced), Some(kept)) if reduced < kept => Along::Fastest,
        _ => Along::Slower { vector: outputs_side_by_side(x, dims) },
    }
}

/// `get_output_vec_size`: the run of outputs that lie side by side in the input, and the strides of all other dimensions, are
/// multiples of it. Dimensions join the run where the output, which is row-major, has them side by side as well.
fn outputs_side_by_side(x: &Tensor, dims: &[usize]) -> u64 {
    let sized = |at: &usize| x.dim(*at) > 1;
    let mut kept: Vec<usize> = (0..x.rank()).filter(|at| !dims.contains(at) && sized(at)).collect();
    kept.sort_by_key(|at| x.strides()[*at]);
    // The stride of a kept dimension in the output.
    let output =
        |at: usize| (at + 1..x.rank()).filter(|at| !dims.contains(at)).map(|at| x.dim(at)).product::<u64>();
    let Some(&fastest) = kept.first() else { return 1 };
    if x.strides()[fastest] != 1 {
        return 1;
    }
    let start = output(fastest);
    let mut run = x.dim(fastest);
    let mut joined = 1;
    while let Some(&next) =
        kept.get(joined).filter(|at| x.strides()[**at] == run && output(**at) == run * start)
    {
        run *= x.dim(next);
        joined += 1;
    }
    let others = kept[joined..].iter().chain(dims).filter(|at| sized(at)).map(|at| x.strides()[*at]);
    others.chain([run]).map(largest_divisor).min().unwrap_or(1)
}

/// How a reduction is divided among threads and blocks.
struct Plan {
    outputs: u64,
    block_width: u64,
    output_vector: u64,
    grid_x: u64,
    blocks_per_output: u64,
    /// Whether lanes of a warp share an output.
    across_lanes: bool,
}

/// What every variant of the kernel has in common.
const MAX_THREADS: u64 = 512;
const WARP: u64 = 32;
const VECTOR: u64 = 4;
const MIN_VALUES_PER_THREAD: u64 = 16;
const MAX_VALUES_PER_THREAD: u64 = 256;
/// Reductions accumulate in 32 bits.
const ACCUMULATOR_BYTES: u64 = 4;

impl Plan {
    fn new(device: &Device, outputs: u64, per_output: u64, along: Along) -> Plan {
        let across_lanes = !matches!(along, Along::Slower { .. });
        let (mut dim0, dim1) = if across_lanes { (per_output, outputs) } else { (outputs, per_output) };
        let mut output_vector = 1;
        if along == Along::Everything && dim0 > 128 {
            dim0 /= VECTOR;
        } else if let Along::Slower { vector } = along {
            output_vector = vector;
            dim0 /= output_vector;
        }
        let (block_width, block_height) = block(dim0, dim1, MAX_THREADS / output_vector);
        let mut step_input = if across_lanes { block_width } else { 1 };
        let mut step_output = if across_lanes { 1 } else { block_width };
        let values = |step: u64| per_output.div_ceil(step);
        let split_warps = values(step_input) >= (block_height * 16).min(MAX_VALUES_PER_THREAD);
        if split_warps {
            step_input *= block_height
        } else {
            step_output *= block_height
        }
        let grid_x = (outputs / output_vector).div_ceil(step_output);
        let processor = device.properties();
        let blocks_at_once = processor.threads_per_multiprocessor() / (block_width * block_height);
        let target = processor.multiprocessors * blocks_at_once;
        let mut blocks_per_output = 1;
        if split_warps && values(step_input) >= MAX_VALUES_PER_THREAD && grid_x <= target {
            let filling = target.div_ceil(grid_x);
            let most = values(step_input).div_ceil(MIN_VALUES_PER_THREAD);
            let least = values(step_input).div_ceil(MAX_VALUES_PER_THREAD);
            blocks_per_output = filling.min(most).max(least);
        }
        Plan { outputs, block_width, output_vector, grid_x, blocks_per_output, across_lanes }
    }

    /// Takes the staging buffer and the semaphores for the kernel's run.
    fn stage(&self, device: &Device) {
        self.stage_as(device, ACCUMULATOR_BYTES);
    }

    /// As [`Plan::stage`], with accumulators of so many bytes.
    fn stage_as(&self, device: &Device, accumulator: u64) {
        if self.blocks_per_output <= 1 {
            return;
        }
        let lanes = if self.across_lanes { 1 } else { self.block_width * self.output_vector };
        let partials = device.mul(device.mul(accumulator * self.outputs, self.blocks_per_output), lanes);
        let staging = device.hold_kernel_buffer(partials);
        let semaphores = device.hold_kernel_buffer(4 * self.grid_x);
        drop(semaphores);
        drop(staging);
    }
}

/// The widest vector of which a number of elements is a multiple.
fn largest_divisor(elements: u64) -> u64 {
    [VECTOR, 2].into_iter().find(|n| elements.is_multiple_of(*n)).unwrap_or(1)
}

/// `set_block_dimension`.
fn block(dim0: u64, dim1: u64, max_threads: u64) -> (u64, u64) {
    let bounded = |n: u64| if n < max_threads { last_power_of_two(n) } else { max_threads };
    let (dim0, dim1) = (bounded(dim0), bounded(dim1));
    let width = dim0.min(WARP);
    let height = dim1.min(max_threads / width);
    (dim0.min(max_threads / height), height)
}

fn last_power_of_two(n: u64) -> u64 {
    1 << (63 - n.max(1).leading_zeros())
}

/// `x.mean(dim, keepdim=True)` without gradient, and as large as `x.mean(dim)`.
pub(crate) fn mean_kept(x: &Tensor, dim: usize) -> Tensor {
    reduced(x, "mean", &[dim], x.dtype())
}

/// The staging of the kernel of `x.mean()`.
pub(super) fn stage_mean(x: &Tensor) {
    let device = x.device();
    let _op = device.op("mean");
    Plan::new(device, 1, x.numel(), Along::Everything).stage(device);
}

/// `torch.sum` of a mask read as a number: the staging of its kernel.
pub(crate) fn stage_sum(x: &Tensor) {
    let device = x.device();
    let _op = device.op("sum");
    Plan::new(device, 1, x.numel(), Along::Everything).stage(device);
}

/// `x.cumsum(-1)` without gradient: the sums, a copy as integers of what is no number, and one row's scan buffer.
pub(crate) fn cumsum_last(x: &Tensor) -> Tensor {
    let device = x.device();
    let _op = device.op("cumsum");
    let dtype = if x.dtype().is_floating() { x.dtype() } else { Dtype::I64 };
    let out = Tensor::empty(device, x.shape().clone(), dtype);
    let whole = super::to(x, dtype);
    let rows = x.numel() / x.last(0).max(1);
    if rows == 1 {
        let scratch = if dtype.size() > 4 { super::scan_scratch } else { super::narrow_scan_scratch };
        device.kernel_buffer(scratch(x.last(0)));
    }
    drop(whole);
    out
}
