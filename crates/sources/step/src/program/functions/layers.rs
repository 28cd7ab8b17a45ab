//! What layers compute: products, norms, softmax, dropout, losses, reductions.

use brimful_programs::Value as Plain;
use brimful_units::Dtype;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::Value;
use super::Outcome;
use crate::autocast::to_lower;
use crate::ops::{self, AttentionOptions};
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(_state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let outcome = match name {
        "F.linear" => linear(given),
        "F.embedding" => embedding(given),
        "cumsum" => cumsum(given),
        "matmul" | "__matmul__" => matmul(given),
        "bmm" => bmm(given),
        "baddbmm" => baddbmm(given),
        "F.layer_norm" => layer_norm(given),
        "F.rms_norm" => rms_norm(given),
        "F.softmax" | "softmax" | "special.softmax" => softmax(given),
        "F.dropout" => dropout(given),
        "F.gelu" | "gelu" => given.tensor(0, "input").map(ops::gelu),
        "F.cross_entropy" => cross_entropy(given),
        "F.mse_loss" => mse_loss(given),
        "F.scaled_dot_product_attention" => attention(given),
        "mean" => mean(given),
        "argmax" => argmax(given),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

/// `F.mse_loss(input, target)`, the mean.
fn mse_loss(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, target) = (given.tensor(0, "input")?, given.tensor(1, "target")?);
    let mean = match given.get(4, "reduction") {
        None => true,
        Some(Value::Plain(Plain::Text(reduction))) => reduction == "mean",
        Some(_) => false,
    };
    if !mean || given.get(5, "weight").is_some() || x.shape() != target.shape() || target.requires_grad() {
        return Err(given.fault("weights, another reduction than the mean, or a target of other sizes"));
    }
    Ok(ops::mse_loss(x, target))
}

/// `F.scaled_dot_product_attention(query, key, value)` without a mask, of as many heads of keys as of queries.
fn attention(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (q, k, v) = (given.tensor(0, "query")?, given.tensor(1, "key")?, given.tensor(2, "value")?);
    let dropout = given.optional_number(4, "dropout_p")?.unwrap_or(0.0);
    let plain = [q, k, v].iter().all(|x| x.rank() == 4) && q.dim(1) == k.dim(1);
    if given.get(3, "attn_mask").is_some() || given.flag(5, "is_causal", false)? || !plain {
        return Err(given.fault("a mask, or tensors of other dimensions"));
    }
    Ok(ops::scaled_dot_product_attention(q, k, v, AttentionOptions { dropout, cudnn_enabled: true }))
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
    let training = given.flag(2, "training", true)?;
    if !given.flag(3, "inplace", false)? {
        return Ok(ops::dropout(x, p, training));
    }
    if training && x.is_view() && x.requires_grad() && x.device().grad_enabled() {
        return Err(given.fault("a view that wants a gradient"));
    }
    Ok(ops::dropout_in_place(x, p, training))
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
    if given.get(usize::MAX, "dtype").is_some() {
        return Err(given.fault("a dtype"));
    }
    match given.get(1, "dim") {
        Some(Value::Plain(Plain::Integer(_))) => {}
        Some(Value::Items(_)) => {
            let dims = given.integers(1, "dim")?;
            let dims =
                dims.iter().map(|dim| given.resolved(*dim, x.rank())).collect::<Result<Vec<_>, _>>()?;
            if !dims.is_sorted() {
                return Err(given.fault("dimensions out of their order"));
            }
            return Ok(ops::mean_of(x, &dims, given.flag(2, "keepdim", false)?));
        }
        _ => return Err(given.fault("no dimension")),
    }
    let dim = given.dim(1, "dim", x.rank())?;
    let kept = given.flag(2, "keepdim", false)?;
    if kept && dim + 1 == x.rank() {
        return Ok(ops::mean_last(x.clone()));
    }
    Ok(ops::mean(x, dim, kept))
}
