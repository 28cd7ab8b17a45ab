//! Exponentials and logarithms, and the larger or smaller of two tensors (aten/src/ATen/native/cuda, one kernel each). The
//! backwards follow tools/autograd/derivatives.yaml, torch 2.15.

use brimful_units::Dtype;

use super::elementwise::plain_binary;
use super::iterator::{promote, result};
use super::{Operand, add_scalar, div, div_scalar, grads, mul, plain_ternary, saved};
use crate::autocast::to_float;
use crate::autograd::{Call, Op};
use crate::tensor::Tensor;

/// `torch.exp(x)`, which autocast runs in fp32; the result is saved.
pub(crate) fn exp(x: &Tensor) -> Tensor {
    of_result(to_float(x), "exp", "ExpBackward0", |call| mul(call.grad(), call.saved(0)))
}

/// `torch.expm1(x)`, which autocast runs in fp32; the result is saved.
pub(crate) fn expm1(x: &Tensor) -> Tensor {
    of_result(to_float(x), "expm1", "Expm1Backward0", |call| {
        // `grad * (result + 1)`: the sum is a temporary of the product.
        mul(call.grad(), add_scalar(call.saved(0)))
    })
}

fn of_result<'a>(
    x: impl Into<Operand<'a>>,
    op: &'static str,
    node: &'static str,
    gradient: fn(&Call<'_>) -> Tensor,
) -> Tensor {
    let x = x.into();
    Op::new(op, node, &[&x])
        .run(|| result(&[&x], x.dtype()))
        .saves_results(|out| saved![Some(out.detach())])
        .backward(move |call| grads![Some(gradient(call))])
}

/// `torch.log(x)`, which autocast runs in fp32.
pub(crate) fn log(x: &Tensor) -> Tensor {
    of_input(to_float(x), "log", "LogBackward0", |call| div(call.grad(), call.saved(0)))
}

/// `torch.abs(x)`; the gradient is `grad * self.sgn()`.
pub(crate) fn abs(x: &Tensor) -> Tensor {
    of_input(x, "abs", "AbsBackward0", |call| {
        mul(call.grad(), super::plain_unary("sgn", call.saved(0), call.saved(0).dtype()))
    })
}

/// `F.softplus(x)`, which autocast runs in fp32.
pub(crate) fn softplus(x: &Tensor) -> Tensor {
    of_input(to_float(x), "softplus", "SoftplusBackward0", |call| {
        plain_binary("softplus_backward", call.grad(), call.saved(0))
    })
}

fn of_input<'a>(
    x: impl Into<Operand<'a>>,
    op: &'static str,
    node: &'static str,
    gradient: fn(&Call<'_>) -> Tensor,
) -> Tensor {
    let x = x.into();
    Op::new(op, node, &[&x])
        .saves_inputs(|| saved![Some(Tensor::clone(&x))])
        .run(|| result(&[&x], x.dtype()))
        .backward(move |call| grads![Some(gradient(call))])
}

/// `torch.max(a, b)` of two tensors.
pub(crate) fn maximum(a: &Tensor, b: &Tensor) -> Tensor {
    larger_or_smaller(a, b, "maximum", "MaximumBackward0")
}

/// `torch.min(a, b)` of two tensors.
pub(crate) fn minimum(a: &Tensor, b: &Tensor) -> Tensor {
    larger_or_smaller(a, b, "minimum", "MinimumBackward0")
}

/// Both operands are saved, `other` before `self`, and their gradients come in the same order.
fn larger_or_smaller(a: &Tensor, b: &Tensor, op: &'static str, node: &'static str) -> Tensor {
    Op::new(op, node, &[a, b])
        .saves_inputs(|| saved![Some(b.clone()), Some(a.clone())])
        .run(|| result(&[a, b], promote(a, b)))
        .backward(|call| {
            let other = call.want(1, || shared_gradient(call));
            grads![call.want(0, || shared_gradient(call)), other]
        })
}

/// `where(self == other, grad / 2, grad)`, into which `masked_fill_` writes zeros where the other operand was taken. C++
/// compilers evaluate the last argument first, and let temporaries go in the reverse order.
fn shared_gradient(call: &Call<'_>) -> Tensor {
    let inputs = [call.saved(1), call.saved(0)];
    let lost = plain_ternary("lt", &inputs, Dtype::Bool);
    let half = div_scalar(call.grad());
    let equal = plain_ternary("eq", &inputs, Dtype::Bool);
    let grad = plain_ternary("where", &[&equal, &half, call.grad()], call.grad().dtype());
    drop(equal);
    drop(half);
    drop(lost);
    grad
}

/// `torch.where(condition, a, b)` of two tensors; the condition is saved.
pub(crate) fn choose(condition: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    Op::new("where", "WhereBackward0", &[a, b])
        .saves_inputs(|| saved![Some(condition.clone())])
        .run(|| result(&[condition, a, b], promote(a, b)))
        .backward(|call| {
            let masked = || {
                // The number 0 becomes a tensor for the length of the call.
                let zero = super::new_tensor(call.grad().device(), "scalar_tensor", [], call.grad().dtype());
                let grad = plain_ternary("where", &[call.saved(0), call.grad()], call.grad().dtype());
                drop(zero);
                grad
            };
            let other = call.want(1, masked);
            grads![call.want(0, masked), other]
        })
}
