use std::borrow::Borrow;

use brimful_units::Dtype;

use super::iterator::result;
use super::{grads, saved};
use crate::autograd::record;
use crate::tensor::Tensor;

/// `x.to(dtype)`: the tensor itself where it has that dtype already.
pub(crate) fn to(x: impl Borrow<Tensor>, dtype: Dtype) -> Tensor {
    let out = {
        let x = x.borrow();
        if x.dtype() == dtype { x.clone() } else { to_copy(x, dtype) }
    };
    drop(x);
    out
}

/// `_to_copy`: keeps the memory order.
fn to_copy(x: &Tensor, dtype: Dtype) -> Tensor {
    let _op = x.device().op("_to_copy");
    let out = result(&[x], dtype);
    let from = x.dtype();
    record(&out, "ToCopyBackward0", &[x], || saved![], move |call| grads![Some(to(call.grad(), from))]);
    out
}
