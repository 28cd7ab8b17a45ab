//! Products of groups of rows with a matrix each (aten/src/ATen/native/cuda/GroupedBlas.cpp, torch 2.15).

use brimful_units::{Dtype, Shape};

use super::{grads, saved, transpose};
use crate::autograd::Op;
use crate::device::Device;
use crate::tensor::Tensor;

/// `torch.nn.functional.grouped_mm(x, weight, offs=offs)`: rows `[S, in]`, one matrix per group `[groups, in, out]`.
pub(crate) fn grouped_mm(x: &Tensor, weight: &Tensor, offsets: &Tensor) -> Tensor {
    let column_major = weight.strides()[1] == 1 && weight.strides()[2] != 1;
    let out = Shape::from([x.dim(0), weight.dim(2)]);
    let groups = weight.dim(0);
    Op::new("_grouped_mm", "GroupedMmBackward0", &[x, weight])
        .saves_inputs(|| {
            saved![
                x.requires_grad().then(|| weight.clone()),
                Some(offsets.clone()),
                weight.requires_grad().then(|| x.clone()),
            ]
        })
        .run(|| product(x, out, groups))
        .backward(move |call| {
            let grad = call.grad();
            // derivatives.yaml computes the matrices' gradient first.
            let weight_grad = call.want(1, || {
                let rows = call.saved(2);
                // It is computed in the memory order of the matrices (`_grouped_mm_mat2_grad`).
                if column_major {
                    transpose(product(grad, [groups, grad.dim(1), rows.dim(1)], groups), 1, 2)
                } else {
                    product(grad, [groups, rows.dim(1), grad.dim(1)], groups)
                }
            });
            let x_grad = call.want(0, || {
                let width = call.saved(0).dim(1);
                product(grad, [grad.dim(0), width], groups)
            });
            grads![x_grad, weight_grad]
        })
}

/// The output, and what the kernel needs for itself.
fn product(x: &Tensor, shape: impl Into<Shape>, groups: u64) -> Tensor {
    let device = x.device();
    let _op = device.op("_grouped_mm");
    let out = Tensor::empty(device, shape, x.dtype());
    if has_kernel(device, x.dtype()) {
        // The sizes, pointers and strides of each group, and CUTLASS's descriptors of each multiprocessor
        // (`bf16bf16_grouped_gemm_impl_sm90_sm100` in aten/src/ATen/native/cuda/GroupMM.cu); read off on 9.0.
        let arguments = device.hold_kernel_buffer(device.mul(groups, ARGUMENTS_PER_GROUP));
        device.kernel_buffer(DESCRIPTORS_PER_MULTIPROCESSOR * device.properties().multiprocessors);
        drop(arguments);
    }
    out
}

const ARGUMENTS_PER_GROUP: u64 = 60;
const DESCRIPTORS_PER_MULTIPROCESSOR: u64 = 512;

/// Whether one kernel computes all groups (`_grouped_mm_cuda` in GroupedBlas.cpp). Elsewhere each group is a product of its
/// own, into the output.
fn has_kernel(device: &Device, dtype: Dtype) -> bool {
    dtype == Dtype::Bf16 && device.properties().compute_capability.0 == 9
}
