//! Shape, memory order and dtype of an elementwise result (aten/src/ATen/TensorIterator.cpp).

use brimful_units::{Dtype, Shape};
use smallvec::SmallVec;

use crate::tensor::{Tensor, contiguous_strides};

/// The broadcast of two shapes; the inputs are compatible by construction of the models.
pub(super) fn broadcast(a: &Shape, b: &Shape) -> Shape {
    let rank = a.rank().max(b.rank());
    let at = |shape: &Shape, dim: usize| {
        let missing = rank - shape.rank();
        if dim < missing { 1 } else { shape[dim - missing] }
    };
    (0..rank).map(|dim| if at(a, dim) == 1 { at(b, dim) } else { at(a, dim) }).collect()
}

/// `result_type` for two tensors: a zero-dimensional one yields to one of its own kind.
pub(super) fn promote(a: &Tensor, b: &Tensor) -> Dtype {
    let kind = |t: &Tensor| (t.dtype().is_floating(), t.rank() > 0);
    match (kind(a), kind(b)) {
        ((true, _), (false, _)) => a.dtype(),
        ((false, _), (true, _)) => b.dtype(),
        ((_, true), (_, false)) => a.dtype(),
        ((_, false), (_, true)) => b.dtype(),
        _ => wider(a.dtype(), b.dtype()),
    }
}

/// The dtype that holds the numbers of both.
pub(crate) fn wider(a: Dtype, b: Dtype) -> Dtype {
    match (a, b) {
        _ if a == b => a,
        (Dtype::F16, Dtype::Bf16) | (Dtype::Bf16, Dtype::F16) => Dtype::F32,
        _ if a.size() >= b.size() => a,
        _ => b,
    }
}

/// A new tensor for the result of an elementwise op over these inputs.
pub(super) fn result(inputs: &[&Tensor], dtype: Dtype) -> Tensor {
    let mut shape = inputs[0].shape().clone();
    for input in &inputs[1..] {
        if input.shape() != &shape {
            shape = broadcast(&shape, input.shape());
        }
    }
    let strides = result_strides(inputs, &shape);
    Tensor::empty_strided(inputs[0].device(), shape, strides, dtype)
}

fn result_strides(inputs: &[&Tensor], shape: &Shape) -> Shape {
    let same = inputs.iter().all(|input| input.shape() == shape);
    if same && inputs.iter().all(|input| input.is_contiguous()) {
        return contiguous_strides(shape);
    }
    if same && inputs.iter().all(|i| i.is_non_overlapping_and_dense() && i.strides() == inputs[0].strides()) {
        return inputs[0].strides().clone();
    }
    permuted_strides(shape, &order(inputs, shape))
}

/// `reorder_dimensions`: the dimensions from the fastest to the slowest.
fn order(inputs: &[&Tensor], shape: &Shape) -> SmallVec<[usize; 5]> {
    let rank = shape.rank();
    let mut order: SmallVec<[usize; 5]> = (0..rank).rev().collect();
    for at in 1..rank {
        let mut moving = at;
        for before in (0..at).rev() {
            match should_swap(inputs, shape, order[before], order[moving]) {
                1 => {
                    order.swap(before, moving);
                    moving = before;
                }
                -1 => break,
                _ => {}
            }
        }
    }
    order
}

/// 1 where the first dimension is the slower one, -1 where the faster, 0 if no input decides it.
fn should_swap(inputs: &[&Tensor], shape: &Shape, first: usize, second: usize) -> i8 {
    for input in inputs {
        let (a, b) = (stride_in(input, shape, first), stride_in(input, shape, second));
        if a == 0 || b == 0 {
            continue;
        }
        if a != b {
            return if a < b { -1 } else { 1 };
        }
        if shape[first] > shape[second] {
            return 1;
        }
    }
    0
}

/// The stride of an input in a dimension of the result; 0 where it is broadcast.
fn stride_in(input: &Tensor, shape: &Shape, dim: usize) -> u64 {
    let missing = shape.rank() - input.rank();
    if dim < missing || (input.dim(dim - missing) == 1 && shape[dim] != 1) {
        return 0;
    }
    input.strides()[dim - missing]
}

/// Dense strides for dimensions given from the fastest to the slowest.
pub(super) fn permuted_strides(shape: &Shape, order: &[usize]) -> Shape {
    let mut strides = Shape::filled(1, shape.rank());
    let mut next = 1u64;
    for dim in order {
        strides[*dim] = next;
        next = next.saturating_mul(shape[*dim].max(1));
    }
    strides
}
