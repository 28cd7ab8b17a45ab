//! Convolutions through cuDNN (aten/src/ATen/native/Convolution.cpp, aten/src/ATen/native/cudnn/ConvShared.cpp, torch 2.15).
//!
//! cuDNN's own workspaces are none of the virtual GPU's, which has no engine that asks for one; they are 0 here, too.

use brimful_units::{Dtype, Shape};

use super::iterator::permuted_strides;
use super::{clone_contiguous, grads, reduced, saved};
use crate::autocast::to_lower;
use crate::autograd::{Call, Op};
use crate::tensor::Tensor;

/// How `conv1d` or `conv2d` is called, beside its tensors.
#[derive(Clone, Copy)]
pub(crate) struct Convolution {
    /// Height and width of the output; of a row of steps, 1 and their number.
    pub sides: [u64; 2],
    /// Input and output channels are divided into so many groups.
    pub groups: u64,
    /// Pixels from one place of the kernel to the next.
    pub stride: [i64; 2],
    /// Whether the kernel leaves pixels out.
    pub dilated: bool,
}

impl Convolution {
    /// Whether torch's own kernel for one channel at a time runs, and not cuDNN (`use_cudnn_depthwise` in
    /// aten/src/ATen/native/Convolution.cpp).
    fn is_depthwise_of_torch(self, x: &Tensor, weight: &Tensor) -> bool {
        let depthwise = x.rank() == 4
            && self.groups > 1
            && self.groups == x.dim(1)
            && weight.dim(0).is_multiple_of(self.groups);
        depthwise && !suggests_channels_last(x, weight) && !self.cudnn_takes_depthwise(x, weight)
    }

    /// Where cuDNN is the faster one in half precision (`check_cudnn_depthwise_workload_with_filter`).
    fn cudnn_takes_depthwise(self, x: &Tensor, weight: &Tensor) -> bool {
        let (batch, channels, height, width) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
        let [down, across] = self.stride;
        let square = down == across || height == 1;
        if x.dtype() != Dtype::F16 || self.dilated || !square || channels < 32 {
            return false;
        }
        if height == 1 && across == 1 {
            return true;
        }
        let filter = weight.dim(3);
        if weight.dim(2) != filter || !matches!(filter, 1 | 3 | 5) || width < 7 {
            return false;
        }
        match (across, batch, filter) {
            (1, ..) => true,
            (2, 1, 1) => width <= 28,
            (2, 1, _) => true,
            (2, _, 1) => batch <= 16 && channels >= 128 && width <= 7,
            (2, ..) => channels >= 512 || (channels >= 256 && width >= 28),
            _ => false,
        }
    }
}

/// `conv1d(x, weight, bias)` of row-major rows, or `conv2d(x, weight, bias)`.
pub(crate) fn convolution(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, how: Convolution) -> Tensor {
    // Autocast converts from the last argument to the first.
    let bias = bias.map(to_lower);
    let weight = to_lower(weight);
    let x = to_lower(x);
    let inputs: Vec<&Tensor> = [Some(&x), Some(&weight), bias.as_ref()].into_iter().flatten().collect();
    let has_bias = bias.is_some();
    let of_torch = how.is_depthwise_of_torch(&x, &weight);
    let name = if of_torch { "_conv_depthwise2d" } else { "cudnn_convolution" };
    Op::new(name, "ConvolutionBackward0", &inputs)
        .saves_inputs(|| saved![Some(x.clone()), Some(weight.clone())])
        // The bias is added in place.
        .run(|| convolved(&x, &weight, how.sides))
        .backward(move |call| {
            let grad = &of_one_row(call.grad());
            let _op = grad.device().op("convolution_backward");
            let [x_grad, weight_grad] =
                if of_torch { depthwise_backward(call) } else { cudnn_backward(call, grad) };
            if !has_bias {
                return grads![x_grad, weight_grad];
            }
            // `grad_output.sum((0, 2, 3))` of the gradient as it came.
            let bias_grad = call.want(2, || {
                let summed = reduced(grad, "sum", &[0, 2, 3], call.saved(1).dtype());
                summed.unsafe_view_as([call.saved(1).dim(0)].into(), [1].into())
            });
            grads![x_grad, weight_grad, bias_grad]
        })
}

/// The output, for which a weight of another memory order is copied while the kernel runs.
fn convolved(x: &Tensor, weight: &Tensor, [height, width]: [u64; 2]) -> Tensor {
    let channels_last = suggests_channels_last(x, weight);
    let rows = in_order(x, channels_last);
    let shape = match x.rank() {
        3 => Shape::from([x.dim(0), weight.dim(0), width]),
        _ => Shape::from([x.dim(0), weight.dim(0), height, width]),
    };
    let out = empty(x, shape, channels_last);
    drop(in_order(weight, channels_last));
    drop(rows);
    out
}

/// `cudnn_convolution_backward` in aten/src/ATen/native/cudnn/ConvShared.cpp. A gradient in the order of channels-last is copied for
/// both kernels. Each of the two copies one of another order for itself: that of the input makes its result first
/// (`cudnn_convolution_backward_input`), that of the weight last (`cudnn_convolution_backward_weight`).
fn cudnn_backward(call: &Call<'_>, grad: &Tensor) -> [Option<Tensor>; 2] {
    let (x, weight) = (call.saved(0), call.saved(1));
    let channels_last = suggests_channels_last(x, weight);
    let ordered = match (channels_last, has_channels_last_strides(grad)) {
        // One pixel in each image is in both orders, and is copied all the same.
        (true, false) => empty(grad, grad.shape().clone(), true),
        (false, true) => clone_contiguous(grad),
        _ => grad.clone(),
    };
    let x_grad = call.want(0, || {
        let x_grad = empty(x, x.shape().clone(), channels_last);
        drop(in_order(&ordered, channels_last));
        drop(in_order(weight, channels_last));
        x_grad
    });
    let weight_grad = call.want(1, || {
        let rows = (in_order(&ordered, channels_last), in_order(x, channels_last));
        let weight_grad = empty(x, weight.shape().clone(), channels_last);
        drop(rows);
        weight_grad
    });
    drop(ordered);
    [x_grad, weight_grad]
}

/// `conv_depthwise2d_backward` in aten/src/ATen/native/cuda/DepthwiseConv2d.cu, which makes the weight's gradient first.
fn depthwise_backward(call: &Call<'_>) -> [Option<Tensor>; 2] {
    let (x, weight) = (call.saved(0), call.saved(1));
    let (rows, grad_rows) = (in_order(x, false), in_order(call.grad(), false));
    let weight_grad = call.want(1, || empty(x, weight.shape().clone(), false));
    let x_grad = call.want(0, || empty(x, x.shape().clone(), false));
    drop(grad_rows);
    drop(rows);
    [x_grad, weight_grad]
}

/// `cudnn_conv_suggest_memory_format` in aten/src/ATen/native/ConvUtils.h.
fn suggests_channels_last(x: &Tensor, weight: &Tensor) -> bool {
    has_channels_last_strides(x) || has_channels_last_strides(weight)
}

/// `x.contiguous(memory_format)`: a copy where the order is another.
fn in_order(x: &Tensor, channels_last: bool) -> Tensor {
    let is_in_order = if channels_last { is_channels_last(x) } else { x.is_contiguous() };
    if is_in_order { x.clone() } else { empty(x, x.shape().clone(), channels_last) }
}

/// A new tensor of the dtype of another, row-major or with its channels next to each other.
pub(super) fn empty(like: &Tensor, shape: Shape, channels_last: bool) -> Tensor {
    if !channels_last {
        return Tensor::empty(like.device(), shape, like.dtype());
    }
    let strides = permuted_strides(&shape, &CHANNELS_LAST);
    Tensor::empty_strided(like.device(), shape, strides, like.dtype())
}

/// The dimensions of images from the fastest to the slowest: channels, width, height, images.
const CHANNELS_LAST: [usize; 4] = [1, 3, 2, 0];

/// `is_contiguous(memory_format=torch.channels_last)`.
fn is_channels_last(x: &Tensor) -> bool {
    let mut expected = 1u64;
    CHANNELS_LAST.into_iter().filter(|dim| x.dim(*dim) != 1).all(|dim| {
        let fits = x.strides()[dim] == expected;
        expected = expected.saturating_mul(x.dim(dim));
        fits
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

/// `is_channels_last_strides_2d` in c10/core/MemoryFormat.h.
pub(super) fn has_channels_last_strides(x: &Tensor) -> bool {
    if x.rank() != 4 || x.strides()[1] == 0 {
        return false;
    }
    let mut least = 0u64;
    for dim in CHANNELS_LAST {
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
