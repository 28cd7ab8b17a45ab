//! Products of matrices (aten/src/ATen/native/cuda/Blas.cpp), and the workspaces of the libraries that compute them.

use brimful_units::Shape;

use super::elementwise::others;
use super::iterator::broadcast;
use super::{Operand, grads, mul_scalar, reshape, t, transpose, unsafe_view, view};
use crate::autocast::to_lower;
use crate::autograd::Op;
use crate::device::Device;
use crate::tensor::Tensor;

/// `F.linear(x, weight, bias)`: autocast converts bias, weight and input, last argument first.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let bias = bias.map(to_lower);
    let weight = to_lower(weight);
    let x = to_lower(x);
    let out_shape: Shape = x.shape().with_last(1, &[weight.dim(0)]);
    let rows = x.numel() / x.last(0).max(1);
    match bias {
        None => unbiased(&x, &weight, rows, out_shape),
        // Only a matrix, and what is in row-major order, have the bias in the product.
        Some(bias) if x.rank() > 2 && !x.is_contiguous() => {
            add_in_place(unbiased(&x, &weight, rows, out_shape), &bias)
        }
        // A matrix needs no views, which would be nodes of autograd between it and its product.
        Some(bias) if x.rank() == 2 => addmm(&bias, &x, &t(&weight)),
        Some(bias) => {
            let flat = reshape(&x, [rows, x.last(0)]);
            let product = addmm(&bias, &flat, &t(&weight));
            view(&product, out_shape)
        }
    }
}

fn unbiased(x: &Tensor, weight: &Tensor, rows: u64, out_shape: Shape) -> Tensor {
    let transposed = t(weight);
    let product = mm(&flat(x, rows), &transposed);
    drop(transposed);
    if x.rank() == 2 { product } else { unsafe_view(product, out_shape) }
}

/// `x.add_(y)` of a product that nobody else holds.
fn add_in_place(x: Tensor, y: &Tensor) -> Tensor {
    Op::new("add_", "AddBackward0", &[&x, y])
        .run(|| x.unsafe_view_as(x.shape().clone(), x.strides().clone()))
        .backward(|call| grads![call.want(0, || call.grad().clone()), call.want(1, || call.grad().clone())])
}

fn flat(x: &Tensor, rows: u64) -> Tensor {
    if x.rank() == 2 { x.clone() } else { reshape_as_view(x, [rows, x.last(0)]) }
}

/// `matmul` folds a batch of matrices times a matrix with `view` where it can.
fn reshape_as_view(x: &Tensor, shape: [u64; 2]) -> Tensor {
    if x.is_contiguous() { view(x, shape) } else { reshape(x, shape) }
}

/// transformers' `Conv1D`: `addmm(bias, x, weight)` with the weight as `[in, out]`.
pub(crate) fn conv1d(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let out_shape: Shape = x.shape().with_last(1, &[weight.dim(1)]);
    let flat = view(x, [x.numel() / x.last(0).max(1), x.last(0)]);
    let weight = to_lower(weight);
    let flat = to_lower(&flat);
    let bias = to_lower(bias);
    let product = addmm(&bias, &flat, &weight);
    drop((bias, flat, weight));
    view(&product, out_shape)
}

/// `torch.mm(a, b)`.
pub(crate) fn mm(a: &Tensor, b: &Tensor) -> Tensor {
    let (a_like, b_like) = (Layout::of(a), Layout::of(b));
    Op::new("mm", "MmBackward0", &[a, b])
        .saves_inputs(|| others(a, b))
        .run(|| product(a, b, Device::cublas_workspace))
        .backward(move |call| {
            // derivatives.yaml computes the second operand's gradient first.
            let b_grad = call.want(1, || right_gradient(call.grad(), call.saved(1), &b_like));
            grads![call.want(0, || left_gradient(call.grad(), call.saved(0), &a_like)), b_grad]
        })
}

/// A kernel's product of two matrices: the output first, then the library's workspace for the time of the call.
fn product(a: &Tensor, b: &Tensor, workspace: fn(&Device)) -> Tensor {
    let out = Tensor::empty(a.device(), [a.dim(0), b.dim(1)], a.dtype());
    workspace(a.device());
    out
}

/// Whether a matrix is column-major: its gradient is then computed transposed.
struct Layout {
    column_major: bool,
}

impl Layout {
    fn of(x: &Tensor) -> Layout {
        Layout { column_major: x.strides()[0] == 1 && x.strides()[1] == x.dim(0) }
    }
}

/// `mm_mat1_grad` in torch/csrc/autograd/FunctionsManual.cpp.
fn left_gradient(grad: &Tensor, b: &Tensor, layout: &Layout) -> Tensor {
    if layout.column_major { t(&mm(b, &t(grad))) } else { mm(grad, &t(b)) }
}

/// `mm_mat2_grad` in torch/csrc/autograd/FunctionsManual.cpp.
fn right_gradient(grad: &Tensor, a: &Tensor, layout: &Layout) -> Tensor {
    if layout.column_major { t(&mm(&t(grad), a)) } else { mm(&t(a), grad) }
}

/// `torch.addmm(bias, a, b)` through cuBLASLt, whose epilogue adds the bias.
pub(crate) fn addmm(bias: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    let (a_like, b_like) = (Layout::of(a), Layout::of(b));
    let through_lt = bias.rank() == 1 && bias.is_contiguous() && b.dim(0) > 1 && b.dim(1) > 1;
    let workspace = if through_lt { Device::cublaslt_workspace } else { Device::cublas_workspace };
    Op::new("addmm", "AddmmBackward0", &[bias, a, b])
        // mat1 before mat2, by their names: the reverse of `mm`, whose operands are self and mat2.
        .saves_inputs(|| others(b, a))
        .run(|| product(a, b, workspace))
        .backward(move |call| {
            let a_grad = call.want(1, || left_gradient(call.grad(), call.saved(1), &a_like));
            let b_grad = call.want(2, || right_gradient(call.grad(), call.saved(0), &b_like));
            grads![call.want(0, || call.grad().clone()), a_grad, b_grad]
        })
}

/// `torch.bmm(a, b)`.
pub(crate) fn bmm(a: &Tensor, b: &Tensor) -> Tensor {
    Op::new("bmm", "BmmBackward0", &[a, b])
        .saves_inputs(|| others(a, b))
        .run(|| {
            let out = Tensor::empty(a.device(), [a.dim(0), a.dim(1), b.dim(2)], a.dtype());
            // An outer product has a Triton kernel of its own (torch/_native/ops/bmm_outer_product, torch 2.15).
            if a.dim(2) != 1 {
                a.device().cublas_workspace();
            }
            out
        })
        .backward(|call| {
            let b_grad = call.want(1, || bmm(&transpose(call.saved(1), 1, 2), call.grad()));
            grads![call.want(0, || bmm(call.grad(), &transpose(call.saved(0), 1, 2))), b_grad]
        })
}

/// `torch.baddbmm(self, a, b, beta=0, alpha)` with a scale other than 1: `self` is not read.
pub(crate) fn baddbmm_without_self(a: &Tensor, b: &Tensor) -> Tensor {
    added_product(a, b, true)
}

/// `torch.baddbmm(self, a, b, beta, alpha)` of a `self` that wants no gradient: the kernel copies it into the output before
/// the product is added. Autocast converts the last argument first. `scaled` is whether `alpha` is not 1.
pub(crate) fn baddbmm(input: &Tensor, a: &Tensor, b: &Tensor, scaled: bool) -> Tensor {
    let b = to_lower(b);
    let a = to_lower(a);
    let input = to_lower(input);
    let product = added_product(&a, &b, scaled);
    drop((input, a, b));
    product
}

fn added_product(a: &Tensor, b: &Tensor, scaled: bool) -> Tensor {
    let times_alpha = move |x: Tensor| if scaled { mul_scalar(x) } else { x };
    Op::new("baddbmm", "BaddbmmBackward0", &[a, b])
        .saves_inputs(|| others(a, b))
        .run(|| {
            let out = Tensor::empty(a.device(), [a.dim(0), a.dim(1), b.dim(2)], a.dtype());
            a.device().cublas_workspace();
            out
        })
        .backward(move |call| {
            // `maybe_multiply(…, alpha)` makes a scaled copy of each product.
            let a_grad = call.want(0, || times_alpha(bmm(call.grad(), &transpose(call.saved(0), 1, 2))));
            let b_grad = call.want(1, || times_alpha(bmm(&transpose(call.saved(1), 1, 2), call.grad())));
            grads![a_grad, b_grad]
        })
}

/// `torch.matmul(a, b)` of row-major matrices with one matrix: they become one (`should_fold` in
/// aten/src/ATen/native/LinearAlgebra.cpp).
pub(crate) fn matmul_folded(a: &Tensor, b: &Tensor) -> Tensor {
    let (b, a) = (to_lower(b), to_lower(a));
    let out_shape: Shape = a.shape().with_last(1, &[b.dim(1)]);
    let rows = a.numel() / a.last(0).max(1);
    let product = mm(&flat(&a, rows), &b);
    drop((a, b));
    unsafe_view(product, out_shape)
}

/// `torch.matmul(a, b)` of batched matrices: both become three-dimensional, with a copy where
/// their memory order does not allow a view.
pub(crate) fn matmul<'a>(a: &Tensor, b: impl Into<Operand<'a>>) -> Tensor {
    let operand = b.into();
    let (b, a) = (to_lower(&operand), to_lower(a));
    let batch = |x: &Tensor| x.shape().with_last(2, &[]);
    let batches = broadcast(&batch(&a), &batch(&b));
    let count = batches.dims().iter().fold(1, |n, d| a.device().mul(n, *d));
    let folded = |x: &Tensor| {
        let shape: Shape = batches.with_last(0, &[x.last(1), x.last(0)]);
        let expanded = if x.shape() == &shape { x.clone() } else { super::expand(x, shape) };
        reshape(&expanded, [count, x.last(1), x.last(0)])
    };
    let out_shape: Shape = batches.with_last(0, &[a.last(1), b.last(0)]);
    let left = folded(&a);
    let right = folded(&b);
    let product = bmm(&left, &right);
    drop((a, b));
    unsafe_view(product, out_shape)
}
