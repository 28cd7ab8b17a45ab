//! Pooling and enlarging of images (aten/src/ATen/native/cuda/DilatedMaxPool2d.cu, AdaptiveAveragePooling.cu, AveragePool2d.cu,
//! UpSampleNearest2d.cu, torch 2.15). Row-major images stay row-major, and those with their channels next to each other keep
//! them so.

use brimful_units::{Dtype, Shape};

use super::convolution::{empty, has_channels_last_strides};
use super::{grads, mean_of, saved};
use crate::autocast::to_float;
use crate::autograd::Op;
use crate::tensor::Tensor;

/// `F.max_pool2d(x, …)` into an output of these sides; where the largest pixels were is saved.
pub(crate) fn max_pool2d(x: &Tensor, sides: [u64; 2]) -> Tensor {
    let channels_last = has_channels_last_strides(x);
    let (out, _) = Op::new("max_pool2d_with_indices", "MaxPool2DWithIndicesBackward0", &[x])
        .saves_inputs(|| saved![Some(x.clone())])
        .run(|| {
            let out = empty(x, pooled(x, sides), channels_last);
            let places =
                Tensor::empty_strided(x.device(), out.shape().clone(), out.strides().clone(), Dtype::I64);
            (out, places)
        })
        .saves_results(|(_, places)| saved![Some(places.clone())])
        .backward(|call| {
            let x = call.saved(0);
            let _op = x.device().op("max_pool2d_with_indices_backward");
            grads![Some(empty(x, x.shape().clone(), has_channels_last_strides(x)))]
        });
    out
}

/// `F.avg_pool2d(x, …)` into an output of these sides.
pub(crate) fn avg_pool2d(x: &Tensor, sides: [u64; 2]) -> Tensor {
    averaged(x, sides, ("avg_pool2d", "AvgPool2DBackward0", "avg_pool2d_backward"))
}

/// `F.adaptive_avg_pool2d(x, sides)`: a mean where one pixel is left.
pub(crate) fn adaptive_avg_pool2d(x: &Tensor, sides: [u64; 2]) -> Tensor {
    if sides != [1, 1] {
        let names = ("_adaptive_avg_pool2d", "AdaptiveAvgPool2DBackward0", "_adaptive_avg_pool2d_backward");
        return averaged(x, sides, names);
    }
    let out = mean_of(x, &[2, 3], true);
    if !has_channels_last_strides(x) {
        return out;
    }
    // `out.as_strided_` gives the pixel the strides of its image; the gradient is written into zeros of its own.
    let channels = out.dim(1);
    let (shape, strides) = (out.shape().clone(), Shape::from([channels, 1, channels, channels]));
    let viewed = out.unsafe_view_as(shape, strides);
    Op::nameless("AsStridedBackward1", &[&out]).run(|| viewed).backward(|call| {
        let grad = call.grad();
        let _op = grad.device().op("new_zeros");
        grads![Some(Tensor::empty(grad.device(), grad.shape().clone(), grad.dtype()))]
    })
}

fn averaged(
    x: &Tensor,
    sides: [u64; 2],
    (op, node, backward): (&'static str, &'static str, &'static str),
) -> Tensor {
    Op::new(op, node, &[x])
        .saves_inputs(|| saved![Some(x.clone())])
        .run(|| empty(x, pooled(x, sides), has_channels_last_strides(x)))
        .backward(move |call| {
            let x = call.saved(0);
            let _op = x.device().op(backward);
            grads![Some(empty(x, x.shape().clone(), has_channels_last_strides(x)))]
        })
}

/// `F.interpolate(x, mode="nearest")` to these sides, which autocast runs in fp32.
pub(crate) fn upsample_nearest2d(x: &Tensor, sides: [u64; 2]) -> Tensor {
    let x = &to_float(x);
    let whole = x.shape().clone();
    let channels_last = has_channels_last_strides(x);
    Op::new("upsample_nearest2d", "UpsampleNearest2DBackward0", &[x])
        .run(|| empty(x, pooled(x, sides), channels_last))
        .backward(move |call| {
            let _op = call.grad().device().op("upsample_nearest2d_backward");
            grads![Some(empty(call.grad(), whole.clone(), channels_last))]
        })
}

/// The sizes of images with other sides.
fn pooled(x: &Tensor, [height, width]: [u64; 2]) -> Shape {
    Shape::from([x.dim(0), x.dim(1), height, width])
}
