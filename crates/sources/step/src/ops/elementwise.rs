//! Elementwise arithmetic and activations (aten/src/ATen/native/cuda, one kernel each). The backwards follow
//! tools/autograd/derivatives.yaml and torch/csrc/autograd/FunctionsManual.cpp, torch 2.15.

use brimful_units::Dtype;

use super::iterator::{promote, result};
use super::{Operand, grads, saved};
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `a + b`.
pub(crate) fn add<'a>(a: impl Into<Operand<'a>>, b: impl Into<Operand<'a>>) -> Tensor {
    let operands = [a.into(), b.into()];
    let [a, b] = &operands;
    Op::new("add", "AddBackward0", &[a, b])
        .run(|| result(&[a, b], promote(a, b)))
        .backward(|call| grads![call.want(0, || call.grad().clone()), call.want(1, || call.grad().clone())])
}

/// `x + number`.
pub(crate) fn add_scalar<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    scalar_sum(x.into(), "add", "AddBackward0")
}

/// `x - number`.
pub(crate) fn sub_scalar<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    scalar_sum(x.into(), "sub", "SubBackward0")
}

fn scalar_sum(x: Operand<'_>, op: &'static str, node: &'static str) -> Tensor {
    Op::new(op, node, &[&x])
        .run(|| result(&[&x], x.dtype()))
        .backward(|call| grads![Some(call.grad().clone())])
}

/// `a / b` without gradient.
pub(crate) fn div<'a>(a: impl Into<Operand<'a>>, b: impl Into<Operand<'a>>) -> Tensor {
    let operands = [a.into(), b.into()];
    let [a, b] = &operands;
    let _op = a.device().op("div");
    result(&[a, b], promote(a, b))
}

/// `a * b`; each operand is saved where the other one wants a gradient.
pub(crate) fn mul<'a>(a: impl Into<Operand<'a>>, b: impl Into<Operand<'a>>) -> Tensor {
    let operands = [a.into(), b.into()];
    let [a, b] = &operands;
    Op::new("mul", "MulBackward0", &[a, b])
        .saves_inputs(|| others(a, b))
        .run(|| result(&[a, b], promote(a, b)))
        .backward(|call| {
            let other = call.want(1, || mul(call.grad(), call.saved(1)));
            grads![call.want(0, || mul(call.grad(), call.saved(0))), other]
        })
}

/// What a product saves: each operand where the *other* one wants a gradient.
pub(super) fn others(a: &Tensor, b: &Tensor) -> crate::autograd::Saved {
    saved![a.requires_grad().then(|| b.clone()), b.requires_grad().then(|| a.clone())]
}

/// `x * number`.
pub(crate) fn mul_scalar<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    Op::new("mul", "MulBackward0", &[&x])
        .run(|| result(&[&x], x.dtype()))
        .backward(|call| grads![Some(mul_scalar(call.grad()))])
}

/// `x / number`.
pub(crate) fn div_scalar<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    Op::new("div", "DivBackward0", &[&x])
        .run(|| result(&[&x], x.dtype()))
        .backward(|call| grads![Some(div_scalar(call.grad()))])
}

/// `x.pow(n)` for a number other than 0 and 1.
pub(crate) fn pow_scalar<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    Op::new("pow", "PowBackward0", &[&x])
        .saves_inputs(|| saved![Some(Tensor::clone(&x))])
        .run(|| result(&[&x], x.dtype()))
        .backward(|call| {
            // `grad * (exponent * self.pow(exponent - 1))`: pow_backward in FunctionsManual.cpp. The scaled power is
            // the younger temporary and goes first.
            let power = plain_unary("pow", call.saved(0), call.saved(0).dtype());
            let scaled = mul_scalar(&power);
            let grad = mul(call.grad(), &scaled);
            drop(scaled);
            drop(power);
            grads![Some(grad)]
        })
}

/// `torch.pow(x, 3.0)` under autocast, which runs it in fp32.
pub(crate) fn pow_autocast(x: &Tensor) -> Tensor {
    pow_scalar(crate::autocast::to_float(x))
}

/// `torch.rsqrt(x)`; the result is saved.
pub(crate) fn rsqrt<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    Op::new("rsqrt", "RsqrtBackward0", &[&x])
        .run(|| result(&[&x], x.dtype()))
        .saves_results(|out| saved![Some(out.detach())])
        .backward(|call| {
            // `-0.5 * grad * result.pow(3)`: the power is made first, the product of both last.
            let cube = plain_unary("pow", call.saved(0), call.saved(0).dtype());
            let half = mul_scalar(call.grad());
            let grad = mul(&half, &cube);
            drop(half);
            drop(cube);
            grads![Some(grad)]
        })
}

/// `torch.rsqrt(x)`, which autocast runs in fp32.
pub(crate) fn rsqrt_autocast(x: &Tensor) -> Tensor {
    rsqrt(crate::autocast::to_float(x))
}

/// `a - b`.
pub(crate) fn sub<'a>(a: impl Into<Operand<'a>>, b: impl Into<Operand<'a>>) -> Tensor {
    let operands = [a.into(), b.into()];
    let [a, b] = &operands;
    Op::new("sub", "SubBackward0", &[a, b])
        .run(|| result(&[a, b], promote(a, b)))
        .backward(|call| grads![call.want(0, || call.grad().clone()), call.want(1, || neg(call.grad()))])
}

/// An activation whose fused backward kernel reads its input.
fn activation(x: &Tensor, op: &'static str, node: &'static str, backward: &'static str) -> Tensor {
    Op::new(op, node, &[x])
        .saves_inputs(|| saved![Some(x.clone())])
        .run(|| result(&[x], x.dtype()))
        .backward(move |call| grads![Some(fused_backward(backward, call.grad(), call.saved(0)))])
}

/// An activation whose fused backward kernel reads its result.
fn activation_of_result(x: &Tensor, op: &'static str, node: &'static str, backward: &'static str) -> Tensor {
    Op::new(op, node, &[x])
        .run(|| result(&[x], x.dtype()))
        .saves_results(|out| saved![Some(out.detach())])
        .backward(move |call| grads![Some(fused_backward(backward, call.grad(), call.saved(0)))])
}

fn fused_backward(op: &'static str, grad: &Tensor, saved: &Tensor) -> Tensor {
    let _op = grad.device().op(op);
    result(&[grad, saved], promote(grad, saved))
}

/// `silu(x)`.
pub(crate) fn silu(x: &Tensor) -> Tensor {
    named_activation(x, NamedActivation::Silu)
}

/// `gelu(x)`, exact or with the tanh approximation.
pub(crate) fn gelu(x: &Tensor) -> Tensor {
    activation(x, "gelu", "GeluBackward0", "gelu_backward")
}

/// `relu(x)`.
pub(crate) fn relu(x: &Tensor) -> Tensor {
    activation_of_result(x, "relu", "ReluBackward0", "threshold_backward")
}

/// `F.relu(x, inplace=True)`: the same tensor, which is saved after it is written.
pub(crate) fn relu_in_place(x: &Tensor) -> Tensor {
    Op::new("relu_", "ReluBackward0", &[x])
        .run(|| x.clone())
        .saves_results(|out| saved![Some(out.detach())])
        .backward(|call| grads![Some(fused_backward("threshold_backward", call.grad(), call.saved(0)))])
}

/// An activation by torch's name of its kernel, such as `hardswish`.
pub(crate) fn named_activation(x: &Tensor, named: NamedActivation) -> Tensor {
    let (op, node, backward) = named.names();
    activation(x, op, node, backward)
}

/// As [`named_activation`], written into the tensor itself: what the backward reads is copied before.
pub(crate) fn activation_in_place(x: &Tensor, named: NamedActivation) -> Tensor {
    let (op, node, backward) = named.names();
    Op::new(op, node, &[x])
        .saves_inputs(|| saved![Some(result(&[x], x.dtype()))])
        .run(|| x.clone())
        .backward(move |call| grads![Some(fused_backward(backward, call.grad(), call.saved(0)))])
}

/// Activations of networks for images.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NamedActivation {
    /// `hardtanh`, of which `relu6` is one.
    Hardtanh,
    /// `hardswish`.
    Hardswish,
    /// `hardsigmoid`.
    Hardsigmoid,
    /// `silu`.
    Silu,
}

impl NamedActivation {
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            NamedActivation::Hardtanh => ("hardtanh", "HardtanhBackward0", "hardtanh_backward"),
            NamedActivation::Hardswish => ("hardswish", "HardswishBackward0", "hardswish_backward"),
            NamedActivation::Hardsigmoid => ("hardsigmoid", "HardsigmoidBackward0", "hardsigmoid_backward"),
            NamedActivation::Silu => ("silu", "SiluBackward0", "silu_backward"),
        }
    }
}

/// `torch.tanh(x)`.
pub(crate) fn tanh<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    activation_of_result(&x, "tanh", "TanhBackward0", "tanh_backward")
}

/// `-x`.
pub(crate) fn neg<'a>(x: impl Into<Operand<'a>>) -> Tensor {
    let x = x.into();
    Op::new("neg", "NegBackward0", &[&x])
        .run(|| result(&[&x], x.dtype()))
        .backward(|call| grads![Some(neg(call.grad()))])
}

/// An elementwise op of one input without gradient.
pub(crate) fn plain_unary(op: &'static str, x: &Tensor, dtype: Dtype) -> Tensor {
    let _op = x.device().op(op);
    result(&[x], dtype)
}

/// An elementwise op of two inputs without gradient, in the dtype that both are promoted to.
pub(crate) fn plain_binary(op: &'static str, a: &Tensor, b: &Tensor) -> Tensor {
    let _op = a.device().op(op);
    result(&[a, b], promote(a, b))
}

/// `torch.where(condition, a, number)` and the like without gradient: a new tensor over the inputs' broadcast.
pub(crate) fn plain_ternary(op: &'static str, inputs: &[&Tensor], dtype: Dtype) -> Tensor {
    let _op = inputs[0].device().op(op);
    result(inputs, dtype)
}
