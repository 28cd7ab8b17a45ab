//! `torch._foreach_*`: one result per tensor; nothing else is allocated.

use brimful_units::Dtype;

use super::iterator::result;
use crate::device::Device;
use crate::tensor::Tensor;

/// A list of results, dropped from the last to the first as CPython drops a list.
pub(crate) struct TensorList(pub Vec<Tensor>);

impl Drop for TensorList {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// `_foreach_sqrt`, `_foreach_add` and the like.
pub(crate) fn foreach(op: &'static str, inputs: &[Tensor]) -> TensorList {
    let Some(first) = inputs.first() else { return TensorList(Vec::new()) };
    let _op = first.device().op(op);
    TensorList(inputs.iter().map(|input| result(&[input], input.dtype())).collect())
}

/// `_foreach_norm` (`foreach_tensor_norm_cuda` in aten/src/ATen/native/cuda/ForeachReduceOp.cu):
/// partial norms of every chunk, and where each tensor's begin.
pub(crate) fn foreach_norm(inputs: &[Tensor]) -> TensorList {
    const CHUNK: u64 = 65_536;
    let Some(first) = inputs.first() else { return TensorList(Vec::new()) };
    let device: &Device = first.device();
    let chunks = inputs.iter().fold(0u64, |n, input| n.saturating_add(input.numel().div_ceil(CHUNK)));
    let offsets = super::new_tensor(device, "_to_copy", [inputs.len() as u64 + 1], Dtype::I64);
    let _op = device.op("_foreach_norm");
    let partial_dtype = if first.dtype() == Dtype::F64 { Dtype::F64 } else { Dtype::F32 };
    let partials = Tensor::empty(device, [chunks], partial_dtype);
    let norms = inputs.iter().map(|_| Tensor::empty(device, [], first.dtype())).collect();
    drop(partials);
    drop(offsets);
    TensorList(norms)
}
