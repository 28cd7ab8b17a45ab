//! What networks for images compute: convolutions, their norms, pooling, and activations that write into their input.

use brimful_programs::Value as Plain;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::Value;
use super::Outcome;
use crate::ops::{self, BatchNorm, Convolution, NamedActivation};
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(_state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let outcome = match name {
        "F.conv1d" => conv1d(given),
        "F.conv2d" => conv2d(given),
        "F.batch_norm" => batch_norm(given),
        "F.group_norm" => group_norm(given),
        "F.max_pool2d" => max_pool2d(given),
        "F.avg_pool2d" => avg_pool2d(given),
        "F.adaptive_avg_pool2d" => adaptive_avg_pool2d(given),
        "F.interpolate" => interpolate(given),
        "F.relu" | "relu" => relu(given),
        "F.silu" => activation(given, 1, NamedActivation::Silu),
        "F.hardswish" => activation(given, 1, NamedActivation::Hardswish),
        "F.hardsigmoid" => activation(given, 1, NamedActivation::Hardsigmoid),
        "F.hardtanh" => activation(given, 3, NamedActivation::Hardtanh),
        "F.relu6" => activation(given, 1, NamedActivation::Hardtanh),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

/// `F.conv2d(input, weight, bias, stride, padding, dilation, groups)`.
fn conv2d(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, weight) = (given.tensor(0, "input")?, given.tensor(1, "weight")?);
    let groups = given.optional_integer(6, "groups")?.unwrap_or(1);
    let groups = u64::try_from(groups).ok().filter(|groups| *groups > 0);
    let fits =
        |groups: u64| x.rank() == 4 && weight.rank() == 4 && x.dim(1) == weight.dim(1).saturating_mul(groups);
    let Some(groups) = groups.filter(|groups| fits(*groups)) else {
        return Err(given.fault(format!("a kernel of {} on {}", weight.shape(), x.shape())));
    };
    let (stride, padding) = (pair(given, 3, "stride", 1)?, pair(given, 4, "padding", 0)?);
    let dilation = pair(given, 5, "dilation", 1)?;
    let side = |at: usize| {
        let size = |tensor: &Tensor| i64::try_from(tensor.dim(at + 2)).ok();
        let reach = dilation[at].checked_mul(size(weight)?.checked_sub(1)?)?.checked_add(1)?;
        steps(size(x)?.checked_add(padding[at].checked_mul(2)?)?, reach, stride[at], false)
    };
    let (Some(height), Some(width)) = (side(0), side(1)) else {
        return Err(given.fault(format!("a kernel of {} on {}", weight.shape(), x.shape())));
    };
    let how = Convolution { sides: [height, width], groups, stride, dilated: dilation != [1, 1] };
    Ok(ops::convolution(x, weight, given.optional_tensor(2, "bias")?, how))
}

/// `F.conv1d(input, weight, bias, stride, padding, dilation, groups)` of row-major rows in one group: images of one row.
fn conv1d(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, weight) = (given.tensor(0, "input")?, given.tensor(1, "weight")?);
    let groups = given.optional_integer(6, "groups")?.unwrap_or(1);
    if [x.rank(), weight.rank()] != [3, 3] || groups != 1 || x.dim(1) != weight.dim(1) {
        return Err(given.fault(format!("{groups} groups of {} and {}", x.shape(), weight.shape())));
    }
    if !x.is_contiguous() || !weight.is_contiguous() {
        return Err(given.fault("another memory order than row-major"));
    }
    let [stride, padding, dilation] = [
        pair(given, 3, "stride", 1)?[0],
        pair(given, 4, "padding", 0)?[0],
        pair(given, 5, "dilation", 1)?[0],
    ];
    let size = |tensor: &Tensor| i64::try_from(tensor.dim(2)).ok();
    let count = || {
        let reach = dilation.checked_mul(size(weight)?.checked_sub(1)?)?.checked_add(1)?;
        steps(size(x)?.checked_add(padding.checked_mul(2)?)?, reach, stride, false)
    };
    let width =
        count().ok_or_else(|| given.fault(format!("a kernel of {} on {}", weight.shape(), x.shape())))?;
    let how = Convolution { sides: [1, width], groups: 1, stride: [1, stride], dilated: dilation != 1 };
    Ok(ops::convolution(x, weight, given.optional_tensor(2, "bias")?, how))
}

/// How often a window fits a side (`conv_output_size` in aten/src/ATen/native/ConvUtils.h, `pooling_output_shape` in Pool.h).
fn steps(room: i64, reach: i64, stride: i64, ceil: bool) -> Option<u64> {
    let beyond = room.checked_sub(reach).filter(|beyond| *beyond >= 0 && stride > 0)?;
    let beyond = if ceil { beyond.checked_add(stride - 1)? } else { beyond };
    u64::try_from((beyond / stride).checked_add(1)?).ok()
}

/// An argument for height and width, which may be one number for both.
fn pair(given: &Arguments<'_>, at: usize, name: &str, otherwise: i64) -> Result<[i64; 2], Fault> {
    match given.get(at, name) {
        None => Ok([otherwise, otherwise]),
        // What follows by position is another argument.
        Some(Value::Plain(Plain::Integer(one))) => Ok([*one, *one]),
        Some(_) => match given.integers(at, name)?[..] {
            [one] => Ok([one, one]),
            [first, second] => Ok([first, second]),
            _ => Err(given.fault(format!("{name} of more than two dimensions"))),
        },
    }
}

/// `F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)`.
fn batch_norm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = row_major_images(given)?;
    let norm = BatchNorm {
        running: [given.tensor(1, "running_mean")?, given.tensor(2, "running_var")?],
        weight: given.tensor(3, "weight")?,
        bias: given.tensor(4, "bias")?,
        training: given.flag(5, "training", false)?,
    };
    Ok(ops::batch_norm(x, &norm))
}

/// `F.group_norm(input, num_groups, weight, bias, eps)`.
fn group_norm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = row_major_images(given)?;
    let groups = u64::try_from(given.integer(1, "num_groups")?).unwrap_or(0);
    // Images of one pixel have kernels of their own.
    if groups == 0 || !x.dim(1).is_multiple_of(groups) || x.dim(2).saturating_mul(x.dim(3)) < 2 {
        return Err(given.fault(format!("{groups} groups of {}", x.shape())));
    }
    Ok(ops::group_norm(x, groups, given.tensor(2, "weight")?, given.tensor(3, "bias")?))
}

/// The kernels for another memory order are others.
fn row_major_images<'a>(given: &'a Arguments<'_>) -> Result<&'a Tensor, Fault> {
    let x = images(given)?;
    if x.is_contiguous() { Ok(x) } else { Err(given.fault("another memory order than row-major")) }
}

fn images<'a>(given: &'a Arguments<'_>) -> Result<&'a Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if x.rank() == 4 { Ok(x) } else { Err(given.fault(format!("a tensor of {}", x.shape()))) }
}

/// `F.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)`.
fn max_pool2d(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let dilation = pair(given, 4, "dilation", 1)?;
    if given.flag(6, "return_indices", false)? || dilation != [1, 1] {
        return Err(given.fault("dilation, or the places of the largest pixels"));
    }
    Ok(ops::max_pool2d(images(given)?, window_sides(given, 5)?))
}

/// `F.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, …)`.
fn avg_pool2d(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    Ok(ops::avg_pool2d(images(given)?, window_sides(given, 4)?))
}

/// The sides of what a window makes that is as far from the next as it is wide, unless `stride` says otherwise.
fn window_sides(given: &Arguments<'_>, ceil_mode: usize) -> Result<[u64; 2], Fault> {
    let x = images(given)?;
    let kernel = pair(given, 1, "kernel_size", 1)?;
    let stride = if given.get(2, "stride").is_some() { pair(given, 2, "stride", 1)? } else { kernel };
    let padding = pair(given, 3, "padding", 0)?;
    let ceil = given.flag(ceil_mode, "ceil_mode", false)?;
    let side = |at: usize| {
        let size = i64::try_from(x.dim(at + 2)).ok()?;
        let count = steps(size.checked_add(padding[at].checked_mul(2)?)?, kernel[at], stride[at], ceil)?;
        // The last window begins inside of the image or its padding on the left.
        let last = i64::try_from(count).ok()?.checked_sub(1)?.checked_mul(stride[at])?;
        let outside = ceil && last >= size.checked_add(padding[at])?;
        Some(count - u64::from(outside))
    };
    let outside = || given.fault(format!("a window on {}", x.shape()));
    Ok([side(0).ok_or_else(outside)?, side(1).ok_or_else(outside)?])
}

/// `F.adaptive_avg_pool2d(input, output_size)`.
fn adaptive_avg_pool2d(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = images(given)?;
    let sides = pair(given, 1, "output_size", 1)?.map(|side| u64::try_from(side).unwrap_or(0));
    if sides.contains(&0) {
        return Err(given.fault("an output without a pixel"));
    }
    Ok(ops::adaptive_avg_pool2d(x, sides))
}

/// `F.interpolate(input, size, scale_factor, mode)` to whole multiples of the sides.
fn interpolate(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = images(given)?;
    let nearest = matches!(given.get(3, "mode"), Some(Value::Plain(Plain::Text(mode))) if mode == "nearest");
    let sides = match given.get(1, "size") {
        Some(_) => pair(given, 1, "size", 1)?.map(|side| u64::try_from(side).unwrap_or(0)),
        None => {
            let factor = given.optional_number(2, "scale_factor")?.unwrap_or(0.0);
            // `upsample_compute_output_size` in aten/src/ATen/native/UpSample.cpp rounds down.
            [2, 3].map(|at| (x.dim(at) as f64 * factor) as u64)
        }
    };
    if !nearest || sides.contains(&0) {
        return Err(given.fault("another mode than nearest, or an output without a pixel"));
    }
    Ok(ops::upsample_nearest2d(x, sides))
}

fn relu(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if !given.flag(1, "inplace", false)? {
        return Ok(ops::relu(x));
    }
    refuse_views(given, x).map(|()| ops::relu_in_place(x))
}

fn activation(given: &Arguments<'_>, inplace: usize, named: NamedActivation) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if !given.flag(inplace, "inplace", false)? {
        return Ok(ops::named_activation(x, named));
    }
    refuse_views(given, x).map(|()| ops::activation_in_place(x, named))
}

/// A write into a view changes the graph of its base, too.
fn refuse_views(given: &Arguments<'_>, x: &Tensor) -> Result<(), Fault> {
    let recorded = x.requires_grad() && x.device().grad_enabled();
    if recorded && x.is_view() { Err(given.fault("a view that wants a gradient")) } else { Ok(()) }
}
