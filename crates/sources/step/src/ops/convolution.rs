//! Convolutions through cuDNN (aten/src/ATen/native/Convolution.cpp, aten/src/ATen/native/cudnn/ConvShared.cpp, torch 2.15).
//!
//! cuDNN's own workspaces are none of the virtual GPU's, which has no engine that asks for one; they are 0 here, too.

use brimful_units::Shape;

use super::{clone_contiguous, grads, reduced, saved};
use crate::autocast::to_lower;
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `conv1d(x, weight, bias)` or `conv2d` of row-major tensors into an output of these sides, in one group.
pub(crate) fn convolution(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, sides: &[u64]) -> Tensor {
    // Autocast converts from the last argument to the first.
    let bias = bias.map(to_lower);
    let weight = to_lower(weight);
    let x = to_lower(x);
    let shape: Shape = [x.dim(0), weight.dim(0)].into_iter().chain(sides.iter().copied()).collect();
    let inputs: Vec<&Tensor> = [Some(&x), Some(&weight), bias.as_ref()].into_iter().flatten().collect();
    let has_bias = bias.is_some();
    Op::new("cudnn_convolution", "ConvolutionBackward0", &inputs)
        .saves_inputs(|| saved![Some(x.clone()), Some(weight.clone())])
        // The bias is added in place.
        .run(|| Tensor::empty(x.device(), shape, x.dtype()))
        .backward(move |call| {
            let (x, weight) = (call.saved(0), call.saved(1));
            let grad = &of_one_row(call.grad());
            let _op = grad.device().op("convolution_backward");
            // A gradient in the order of channels-last is copied for both kernels (`cudnn_convolution_backward`). Each of the two
            // copies one of another order for itself: that of the input makes its result first
            // (`cudnn_convolution_backward_input`), that of the weight last (`cudnn_convolution_backward_weight`).
            let ordered = if has_channels_last_strides(grad) { clone_contiguous(grad) } else { grad.clone() };
            let x_grad = call.want(0, || {
                let x_grad = Tensor::empty(x.device(), x.shape().clone(), x.dtype());
                drop(row_major(&ordered));
                x_grad
            });
            let weight_grad = call.want(1, || {
                let rows = row_major(&ordered);
                let weight_grad = Tensor::empty(x.device(), weight.shape().clone(), weight.dtype());
                drop(rows);
                weight_grad
            });
            drop(ordered);
            if !has_bias {
                return grads![x_grad, weight_grad];
            }
            // `grad_output.sum((0, 2, 3))` of the gradient as it came.
            let bias_grad = call.want(2, || {
                let summed = reduced(grad, "sum", &[0, 2, 3], weight.dtype());
                summed.unsafe_view_as([weight.dim(0)].into(), [1].into())
            });
            grads![x_grad, weight_grad, bias_grad]
        })
}

/// PyTorch takes `[B, channels, steps]` for images of one row (`view4d` in aten/src/ATen/native/Convolution.cpp). The stride of the
/// new dimension is that of `unsqueeze`. Images stay as they are.
fn of_one_row(x: &Tensor) -> Tensor {
    let (size, stride) = (x.shape(), x.strides());
    if x.rank() != 3 {
        return x.clone();
    }
    let row = size[2].saturating_mul(stride[2]);
    x.unsafe_view_as([size[0], size[1], 1, size[2]].into(), [stride[0], stride[1], row, stride[2]].into())
}

/// A gradient in the memory order of a row-major output.
fn row_major(grad: &Tensor) -> Tensor {
    if grad.is_contiguous() { grad.clone() } else { clone_contiguous(grad) }
}

/// `is_channels_last_strides_2d` in c10/core/MemoryFormat.h. One pixel in each image is row-major in both orders, and may have these
/// strides as well: read off torch 2.15 at strides of six kinds.
pub(super) fn has_channels_last_strides(x: &Tensor) -> bool {
    if x.rank() != 4 || x.strides()[1] == 0 {
        return false;
    }
    let mut least = 0u64;
    // The order of channels, width, height, images: from the fastest to the slowest.
    for dim in [1, 3, 2, 0] {
        let (size, stride) = (x.dim(dim), x.strides()[dim]);
        // Where the images are as close as the channels, the order of both is ambiguous.
        let ambiguous = dim == 0 && least == x.strides()[1];
        if size == 0 || stride < least || ambiguous {
            return false;
        }
        least = stride.saturating_mul(size.max(1));
    }
    true
}
