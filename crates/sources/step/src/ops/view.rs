//! Views, and the ops that copy where a view does not exist (aten/src/ATen/native/TensorShape.cpp).

use brimful_units::{Dtype, Shape};

use super::{Operand, grads};
use crate::autograd::Op;
use crate::tensor::{Tensor, contiguous_strides};

/// The strides of a view with another shape, where one exists (`computeStride` in
/// aten/src/ATen/TensorUtils.cpp).
pub(super) fn view_strides(x: &Tensor, shape: &Shape) -> Option<Shape> {
    if x.numel() == 0 {
        return Some(contiguous_strides(shape));
    }
    let mut strides = Shape::filled(1, shape.rank());
    let mut at = shape.rank();
    if x.rank() == 0 {
        return Some(strides);
    }
    let mut base = x.strides().last(0);
    let (mut numel, mut view_numel) = (1u64, 1u64);
    for dim in (0..x.rank()).rev() {
        numel = numel.saturating_mul(x.dim(dim));
        let chunk_ends =
            dim == 0 || (x.dim(dim - 1) != 1 && x.strides()[dim - 1] != numel.saturating_mul(base));
        if chunk_ends {
            while at > 0 && (view_numel < numel || shape[at - 1] == 1) {
                at -= 1;
                strides[at] = view_numel.saturating_mul(base);
                view_numel = view_numel.saturating_mul(shape[at]);
            }
            if view_numel != numel {
                return None;
            }
            if dim > 0 {
                base = x.strides()[dim - 1];
                (numel, view_numel) = (1, 1);
            }
        }
    }
    (at == 0).then_some(strides)
}

/// `x.view(shape)`; the models only ask for views that exist.
pub(crate) fn view(x: &Tensor, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let strides = view_strides(x, &shape).unwrap_or_else(|| contiguous_strides(&shape));
    recorded_view(x, shape, strides, "ViewBackward0")
}

/// `_unsafe_view`: a view in all but bookkeeping, of a tensor that nobody else will use.
pub(crate) fn unsafe_view(x: Tensor, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let strides = view_strides(&x, &shape).unwrap_or_else(|| contiguous_strides(&shape));
    reshaped(&x, "UnsafeViewBackward0", || x.unsafe_view_as(shape, strides))
}

/// `x.reshape(shape)`: a view where one exists, a copy otherwise.
pub(crate) fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    match view_strides(x, &shape) {
        Some(strides) => recorded_view(x, shape, strides, "ReshapeAliasBackward0"),
        None => unsafe_view(clone_contiguous(x), shape),
    }
}

fn recorded_view(x: &Tensor, shape: Shape, strides: Shape, node: &'static str) -> Tensor {
    reshaped(x, node, || x.view_as(shape, strides))
}

fn reshaped(x: &Tensor, node: &'static str, view: impl FnOnce() -> Tensor) -> Tensor {
    let shape = x.shape().clone();
    Op::nameless(node, &[x]).run(view).backward(move |call| grads![Some(reshape(call.grad(), shape.clone()))])
}

/// `x.alias()`: a view of the same sizes.
pub(crate) fn alias(x: &Tensor) -> Tensor {
    Op::nameless("AliasBackward0", &[x])
        .run(|| x.view_as(x.shape().clone(), x.strides().clone()))
        .backward(|call| grads![Some(call.grad().clone())])
}

/// `x.transpose(a, b)`.
pub(crate) fn transpose<'a>(x: impl Into<Operand<'a>>, a: usize, b: usize) -> Tensor {
    let x = x.into();
    Op::nameless("TransposeBackward0", &[&x])
        .run(|| x.view_as(swapped(x.shape(), a, b), swapped(x.strides(), a, b)))
        .backward(move |call| grads![Some(transpose(call.grad(), a, b))])
}

fn swapped(dims: &Shape, a: usize, b: usize) -> Shape {
    let mut dims = dims.clone();
    dims.swap(a, b);
    dims
}

/// `x.t()` of a matrix.
pub(crate) fn t(x: &Tensor) -> Tensor {
    Op::nameless("TBackward0", &[x])
        .run(|| x.view_as(swapped(x.shape(), 0, 1), swapped(x.strides(), 0, 1)))
        .backward(|call| grads![Some(t(call.grad()))])
}

/// `x.unsqueeze(dim)`.
pub(crate) fn unsqueeze<'a>(x: impl Into<Operand<'a>>, dim: usize) -> Tensor {
    let x = x.into();
    let mut shape = x.shape().clone();
    let mut strides = x.strides().clone();
    let stride = if dim < x.rank() { shape[dim].saturating_mul(strides[dim]) } else { 1 };
    shape.insert(dim, 1);
    strides.insert(dim, stride);
    Op::nameless("UnsqueezeBackward0", &[&x])
        .run(|| x.view_as(shape, strides))
        .backward(move |call| grads![Some(squeeze(call.grad(), dim))])
}

/// `x.squeeze(dim)` of a dimension of size 1.
pub(crate) fn squeeze(x: &Tensor, dim: usize) -> Tensor {
    Op::nameless("SqueezeBackward1", &[x])
        .run(|| x.view_as(without(x.shape(), dim), without(x.strides(), dim)))
        .backward(move |call| grads![Some(unsqueeze(call.grad(), dim))])
}

/// `x.squeeze()` of every dimension of size 1.
pub(crate) fn squeeze_all(x: &Tensor) -> Tensor {
    let kept = || (0..x.rank()).filter(|at| x.dim(*at) != 1);
    let shape: Shape = kept().map(|at| x.dim(at)).collect();
    let strides: Shape = kept().map(|at| x.strides()[at]).collect();
    reshaped(x, "SqueezeBackward0", || x.view_as(shape, strides))
}

/// `x.unbind(dim)`: a view of each place of a dimension, which goes; the backward stacks.
pub(crate) fn unbind(x: &Tensor, dim: usize) -> Vec<Tensor> {
    let whole = x.shape().clone();
    let place = || x.view_as(without(x.shape(), dim), without(x.strides(), dim));
    Op::nameless("UnbindBackward0", &[x])
        .run(|| (0..x.dim(dim)).map(|_| place()).collect::<Vec<Tensor>>())
        .backward(move |call| {
            // Cannot fail: the engine calls a node only when a gradient has come.
            let first = call.grads.iter().flatten().next().expect("a gradient arrived");
            let _op = first.device().op("stack");
            grads![Some(Tensor::empty(first.device(), whole.clone(), first.dtype()))]
        })
}

fn without(dims: &Shape, dim: usize) -> Shape {
    let mut dims = dims.clone();
    dims.remove(dim);
    dims
}

/// `x.select(dim, index)`: one place of a dimension, which goes. Where it is does not change any size.
pub(crate) fn select(x: &Tensor, dim: usize) -> Tensor {
    let whole = x.shape().clone();
    Op::nameless("SelectBackward0", &[x])
        .run(|| x.view_as(without(x.shape(), dim), without(x.strides(), dim)))
        .backward(move |call| {
            let _op = call.grad().device().op("select_backward");
            grads![Some(Tensor::empty(call.grad().device(), whole.clone(), call.grad().dtype()))]
        })
}

/// `x.permute(order)`.
pub(crate) fn permute(x: &Tensor, order: &[usize]) -> Tensor {
    let by = |dims: &Shape, order: &[usize]| order.iter().map(|at| dims[*at]).collect::<Shape>();
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, from)| inverse[*from] = to);
    Op::nameless("PermuteBackward0", &[x])
        .run(|| x.view_as(by(x.shape(), order), by(x.strides(), order)))
        .backward(move |call| grads![Some(permute(call.grad(), &inverse))])
}

/// `x.narrow(dim, start, length)`, recorded as the indexing `x[..., start:end]`.
pub(crate) fn slice(x: &Tensor, dim: usize, length: u64) -> Tensor {
    let whole = x.shape().clone();
    Op::nameless("SliceBackward0", &[x]).run(|| narrow(x, dim, length)).backward(move |call| {
        let _op = call.grad().device().op("slice_backward");
        grads![Some(Tensor::empty(call.grad().device(), whole.clone(), call.grad().dtype()))]
    })
}

/// `x[…, start:end:step]` of one dimension. Where it begins does not change any size.
pub(crate) fn slice_by(x: &Tensor, dim: usize, length: u64, step: u64) -> Tensor {
    if step == 1 {
        return slice(x, dim, length);
    }
    let whole = x.shape().clone();
    let mut shape = whole.clone();
    let mut strides = x.strides().clone();
    shape[dim] = length;
    strides[dim] = strides[dim].saturating_mul(step);
    Op::nameless("SliceBackward0", &[x]).run(|| x.view_as(shape, strides)).backward(move |call| {
        let _op = call.grad().device().op("slice_backward");
        grads![Some(Tensor::empty(call.grad().device(), whole.clone(), call.grad().dtype()))]
    })
}

/// A part of a tensor along a dimension, without a record.
pub(super) fn narrow(x: &Tensor, dim: usize, length: u64) -> Tensor {
    let mut shape = x.shape().clone();
    shape[dim] = length;
    x.view_as(shape, x.strides().clone())
}

/// `x.split(size, dim)` into equal parts; the backward concatenates.
pub(crate) fn split(x: &Tensor, size: u64, dim: usize) -> Vec<Tensor> {
    let count = x.dim(dim) / size.max(1);
    split_into(x, &vec![size; count as usize], dim)
}

/// `x.split(sizes, dim)`; the backward concatenates.
pub(crate) fn split_into(x: &Tensor, sizes: &[u64], dim: usize) -> Vec<Tensor> {
    let whole = x.shape().clone();
    Op::nameless("SplitBackward0", &[x])
        .run(|| sizes.iter().map(|size| narrow(x, dim, *size)).collect::<Vec<Tensor>>())
        .backward(move |call| {
            // Cannot fail: the engine calls a node only when a gradient has come.
            let first = call.grads.iter().flatten().next().expect("a gradient arrived");
            let _op = first.device().op("cat");
            grads![Some(Tensor::empty(first.device(), whole.clone(), first.dtype()))]
        })
}

/// `x.expand(shape)`.
pub(crate) fn expand<'a>(x: impl Into<Operand<'a>>, shape: impl Into<Shape>) -> Tensor {
    let x = x.into();
    let shape = shape.into();
    let missing = shape.rank() - x.rank();
    let strides: Shape = (0..shape.rank())
        .map(|dim| match dim.checked_sub(missing) {
            Some(at) if x.dim(at) == shape[dim] => x.strides()[at],
            _ => 0,
        })
        .collect();
    let from = x.shape().clone();
    Op::nameless("ExpandBackward0", &[&x])
        .run(|| x.view_as(shape, strides))
        .backward(move |call| grads![Some(super::sum_to(call.grad().clone(), &from))])
}

/// `torch.repeat_interleave(x, count, dim)` of a number: an expanded view is copied (aten/src/ATen/native/Repeat.cpp).
pub(crate) fn repeat_interleave(x: &Tensor, count: u64, dim: usize) -> Tensor {
    let unsqueezed = unsqueeze(x, dim + 1);
    let mut repeated = unsqueezed.shape().clone();
    repeated[dim + 1] = count;
    let mut shape = x.shape().clone();
    shape[dim] = shape[dim].saturating_mul(count);
    view(&clone_contiguous(&expand(unsqueezed, repeated)), shape)
}

/// `x.repeat(counts)`: row-major, with new dimensions in front (aten/src/ATen/native/TensorShape.cpp).
pub(crate) fn repeat(x: &Tensor, counts: &[u64]) -> Tensor {
    let missing = counts.len() - x.rank();
    let own = |at: usize| at.checked_sub(missing).map_or(1, |at| x.dim(at));
    let shape: Shape = counts.iter().enumerate().map(|(at, count)| count.saturating_mul(own(at))).collect();
    let (from, counts) = (x.shape().clone(), counts.to_vec());
    Op::new("repeat", "RepeatBackward0", &[x])
        .run(|| Tensor::empty(x.device(), shape, x.dtype()))
        .backward(move |call| grads![Some(repeat_backward(call.grad(), &counts, &from))])
}

/// `repeat_backward` (torch/csrc/autograd/FunctionsManual.cpp): the new dimensions are summed one after the other, the
/// repeated ones at once.
fn repeat_backward(grad: &Tensor, counts: &[u64], from: &Shape) -> Tensor {
    let missing = counts.len() - from.rank();
    let mut grad = grad.clone();
    for _ in 0..missing {
        grad = super::sum(&grad, 0, false, grad.dtype());
    }
    let mut sizes = Vec::new();
    let mut repeated = Vec::new();
    for (count, size) in counts[missing..].iter().zip(from.dims()) {
        if *count != 1 {
            repeated.push(sizes.len());
            sizes.push(*count);
        }
        sizes.push(*size);
    }
    if repeated.is_empty() {
        return grad;
    }
    grad = reshape(&grad, sizes.into_iter().collect::<Shape>());
    let summed = super::reduced(&grad, "sum", &repeated, grad.dtype());
    summed.unsafe_view_as(from.clone(), contiguous_strides(from))
}

/// `torch.cat(parts, dim)`: row-major; each part's gradient is a view of the whole's.
pub(crate) fn cat(parts: &[&Tensor], dim: usize) -> Tensor {
    cat_as(parts, dim, parts[0].dtype())
}

/// As [`cat`], into a dtype that the parts are promoted to.
pub(crate) fn cat_as(parts: &[&Tensor], dim: usize, dtype: Dtype) -> Tensor {
    let mut shape = parts[0].shape().clone();
    shape[dim] = parts.iter().fold(0u64, |n, part| n.saturating_add(part.dim(dim)));
    let lengths: Vec<u64> = parts.iter().map(|part| part.dim(dim)).collect();
    Op::new("cat", "CatBackward0", parts).run(|| Tensor::empty(parts[0].device(), shape, dtype)).backward(
        move |call| {
            let part = |(at, length): (usize, &u64)| call.want(at, || narrow(call.grad(), dim, *length));
            lengths.iter().enumerate().map(part).collect()
        },
    )
}

/// `torch.stack(parts, dim)`: row-major; each part's gradient is a view of the whole's (`unbind`).
pub(crate) fn stack(parts: &[&Tensor], dim: usize) -> Tensor {
    let mut shape = parts[0].shape().clone();
    shape.insert(dim, parts.len() as u64);
    let count = parts.len();
    Op::new("stack", "StackBackward0", parts)
        .run(|| Tensor::empty(parts[0].device(), shape, parts[0].dtype()))
        .backward(move |call| {
            let part = |_| {
                call.grad().view_as(without(call.grad().shape(), dim), without(call.grad().strides(), dim))
            };
            (0..count).map(|at| call.want(at, || part(at))).collect()
        })
}

/// `x.clone()` in row-major order.
pub(crate) fn clone_contiguous(x: &Tensor) -> Tensor {
    Op::new("clone", "CloneBackward0", &[x])
        .run(|| Tensor::empty(x.device(), x.shape().clone(), x.dtype()))
        .backward(|call| grads![Some(call.grad().clone())])
}

/// `x.clone()`, which keeps the memory order.
pub(crate) fn clone_preserving(x: &Tensor) -> Tensor {
    Op::new("clone", "CloneBackward0", &[x])
        .run(|| super::iterator::result(&[x], x.dtype()))
        .backward(|call| grads![Some(call.grad().clone())])
}

/// `x.contiguous()`: the tensor itself where it is row-major.
pub(crate) fn contiguous<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    if x.is_contiguous() { Tensor::clone(&x) } else { clone_contiguous(&x) }
}

/// A copy of a gradient in the memory order of its variable (`clone_obey_contract`).
pub(crate) fn clone_like(grad: &Tensor, variable: &Tensor) -> Tensor {
    let _op = grad.device().op("clone");
    let strides = if variable.is_non_overlapping_and_dense() {
        variable.strides().clone()
    } else {
        contiguous_strides(grad.shape())
    };
    Tensor::empty_strided(grad.device(), grad.shape().clone(), strides, grad.dtype())
}

/// `torch.nn.functional.pad(x, (0, 1))` of integers: one more column.
pub(crate) fn pad_last_by_one(x: &Tensor) -> Tensor {
    let _op = x.device().op("constant_pad_nd");
    let mut shape = x.shape().clone();
    let last = shape.rank() - 1;
    shape[last] = shape[last].saturating_add(1);
    Tensor::empty(x.device(), shape, Dtype::I64)
}

/// `constant_pad_nd` of the last dimension up to `width`; the backward cuts it off again.
pub(crate) fn pad_last(x: &Tensor, width: u64) -> Tensor {
    let before = x.last(0);
    Op::nameless("ConstantPadNdBackward0", &[x])
        .run(|| with_last(x, width))
        .backward(move |call| grads![Some(with_last(call.grad(), before))])
}

fn with_last(x: &Tensor, width: u64) -> Tensor {
    let _op = x.device().op("constant_pad_nd");
    let mut shape = x.shape().clone();
    let last = shape.rank() - 1;
    shape[last] = width;
    Tensor::empty(x.device(), shape, x.dtype())
}
