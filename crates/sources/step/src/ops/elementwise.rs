use std::borrow::Borrow;

use brimful_units::Dtype;

use super::iterator::{promote, result};
use super::{grads, saved};
use crate::autograd::record;
use crate::tensor::Tensor;

/// `a + b`.
pub(crate) fn add(a: impl Borrow<Tensor>, b: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let (a, b) = (a.borrow(), b.borrow());
        let _op = a.device().op("add");
        let out = result(&[a, b], promote(a, b));
        record(
            &out,
            "AddBackward0",
            &[a, b],
            || saved![],
            |call| grads![call.want(0, || call.grad().clone()), call.want(1, || call.grad().clone())],
        );
        out
    };
    drop(a);
    drop(b);
    out
}

/// `x + number`.
pub(crate) fn add_scalar(x: impl Borrow<Tensor>) -> Tensor {
    scalar_sum(x, "add", "AddBackward0")
}

/// `x - number`.
pub(crate) fn sub_scalar(x: impl Borrow<Tensor>) -> Tensor {
    scalar_sum(x, "sub", "SubBackward0")
}

fn scalar_sum(x: impl Borrow<Tensor>, op: &'static str, node: &'static str) -> Tensor {
    let out = {
        let x = x.borrow();
        let _op = x.device().op(op);
        let out = result(&[x], x.dtype());
        record(&out, node, &[x], || saved![], |call| grads![Some(call.grad().clone())]);
        out
    };
    drop(x);
    out
}

/// `a / b` without gradient.
pub(crate) fn div(a: impl Borrow<Tensor>, b: impl Borrow<Tensor>) -> Tensor {
    plain_binary("div", a, b)
}

fn plain_binary(op: &'static str, a: impl Borrow<Tensor>, b: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let (a, b) = (a.borrow(), b.borrow());
        let _op = a.device().op(op);
        result(&[a, b], promote(a, b))
    };
    drop(a);
    drop(b);
    out
}

/// `a * b`; each operand is saved where the other one wants a gradient.
pub(crate) fn mul(a: impl Borrow<Tensor>, b: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let (a, b) = (a.borrow(), b.borrow());
        let _op = a.device().op("mul");
        let out = result(&[a, b], promote(a, b));
        let kept = || saved![a.requires_grad().then(|| b.clone()), b.requires_grad().then(|| a.clone())];
        record(&out, "MulBackward0", &[a, b], kept, |call| {
            let other = call.want(1, || mul(call.grad(), call.saved(1)));
            grads![call.want(0, || mul(call.grad(), call.saved(0))), other]
        });
        out
    };
    drop(a);
    drop(b);
    out
}

/// `x * number`.
pub(crate) fn mul_scalar(x: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let x = x.borrow();
        let _op = x.device().op("mul");
        let out = result(&[x], x.dtype());
        record(&out, "MulBackward0", &[x], || saved![], |call| grads![Some(mul_scalar(call.grad()))]);
        out
    };
    drop(x);
    out
}

/// `x / number`.
pub(crate) fn div_scalar(x: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let x = x.borrow();
        let _op = x.device().op("div");
        let out = result(&[x], x.dtype());
        record(&out, "DivBackward0", &[x], || saved![], |call| grads![Some(div_scalar(call.grad()))]);
        out
    };
    drop(x);
    out
}

/// `x.pow(n)` for a number other than 0 and 1.
pub(crate) fn pow_scalar(x: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let x = x.borrow();
        let out = plain_unary("pow", x, x.dtype());
        record(
            &out,
            "PowBackward0",
            &[x],
            || saved![Some(x.clone())],
            |call| {
                // `grad * (exponent * self.pow(exponent - 1))`: pow_backward in FunctionsManual.cpp
                let power = plain_unary("pow", call.saved(0), call.saved(0).dtype());
                let scaled = mul_scalar(&power);
                let grad = mul(call.grad(), &scaled);
                drop(scaled);
                drop(power);
                grads![Some(grad)]
            },
        );
        out
    };
    drop(x);
    out
}

/// `torch.pow(x, 3.0)` under autocast, which runs it in fp32.
pub(crate) fn pow_autocast(x: &Tensor) -> Tensor {
    pow_scalar(crate::autocast::to_float(x))
}

/// `torch.rsqrt(x)`; the result is saved.
pub(crate) fn rsqrt(x: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let x = x.borrow();
        let out = plain_unary("rsqrt", x, x.dtype());
        record(
            &out,
            "RsqrtBackward0",
            &[x],
            || saved![Some(out.detach())],
            |call| {
                let cube = plain_unary("pow", call.saved(0), call.saved(0).dtype());
                let half = mul_scalar(call.grad());
                let grad = mul(&half, &cube);
                drop(half);
                drop(cube);
                grads![Some(grad)]
            },
        );
        out
    };
    drop(x);
    out
}

/// An activation with a fused backward kernel that reads its input.
fn activation(x: &Tensor, op: &'static str, node: &'static str, backward: &'static str) -> Tensor {
    let out = plain_unary(op, x, x.dtype());
    record(
        &out,
        node,
        &[x],
        || saved![Some(x.clone())],
        move |call| grads![Some(fused_backward(backward, call.grad(), call.saved(0)))],
    );
    out
}

/// As [`activation`], reading its result.
fn activation_of_result(x: &Tensor, op: &'static str, node: &'static str, backward: &'static str) -> Tensor {
    let out = plain_unary(op, x, x.dtype());
    record(
        &out,
        node,
        &[x],
        || saved![Some(out.detach())],
        move |call| grads![Some(fused_backward(backward, call.grad(), call.saved(0)))],
    );
    out
}

fn fused_backward(op: &'static str, grad: &Tensor, saved: &Tensor) -> Tensor {
    let _op = grad.device().op(op);
    result(&[grad, saved], promote(grad, saved))
}

/// `silu(x)`.
pub(crate) fn silu(x: &Tensor) -> Tensor {
    activation(x, "silu", "SiluBackward0", "silu_backward")
}

/// `gelu(x)`, exact or with the tanh approximation.
pub(crate) fn gelu(x: &Tensor) -> Tensor {
    activation(x, "gelu", "GeluBackward0", "gelu_backward")
}

/// `relu(x)`.
pub(crate) fn relu(x: &Tensor) -> Tensor {
    activation_of_result(x, "relu", "ReluBackward0", "threshold_backward")
}

/// `torch.tanh(x)`.
pub(crate) fn tanh(x: impl Borrow<Tensor>) -> Tensor {
    let out = activation_of_result(x.borrow(), "tanh", "TanhBackward0", "tanh_backward");
    drop(x);
    out
}

/// `-x`.
pub(crate) fn neg(x: impl Borrow<Tensor>) -> Tensor {
    let out = {
        let x = x.borrow();
        let out = plain_unary("neg", x, x.dtype());
        record(&out, "NegBackward0", &[x], || saved![], |call| grads![Some(neg(call.grad()))]);
        out
    };
    drop(x);
    out
}

/// An elementwise op of one input without gradient.
pub(crate) fn plain_unary(op: &'static str, x: &Tensor, dtype: Dtype) -> Tensor {
    let _op = x.device().op(op);
    result(&[x], dtype)
}

/// `torch.where(condition, a, number)` and the like: a new tensor over three inputs' broadcast.
pub(crate) fn plain_ternary(op: &'static str, inputs: &[&Tensor], dtype: Dtype) -> Tensor {
    let _op = inputs[0].device().op(op);
    result(inputs, dtype)
}
