//! Conversions between dtypes (`_to_copy` in aten/src/ATen/native/TensorConversions.cpp).

use brimful_units::Dtype;

use super::iterator::result;
use super::{Operand, grads};
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `x.to(dtype)`: the tensor itself where it has that dtype already.
pub(crate) fn to<'a>(x: impl Into<Operand<'a>>, dtype: Dtype) -> Tensor {
    let x = x.into();
    if x.dtype() == dtype { Tensor::clone(&x) } else { to_copy(&x, dtype) }
}

/// `_to_copy`: keeps the memory order.
fn to_copy(x: &Tensor, dtype: Dtype) -> Tensor {
    let from = x.dtype();
    Op::new("_to_copy", "ToCopyBackward0", &[x])
        .run(|| result(&[x], dtype))
        .backward(move |call| grads![Some(to(call.grad(), from))])
}
