//! What layers compute: products, norms, softmax, dropout, losses, reductions.

use brimful_programs::Value as Plain;
use brimful_units::Dtype;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::Value;
use super::Outcome;
use crate::autocast::to_lower;
use crate::ops;
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(_state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let outcome = match name {
        "F.linear" => linear(given),
        "F.embedding" => embedding(given),
        "F.conv1d" => convolution(given, 1),
        "F.conv2d" => convolution(given, 2),
        "cumsum" => cumsum(given),
        "matmul" | "__matmul__" => matmul(given),
        "bmm" => bmm(given),
        "baddbmm" => baddbmm(given),
        "F.layer_norm" => layer_norm(given),
        "F.rms_norm" => rms_norm(given),
        "F.softmax" | "softmax" | "special.softmax" => softmax(given),
        "F.dropout" => dropout(given),
        "F.silu" => given.tensor(0, "input").map(ops::silu),
        "F.gelu" | "gelu" => given.tensor(0, "input").map(ops::gelu),
        "F.relu" | "relu" => given.tensor(0, "input").map(ops::relu),
        "F.cross_entropy" => cross_entropy(given),
        "mean" => mean(given),
        "argmax" => argmax(given),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

fn linear(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, weight) = (given.tensor(0, "input")?, given.tensor(1, "weight")?);
    Ok(ops::linear(x, weight, given.optional_tensor(2, "bias")?))
}

/// Padding's rows get no gradient, which the same kernel sees to; `max_norm` would write into the weight.
fn embedding(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (indices, weight) = (given.tensor(0, "input")?, given.tensor(1, "weight")?);
    if given.get(3, "max_norm").is_some()
        || given.flag(5, "scale_grad_by_freq", false)?
        || given.flag(6, "sparse", false)?
        || weight.rank() != 2
    {
        return Err(given.fault("max_norm, scale_grad_by_freq, sparse, or another table than [rows, width]"));
    }
    Ok(ops::embedding(weight, indices))
}

/// `F.conv1d(input, weight, bias, stride, padding, dilation, groups)` or `F.conv2d` of row-major tensors in one group. In another
/// memory order the output would have another, too (`cudnn_conv_suggest_memory_format` in aten/src/ATen/native/ConvUtils.h).
fn convolution(given: &Arguments<'_>, dimensions: usize) -> Result<Tensor, Fault> {
    let (x, weight) = (given.tensor(0, "input")?, given.tensor(1, "weight")?);
    let groups = given.optional_integer(6, "groups")?.unwrap_or(1);
    let ranks = [x.rank(), weight.rank()];
    if ranks != [dimensions + 2; 2] || groups != 1 || x.dim(1) != weight.dim(1) {
        return Err(given.fault(format!("{groups} groups of {} and {}", x.shape(), weight.shape())));
    }
    if !x.is_contiguous() || !weight.is_contiguous() {
        return Err(given.fault("another memory order than row-major"));
    }
    let sides: Option<Vec<u64>> = (0..dimensions).map(|at| convolved(given, at)).collect::<Result<_, _>>()?;
    let sides =
        sides.ok_or_else(|| given.fault(format!("a kernel of {} on {}", weight.shape(), x.shape())))?;
    Ok(ops::convolution(x, weight, given.optional_tensor(2, "bias")?, &sides))
}

/// The size of a convolution's output in its dimension `at` behind those of batch and channels (`conv_output_size` in
/// aten/src/ATen/native/ConvUtils.h); `None` where the kernel is wider than the input.
fn convolved(given: &Arguments<'_>, at: usize) -> Result<Option<u64>, Fault> {
    let (x, weight) = (given.tensor(0, "input")?, given.tensor(1, "weight")?);
    let setting = |place: usize, name: &str, otherwise: i64| match given.get(place, name) {
        None => Ok(otherwise),
        Some(_) => match given.integers(place, name)?[..] {
            [one] => Ok(one),
            ref several if several.len() + 2 == x.rank() => Ok(several[at]),
            _ => Err(given.fault(format!("{name} of another number of dimensions"))),
        },
    };
    let (stride, padding, dilation) =
        (setting(3, "stride", 1)?, setting(4, "padding", 0)?, setting(5, "dilation", 1)?);
    let size = |tensor: &Tensor| i64::try_from(tensor.dim(at + 2)).ok();
    let steps = || {
        let reach = dilation.checked_mul(size(weight)?.checked_sub(1)?)?.checked_add(1)?;
        let padded = size(x)?.checked_add(padding.checked_mul(2)?)?;
        let steps = padded.checked_sub(reach).filter(|room| *room >= 0)?.checked_div(stride)?;
        u64::try_from(steps.checked_add(1)?).ok()
    };
    Ok(steps())
}

/// `x.cumsum(-1)` without gradient.
fn cumsum(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let last = x.rank() > 0 && given.dim(1, "dim", x.rank())? + 1 == x.rank();
    let recorded = x.requires_grad() && x.device().grad_enabled();
    if !last || recorded || given.get(2, "dtype").is_some() || !x.is_contiguous() {
        return Err(
            given.fault("another dimension than the last, a dtype, or an input that wants a gradient")
        );
    }
    Ok(ops::cumsum_last(x))
}

fn matmul(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (a, b) = (given.tensor(0, "input")?, given.tensor(1, "other")?);
    if a.rank() >= 3 && b.rank() == 2 && a.is_contiguous() && a.last(0) == b.dim(0) {
        return Ok(ops::matmul_folded(a, b));
    }
    if a.rank() == 2 && b.rank() == 2 && a.dim(1) == b.dim(0) {
        // Autocast converts the last argument first.
        let b = to_lower(b);
        return Ok(ops::mm(&to_lower(a), &b));
    }
    if a.rank() < 3 || b.rank() < 3 {
        return Err(given.fault(format!("tensors of {} and {} dimensions", a.rank(), b.rank())));
    }
    if a.last(0) != b.last(1) {
        return Err(given.fault(format!("tensors of {} and {}", a.shape(), b.shape())));
    }
    Ok(ops::matmul(a, b))
}

fn baddbmm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let input = given.tensor(0, "input")?;
    let (a, b) = (given.tensor(1, "batch1")?, given.tensor(2, "batch2")?);
    if input.requires_grad() && input.device().grad_enabled() {
        return Err(given.fault("an input that wants a gradient"));
    }
    if a.rank() != 3 || b.rank() != 3 || a.dim(0) != b.dim(0) || a.last(0) != b.last(1) {
        return Err(given.fault(format!("tensors of {} and {}", a.shape(), b.shape())));
    }
    let alpha = given.optional_number(usize::MAX, "alpha")?.unwrap_or(1.0);
    Ok(ops::baddbmm(input, a, b, alpha != 1.0))
}

fn bmm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    // Autocast converts the last argument first.
    let b = to_lower(given.tensor(1, "mat2")?);
    let a = to_lower(given.tensor(0, "input")?);
    Ok(ops::bmm(&a, &b))
}

fn layer_norm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let [width] = given.integers(1, "normalized_shape")?[..] else {
        return Err(given.fault("more dimensions than the last"));
    };
    if x.rank() == 0 || u64::try_from(width) != Ok(x.last(0)) {
        return Err(given.fault("a width that is not the last dimension's"));
    }
    Ok(ops::layer_norm(x, given.optional_tensor(2, "weight")?, given.optional_tensor(3, "bias")?))
}

fn rms_norm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let whole = match given.integers(1, "normalized_shape")?[..] {
        [width] => x.rank() > 0 && u64::try_from(width) == Ok(x.last(0)),
        _ => false,
    };
    if !whole || given.get(2, "weight").is_some() {
        return Err(given.fault("other dimensions than the last, or a weight"));
    }
    Ok(ops::rms_norm(x))
}

/// The kernels differ by whether the dimension is the last one.
fn softmax(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if given.dim(1, "dim", x.rank())? + 1 != x.rank() {
        return Err(given.fault("another dimension than the last"));
    }
    match given.optional_dtype(3, "dtype")? {
        Some(dtype) => Ok(ops::softmax_in(x, dtype)),
        None => Ok(ops::softmax_autocast(x)),
    }
}

fn dropout(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let p = given.optional_number(1, "p")?.unwrap_or(0.5);
    if given.flag(3, "inplace", false)? {
        return Err(given.fault("inplace"));
    }
    Ok(ops::dropout(x, p, given.flag(2, "training", true)?))
}

fn cross_entropy(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, target) = (given.tensor(0, "input")?, given.tensor(1, "target")?);
    let smoothing = given.optional_number(7, "label_smoothing")?.unwrap_or(0.0);
    let mean = given.text(6, "reduction", "mean")? == "mean";
    if x.rank() != 2 || given.get(2, "weight").is_some() || smoothing != 0.0 || !mean {
        return Err(
            given.fault("other logits than [N, classes], weights, smoothing, or a reduction other than mean")
        );
    }
    Ok(ops::cross_entropy(x, target))
}

/// `x.argmax(-1)` in as many rows that none of them is divided among thread blocks.
fn argmax(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let dim = given.dim(1, "dim", x.rank())?;
    if dim + 1 != x.rank() || given.flag(2, "keepdim", false)? || ops::divides_outputs(x, dim) {
        return Err(given.fault("another dimension than the last, keepdim, or very long rows"));
    }
    Ok(ops::new_tensor(x.device(), "argmax", x.shape().with_last(1, &[]), Dtype::I64))
}

/// `x.mean(dim)` of one dimension.
fn mean(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let Some(Value::Plain(Plain::Integer(_))) = given.get(1, "dim") else {
        return Err(given.fault("other dimensions than one"));
    };
    if given.get(usize::MAX, "dtype").is_some() {
        return Err(given.fault("a dtype"));
    }
    let dim = given.dim(1, "dim", x.rank())?;
    let kept = given.flag(2, "keepdim", false)?;
    if kept && dim + 1 == x.rank() {
        return Ok(ops::mean_last(x.clone()));
    }
    Ok(ops::mean(x, dim, kept))
}
