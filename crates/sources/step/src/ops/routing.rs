//! Arithmetic of routers: how much of each expert a token takes (aten/src/ATen/native/cuda, one kernel each). The backwards
//! follow tools/autograd/derivatives.yaml and torch/csrc/autograd/FunctionsManual.cpp, torch 2.15.

use brimful_units::Dtype;

use super::iterator::{promote, result};
use super::{div_scalar, grads, mul, neg, new_tensor, plain_ternary, plain_unary, saved};
use crate::autograd::{Call, Grads, Op};
use crate::tensor::Tensor;

/// `x.sum()`, in its own dtype.
pub(crate) fn sum_of_all(x: &Tensor) -> Tensor {
    let whole = x.shape().clone();
    Op::new("sum", "SumBackward0", &[x])
        .run(|| super::reduced_to_scalar(x, "sum", x.dtype()))
        .backward(move |call| grads![Some(super::expand(call.grad(), whole.clone()))])
}

/// `a / b` of tensors.
pub(crate) fn divide(a: &Tensor, b: &Tensor) -> Tensor {
    Op::new("div", "DivBackward0", &[a, b])
        .saves_inputs(|| saved![Some(b.clone()), b.requires_grad().then(|| a.clone())])
        .run(|| result(&[a, b], promote(a, b)))
        .backward(quotient_gradients)
}

/// `a /= b`: where the divisor wants a gradient, what `a` was is saved as a copy.
pub(crate) fn divide_in_place(a: &Tensor, b: &Tensor) -> Tensor {
    Op::new("div_", "DivBackward0", &[a, b])
        .saves_inputs(|| {
            let before = || super::clone_preserving(&a.detach());
            saved![Some(b.clone()), b.requires_grad().then(before)]
        })
        .run(|| a.clone())
        .backward(quotient_gradients)
}

/// `div_tensor_other_backward`, then `div_tensor_self_backward`.
fn quotient_gradients(call: &Call<'_>) -> Grads {
    let divisor = call.want(1, || {
        // `-grad * ((self / other) / other)`: C++ compilers evaluate the right operand first.
        let quotient = super::div(call.saved(1), call.saved(0));
        let again = super::div(&quotient, call.saved(0));
        let negative = neg(call.grad());
        let product = mul(&negative, &again);
        drop(negative);
        drop(again);
        drop(quotient);
        product
    });
    grads![call.want(0, || super::div(call.grad(), call.saved(0))), divisor]
}

/// `x *= number` and the like: nothing is made or saved.
pub(crate) fn scale_in_place(x: &Tensor) -> Tensor {
    Op::new("mul_", "MulBackward0", &[x])
        .run(|| x.clone())
        .backward(|call| grads![Some(super::mul_scalar(call.grad()))])
}

/// `a += b`.
pub(crate) fn add_in_place(a: &Tensor, b: &Tensor) -> Tensor {
    Op::new("add_", "AddBackward0", &[a, b])
        .run(|| a.clone())
        .backward(|call| grads![call.want(0, || call.grad().clone()), call.want(1, || call.grad().clone())])
}

/// `torch.sigmoid(x)`; the result is saved.
pub(crate) fn sigmoid(x: &Tensor) -> Tensor {
    Op::new("sigmoid", "SigmoidBackward0", &[x])
        .run(|| result(&[x], x.dtype()))
        .saves_results(|out| saved![Some(out.detach())])
        .backward(|call| {
            let _op = call.grad().device().op("sigmoid_backward");
            grads![Some(result(&[call.grad(), call.saved(0)], call.grad().dtype()))]
        })
}

/// `x.clamp(min, max)` of as many bounds.
pub(crate) fn clamp(x: &Tensor, bounds: usize) -> Tensor {
    Op::new("clamp", "ClampBackward1", &[x])
        .saves_inputs(|| saved![Some(x.clone())])
        .run(|| result(&[x], x.dtype()))
        .backward(move |call| {
            // `where(self >= min & self <= max, grad, 0)`: clamp_backward in FunctionsManual.cpp.
            let zero = new_tensor(call.grad().device(), "scalar_tensor", [], call.grad().dtype());
            let within: Vec<Tensor> =
                (0..bounds).map(|_| plain_unary("ge", call.saved(0), Dtype::Bool)).collect();
            let grad = match within.first() {
                Some(within) => plain_ternary("where", &[within, call.grad()], call.grad().dtype()),
                None => call.grad().clone(),
            };
            within.into_iter().rev().for_each(drop);
            drop(zero);
            grads![Some(grad)]
        })
}

/// `torch.clamp(x, min=least, max=most)` of two scalars on the device without gradient.
pub(crate) fn clamp_by_tensors(x: &Tensor, least: &Tensor, most: &Tensor) -> Tensor {
    Op::new("clamp", "ClampBackward0", &[x])
        .saves_inputs(|| saved![Some(most.clone()), Some(least.clone()), Some(x.clone())])
        .run(|| result(&[x], x.dtype()))
        .backward(|call| {
            // Half of the gradient goes to what is at a bound, none to what is beyond it. Read off torch 2.15.
            let bounds_apart = new_tensor(call.grad().device(), "lt", [], Dtype::Bool);
            let of_each = |op| plain_unary(op, call.saved(2), Dtype::Bool);
            let (at_least, at_most) = (of_each("eq"), of_each("eq"));
            let at_either = of_each("logical_or");
            let at_bound = of_each("logical_and");
            drop((at_either, at_most, at_least));
            let (below, above) = (of_each("lt"), of_each("gt"));
            let outside = of_each("logical_or");
            drop((above, below));
            let half = div_scalar(call.grad());
            let grad = plain_ternary("where", &[&at_bound, &half, call.grad()], call.grad().dtype());
            drop((half, outside, at_bound, bounds_apart));
            grads![Some(grad)]
        })
}

/// `x.masked_fill(mask, number)`.
pub(crate) fn masked_fill(x: &Tensor, mask: &Tensor) -> Tensor {
    Op::new("masked_fill", "MaskedFillBackward0", &[x])
        .saves_inputs(|| saved![Some(mask.clone())])
        .run(|| result(&[x, mask], x.dtype()))
        .backward(|call| {
            let _op = call.grad().device().op("masked_fill");
            grads![Some(result(&[call.grad(), call.saved(0)], call.grad().dtype()))]
        })
}

/// `view.copy_(source)` of a part of `base`: the history of `base` goes on with it (`CopySlices` in
/// torch/csrc/autograd/functions/tensor.cpp).
pub(crate) fn copy_into_part(base: &Tensor, view: &Tensor, source: &Tensor) -> Tensor {
    let (whole, strides) = (base.shape().clone(), base.strides().clone());
    let (part, from) = (view.shape().clone(), source.dtype());
    Op::new("copy_", "CopySlices", &[base, source]).run(|| base.clone()).backward(move |call| {
        let (device, dtype) = (call.grad().device(), call.grad().dtype());
        let rest = Tensor::empty_strided(device, whole.clone(), strides.clone(), dtype);
        let own = Tensor::empty(device, part.clone(), dtype);
        // `CopyBackwards` gives what was there before zeros, which are copied into the rest.
        let zeros = call.want(0, || super::zeros_like(&own));
        let grad = call.want(1, || super::to(&own, from));
        drop(own);
        drop(zeros);
        grads![call.want(0, || rest.clone()), grad]
    })
}
