//! New tensors (aten/src/ATen/native/TensorFactories.cpp).

use brimful_units::{Dtype, Shape};

use crate::device::Device;
use crate::tensor::Tensor;

/// A new tensor by an op such as `zeros`, `ones_like`, `arange`.
pub(crate) fn new_tensor(device: &Device, op: &'static str, shape: impl Into<Shape>, dtype: Dtype) -> Tensor {
    let _op = device.op(op);
    Tensor::empty(device, shape, dtype)
}

/// `torch.zeros_like(x)`: keeps the memory order.
pub(crate) fn zeros_like(x: &Tensor) -> Tensor {
    like(x, "zeros_like", x.dtype())
}

/// A new tensor in the shape and memory order of another.
pub(crate) fn like(x: &Tensor, op: &'static str, dtype: Dtype) -> Tensor {
    let _op = x.device().op(op);
    super::iterator::result(&[x], dtype)
}
