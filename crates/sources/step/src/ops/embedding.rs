//! The lookup of rows by index (aten/src/ATen/native/cuda/Embedding.cu), and its gradient's sums over equal indices.

use brimful_units::{Dtype, Shape};

use super::{Operand, grads, new_tensor, saved, scan_scratch, sort_scratch, unique_scratch};
use crate::autograd::Op;
use crate::device::Device;
use crate::tensor::Tensor;

/// `embedding(indices, weight)`.
pub(crate) fn embedding<'a>(weight: &Tensor, indices: impl Into<Operand<'a>>) -> Tensor {
    let indices = indices.into();
    let rows = weight.dim(0);
    Op::new("index_select", "EmbeddingBackward0", &[weight])
        .saves_inputs(|| saved![Some(Tensor::clone(&indices))])
        .run(|| select_rows(weight, &indices))
        .backward(move |call| grads![Some(embedding_backward(call.grad(), call.saved(0), rows))])
}

/// `weight.index_select(0, indices.reshape(-1)).view(…)`: one row for each index. Indices that were expanded over the batch
/// are copied for it.
fn select_rows(weight: &Tensor, indices: &Tensor) -> Tensor {
    let width = weight.dim(1);
    let shape: Shape = indices.shape().with_last(0, &[width]);
    let listed = super::reshape(indices, [indices.numel()]);
    let flat = Tensor::empty(weight.device(), [indices.numel(), width], weight.dtype());
    drop(listed);
    let strides = crate::tensor::contiguous_strides(&shape);
    flat.unsafe_view_as(shape, strides)
}

/// Above this many tokens the gradient is summed by sorted indices
/// (`embedding_dense_backward_cuda` in aten/src/ATen/native/cuda/Embedding.cu).
const SORT_ABOVE: u64 = 3072;
/// Tokens per partial sum (`NROWS_PER_THREAD` in EmbeddingBackwardKernel.cu).
const TOKENS_PER_PARTIAL: u64 = 10;

fn embedding_backward(grad: &Tensor, indices: &Tensor, rows: u64) -> Tensor {
    let device = grad.device();
    let _op = device.op("embedding_dense_backward");
    // `indices_.contiguous()`: a copy of indices that were expanded, which lives until the end.
    let indices = &super::contiguous(indices);
    // `grad_.contiguous()`: a bias that was permuted after the lookup brings a gradient in another order.
    let grad = &super::contiguous(grad);
    let make = || Tensor::empty(device, [rows, grad.last(0)], grad.dtype());
    let tokens = indices.numel();
    if tokens <= SORT_ABOVE {
        return make();
    }
    let whole = |shape: &Shape| Tensor::empty(device, shape.clone(), INDEX);
    let flat = Shape::from([tokens]);
    let sorted = whole(indices.shape());
    let original = whole(indices.shape());
    let range = new_tensor(device, "arange", flat.clone(), INDEX);
    let bits = u64::from(u64::BITS - rows.leading_zeros());
    device.kernel_buffer(sort_scratch(device, tokens, bits));
    drop(range);
    let out = make();
    sum_by_segments(grad, tokens, rows);
    drop(original);
    drop(sorted);
    out
}

/// `embedding_backward_cuda_kernel`: segments of equal indices, parts of segments, partial sums.
fn sum_by_segments(grad: &Tensor, tokens: u64, rows: u64) {
    let device = grad.device();
    let integers = |count: u64| Tensor::empty(device, [count], INDEX);
    let single = || Tensor::empty(device, [], INDEX);
    let most_segments = tokens.min(rows);
    let offsets = integers(tokens);
    let segments = single();
    let unique = device.hold_kernel_buffer(device.mul(tokens, 8));
    device.kernel_buffer(unique_scratch(device, tokens));
    drop(unique);
    let partials = integers(most_segments);
    let partial_offsets = integers(most_segments);
    device.kernel_buffer(scan_scratch(most_segments));
    let partial_count = single();
    let most_partials = tokens / TOKENS_PER_PARTIAL + most_segments;
    let starts = integers(most_partials);
    if adds_atomically(device, most_segments, most_partials, grad.last(0)) {
        add_atomically(grad, most_partials, rows);
    } else {
        drop(Tensor::empty(device, [most_partials, grad.last(0)], Dtype::F32));
    }
    drop(starts);
    drop(partial_count);
    drop(partial_offsets);
    drop(partials);
    drop(segments);
    drop(offsets);
}

/// Whether the partial sums are added to the gradient where they are made (`use_fused_kernel` in
/// EmbeddingBackwardKernel.cu, torch 2.15): if adding them up per segment would fill too few multiprocessors.
fn adds_atomically(device: &Device, most_segments: u64, most_partials: u64, width: u64) -> bool {
    const WARP: u64 = 32;
    const MAX_BLOCK_SIZE: u64 = 1024;
    const MAX_ATOMIC_ACCUM_BLOCKS_PER_SM: u64 = 4;
    let warped = width.next_multiple_of(WARP);
    let blocks = device.mul(most_segments, warped).div_ceil(warped.clamp(1, MAX_BLOCK_SIZE));
    let enough = device.properties().multiprocessors * MAX_ATOMIC_ACCUM_BLOCKS_PER_SM;
    blocks < enough && most_partials > blocks.saturating_mul(4)
}

/// The segment of each partial sum; half precision is accumulated in an fp32 copy of the gradient.
fn add_atomically(grad: &Tensor, most_partials: u64, rows: u64) {
    let device = grad.device();
    let segments = Tensor::empty(device, [most_partials], INDEX);
    if matches!(grad.dtype(), Dtype::F16 | Dtype::Bf16) {
        drop(Tensor::empty(device, [rows, grad.last(0)], Dtype::F32));
    }
    drop(segments);
}

/// The dtype of token indices.
pub(crate) const INDEX: Dtype = Dtype::I64;
