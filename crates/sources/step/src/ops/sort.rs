//! Sorting, counting and the largest values (aten/src/ATen/native/cuda/Sort.cpp, TensorTopK.cpp, SummaryOps.cu, torch 2.15).

use brimful_units::{Dtype, Shape};

use super::embedding::INDEX;
use super::{grads, narrow_scan_scratch, new_tensor, plain_unary, saved, sort_scratch};
use crate::autograd::Op;
use crate::tensor::Tensor;

/// Up to this many numbers are sorted within one thread block, without storage of CUB's (`should_use_small_sort`).
const SMALL_SORT: u64 = 4096;
/// Indices are sorted by all of their bits.
const INDEX_BITS: u64 = 64;

/// `torch.sort(x)` of a list of indices, which carries no gradient: the sorted ones and where each was.
pub(crate) fn sort_indices(x: &Tensor) -> (Tensor, Tensor) {
    let device = x.device();
    let _op = device.op("sort");
    let length = x.numel();
    let whole = || Tensor::empty(device, x.shape().clone(), INDEX);
    let (values, indices) = (whole(), whole());
    let positions = new_tensor(device, "arange", x.shape().clone(), INDEX);
    if length > SMALL_SORT {
        device.kernel_buffer(sort_scratch(device, length, INDEX_BITS));
    }
    drop(positions);
    (values, indices)
}

/// `torch.topk(x, k, dim=-1)` of rows that one thread block reads.
pub(crate) fn topk_last(x: &Tensor, k: u64) -> (Tensor, Tensor) {
    let from = x.shape().clone();
    Op::new("topk", "TopkBackward0", &[x])
        .run(|| {
            let shape = from.with_last(1, &[k]);
            (Tensor::empty(x.device(), shape.clone(), x.dtype()), Tensor::empty(x.device(), shape, INDEX))
        })
        .saves_results(|(_, indices)| saved![Some(indices.clone())])
        .backward({
            let from = from.clone();
            // `value_selecting_reduction_backward`: zeros, into which the gradient is scattered.
            move |call| grads![Some(zeros(call.grad(), &from))]
        })
}

/// `x.max(dim, keepdim=True)`, where no output is divided among blocks: the largest value and where it is.
pub(crate) fn max_kept(x: &Tensor, dim: usize) -> (Tensor, Tensor) {
    let from = x.shape().clone();
    Op::new("max", "MaxBackward0", &[x])
        .run(|| {
            let mut shape = from.clone();
            shape[dim] = 1;
            (Tensor::empty(x.device(), shape.clone(), x.dtype()), Tensor::empty(x.device(), shape, INDEX))
        })
        .saves_results(|(_, indices)| saved![Some(indices.clone())])
        .backward({
            let from = from.clone();
            // `value_selecting_reduction_backward`: zeros, into which the gradient is scattered.
            move |call| grads![Some(zeros(call.grad(), &from))]
        })
}

/// `torch.histc(x, bins, min, max)` of integers.
pub(crate) fn histogram(x: &Tensor, bins: u64) -> Tensor {
    new_tensor(x.device(), "histc", [bins], Dtype::I32)
}

/// `x.cumsum(0)` of a list of 32-bit integers, and CUB's scan buffer.
pub(crate) fn running_sum(x: &Tensor) -> Tensor {
    let device = x.device();
    let _op = device.op("cumsum");
    let out = Tensor::empty(device, x.shape().clone(), x.dtype());
    device.kernel_buffer(narrow_scan_scratch(x.numel()));
    out
}

/// `torch.nn.functional.one_hot(x, classes)`.
pub(crate) fn one_hot(x: &Tensor, classes: u64) -> Tensor {
    let shape: Shape = x.shape().with_last(0, &[classes]);
    new_tensor(x.device(), "one_hot", shape, INDEX)
}

/// `x // number` of integers.
pub(crate) fn floor_divide(x: &Tensor) -> Tensor {
    plain_unary("floor_divide", x, x.dtype())
}

/// `grad.new_zeros(shape)`, which the kernel of a backward then writes into.
fn zeros(grad: &Tensor, shape: &Shape) -> Tensor {
    new_tensor(grad.device(), "new_zeros", shape.clone(), grad.dtype())
}

/// `x.gather(dim, index)`.
pub(crate) fn gather(x: &Tensor, index: &Tensor) -> Tensor {
    let from = x.shape().clone();
    Op::new("gather", "GatherBackward0", &[x])
        .saves_inputs(|| saved![Some(index.clone()), Some(x.clone())])
        .run(|| Tensor::empty(x.device(), index.shape().clone(), x.dtype()))
        .backward(move |call| grads![Some(zeros(call.grad(), &from))])
}

/// `x[index]` of the first dimension (`index` in aten/src/ATen/native/TensorAdvancedIndexing.cpp).
pub(crate) fn index_rows(x: &Tensor, index: &Tensor) -> Tensor {
    let from = x.shape().clone();
    let out: Shape = index.shape().dims().iter().chain(&from.dims()[1..]).copied().collect();
    Op::new("index", "IndexBackward0", &[x])
        .saves_inputs(|| saved![Some(index.clone())])
        .run(|| Tensor::empty(x.device(), out, x.dtype()))
        .backward(move |call| {
            let grad = zeros(call.grad(), &from);
            add_rows(&grad, call.saved(0), call.grad());
            grads![Some(grad)]
        })
}

/// `x[first, second]` of two indices of the same shape for the first two dimensions of a row-major tensor.
pub(crate) fn index_pairs(x: &Tensor, first: &Tensor, second: &Tensor) -> Tensor {
    let from = x.shape().clone();
    let out: Shape = first.shape().dims().iter().chain(&from.dims()[2..]).copied().collect();
    Op::new("index", "IndexBackward0", &[x])
        .saves_inputs(|| saved![Some(first.clone()), Some(second.clone())])
        .run(|| Tensor::empty(x.device(), out, x.dtype()))
        .backward(move |call| {
            let grad = zeros(call.grad(), &from);
            let rows = grad.dim(0).saturating_mul(grad.dim(1));
            add_at(&grad, rows, [call.saved(0), call.saved(1)], call.grad());
            grads![Some(grad)]
        })
}

/// `x.index_put_((index,), values, accumulate=True)`: rows are added in the order of their indices
/// (`index_put_with_sort_kernel` in aten/src/ATen/native/cuda/Indexing.cu).
fn add_rows(x: &Tensor, index: &Tensor, values: &Tensor) {
    add_at(x, x.dim(0), [index], values);
}

/// As [`add_rows`], with an index for each of the first dimensions, which have `rows` places together.
fn add_at<const N: usize>(x: &Tensor, rows: u64, indices: [&Tensor; N], values: &Tensor) {
    let device = x.device();
    let _op = device.op("_index_put_impl_");
    let count = indices.iter().map(|index| index.numel()).max().unwrap_or(0);
    let whole = || Tensor::empty(device, [count], INDEX);
    // Negative indices are wrapped before they are multiplied by the stride.
    let wrapped = whole();
    let linear = whole();
    drop(wrapped);
    // The products of further indices are added in place.
    for _ in &indices[1..] {
        let wrapped = whole();
        drop((whole(), wrapped));
    }
    let values = super::contiguous(values);
    let (sorted, original) = (whole(), whole());
    let range = new_tensor(device, "arange", [count], INDEX);
    let bits = u64::from(u64::BITS - rows.leading_zeros());
    device.kernel_buffer(sort_scratch(device, count, bits));
    drop(range);
    drop(original);
    drop(sorted);
    drop(values);
    drop(linear);
}
