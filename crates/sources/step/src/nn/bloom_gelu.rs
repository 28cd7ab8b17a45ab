//! Bloom's GELU, a `torch.autograd.Function` (`GeLUFunction` in transformers/models/bloom/modeling_bloom.py, 5.23).

use crate::autograd::Op;
use crate::ops::{self, grads, saved};
use crate::tensor::Tensor;

/// `GeLUFunction.apply(x)`: it saves its input and computes everything else again.
pub(crate) fn bloom_gelu(x: &Tensor) -> Tensor {
    let device = x.device().clone();
    Op::nameless("GeLUFunctionBackward", &[x])
        .run(|| {
            let _off = device.set_grad_enabled(false);
            forward(x)
        })
        // `save_for_backward` of a Python function is packed when its forward has returned.
        .saves_results(|_| saved![Some(x.clone())])
        .backward(|call| grads![Some(backward(call.grad(), call.saved(0)))])
}

/// `x * 0.5 * (1.0 + tanh(0.79788456 * x * (1 + 0.044715 * x * x)))`
fn forward(x: &Tensor) -> Tensor {
    // Python evaluates the left operand of each product first and holds it on its stack.
    let half = ops::mul_scalar(x);
    let gate = ops::add_scalar(tanh_of_cubic(x));
    ops::mul(half, gate)
}

/// `tanh(0.79788456 * x * (1 + 0.044715 * x * x))`
fn tanh_of_cubic(x: &Tensor) -> Tensor {
    let scaled = ops::mul_scalar(x);
    let bracket = ops::add_scalar(ops::mul(ops::mul_scalar(x), x));
    ops::tanh(ops::mul(scaled, bracket))
}

/// `bloom_gelu_back`.
fn backward(grad: &Tensor, x: &Tensor) -> Tensor {
    let tanh_out = tanh_of_cubic(x);
    // `0.5 * x * ((1 - tanh_out * tanh_out) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + tanh_out)`
    let left = {
        let half = ops::mul_scalar(x);
        let square = ops::mul(&tanh_out, &tanh_out);
        let rest = ops::plain_unary("rsub", &square, square.dtype());
        drop(square);
        let slope = ops::add_scalar(ops::mul(ops::mul_scalar(x), x));
        ops::mul(half, ops::mul(rest, slope))
    };
    let right = ops::mul_scalar(ops::add_scalar(&tanh_out));
    let ff = ops::add(left, right);
    let out = ops::mul(&ff, grad);
    // The locals go when the function returns, in the order of their first binding.
    drop(tanh_out);
    drop(ff);
    out
}
