//! Views, copies in another order, and what joins and divides tensors.

use brimful_programs::Value as Plain;
use brimful_units::Shape;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::{Items, Value};
use super::{Outcome, indexing};
use crate::ops;
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(_state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let outcome = match name {
        "view" => sized(given, ops::view),
        "reshape" => sized(given, ops::reshape),
        "flatten" => flatten(given),
        "transpose" | "swapaxes" => transpose(given),
        "permute" => permute(given),
        "T" => reversed(given),
        "t" => given.tensor(0, "input").map(ops::t),
        "unsqueeze" => unsqueeze(given),
        "squeeze" => squeeze(given),
        "expand" | "broadcast_to" => expand(given),
        "contiguous" => given.tensor(0, "input").map(ops::contiguous),
        "clone" => given.tensor(0, "input").map(ops::clone_preserving),
        "detach" | "data" => given.tensor(0, "input").map(Tensor::detach),
        "cat" | "concat" | "concatenate" => cat(given),
        "__getitem__" => indexing::get_item(given),
        "stack" => stack(given),
        "repeat_interleave" => repeat_interleave(given),
        "repeat" => repeat(given),
        "F.pad" => pad(given),
        "split" | "split_with_sizes" | "functional.split" => return Some(split(given)),
        "functional.einsum" | "einsum" => einsum(given),
        "functional.meshgrid" | "meshgrid" => return Some(meshgrid(given)),
        "chunk" => return Some(chunk(given)),
        "unbind" => return Some(unbind(given)),
        "index_select" => index_select(given),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

fn sized(given: &Arguments<'_>, op: fn(&Tensor, Shape) -> Tensor) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if given.optional_dtype(1, "dtype").ok().flatten().is_some() {
        return Err(given.fault("a dtype"));
    }
    let shape = given.sizes(1, "shape", x.numel())?;
    Ok(op(x, shape))
}

fn flatten(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let start = given.resolved(given.optional_integer(1, "start_dim")?.unwrap_or(0), x.rank())?;
    let end = given.resolved(given.optional_integer(2, "end_dim")?.unwrap_or(-1), x.rank())?;
    if start >= end {
        return Ok(x.clone());
    }
    let dims = x.shape().dims();
    let joined = dims[start..=end].iter().fold(1u64, |n, size| n.saturating_mul(*size));
    let shape: Shape =
        dims[..start].iter().copied().chain([joined]).chain(dims[end + 1..].iter().copied()).collect();
    Ok(ops::reshape(x, shape))
}

fn transpose(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    Ok(ops::transpose(x, given.dim(1, "dim0", x.rank())?, given.dim(2, "dim1", x.rank())?))
}

fn permute(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let dims = given.integers(1, "dims")?;
    let order = dims.iter().map(|dim| given.resolved(*dim, x.rank())).collect::<Result<Vec<_>, _>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.rank()) {
        return Err(given.fault("dims that are no permutation"));
    }
    Ok(ops::permute(x, &order))
}

/// `x.T` of a matrix (`numpy_T` in aten/src/ATen/native/TensorShape.cpp).
fn reversed(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    if x.rank() != 2 {
        return Err(given.fault(format!("a tensor of {} dimensions", x.rank())));
    }
    Ok(ops::permute(x, &[1, 0]))
}

fn unsqueeze(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let dim = given.dim(1, "dim", x.rank() + 1)?;
    Ok(ops::unsqueeze(x, dim))
}

fn squeeze(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if given.get(1, "dim").is_none() {
        return Ok(ops::squeeze_all(x));
    }
    let dim = given.dim(1, "dim", x.rank())?;
    Ok(if x.dim(dim) == 1 { ops::squeeze(x, dim) } else { x.clone() })
}

/// `x.expand(sizes)`: -1 keeps the size.
fn expand(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let sizes = given.integers(1, "size")?;
    let missing =
        sizes.len().checked_sub(x.rank()).ok_or_else(|| given.fault("fewer sizes than dimensions"))?;
    let own = |at: usize| at.checked_sub(missing).map(|at| x.dim(at));
    let shape = sizes.iter().enumerate().map(|(at, size)| match (u64::try_from(*size), own(at)) {
        (Ok(size), None) => Ok(size),
        (Ok(size), Some(own)) if own == size || own == 1 => Ok(size),
        (Err(_), Some(own)) => Ok(own),
        _ => Err(given.fault(format!("the size {size} in place of {:?}", own(at)))),
    });
    Ok(ops::expand(x, shape.collect::<Result<Shape, Fault>>()?))
}

fn cat(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let parts = given.tensors(0, "tensors")?;
    let first = *parts.first().ok_or_else(|| given.fault("no tensors"))?;
    let dim = given.resolved(given.optional_integer(1, "dim")?.unwrap_or(0), first.rank())?;
    let rest = |x: &Tensor| {
        let mut shape = x.shape().clone();
        if dim < shape.rank() {
            shape[dim] = 0;
        }
        shape
    };
    if parts.iter().any(|part| rest(part) != rest(first)) {
        return Err(given.fault("tensors of other sizes"));
    }
    let dtype = parts.iter().skip(1).fold(first.dtype(), |dtype, part| ops::wider(dtype, part.dtype()));
    Ok(ops::cat_as(&parts, dim, dtype))
}

/// `torch.stack(tensors, dim)` of tensors of one shape and dtype.
fn stack(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let parts = given.tensors(0, "tensors")?;
    let first = *parts.first().ok_or_else(|| given.fault("no tensors"))?;
    let dim = given.resolved(given.optional_integer(1, "dim")?.unwrap_or(0), first.rank() + 1)?;
    if parts.iter().any(|part| part.shape() != first.shape() || part.dtype() != first.dtype()) {
        return Err(given.fault("tensors of other sizes or dtypes"));
    }
    Ok(ops::stack(&parts, dim))
}

/// `torch.repeat_interleave(x, count, dim)` of a number.
fn repeat_interleave(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let count = u64::try_from(given.integer(1, "repeats")?).map_err(|_| given.fault("a negative number"))?;
    let dim = given.dim(2, "dim", x.rank())?;
    Ok(ops::repeat_interleave(x, count, dim))
}

/// `x.repeat(counts)`.
fn repeat(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    let counts = given.integers(1, "repeats")?;
    let counts = counts.iter().map(|count| u64::try_from(*count)).collect::<Result<Vec<_>, _>>();
    let counts = counts.map_err(|_| given.fault("a negative number"))?;
    if counts.len() < x.rank() || counts.contains(&0) {
        return Err(given.fault("fewer numbers than dimensions, or a 0"));
    }
    Ok(ops::repeat(x, &counts))
}

/// `F.pad(x, (before, after))` of the last dimension with a constant.
fn pad(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let widths = given.integers(1, "pad")?;
    let ([before, after], "constant") = (widths.as_slice(), given.text(2, "mode", "constant")?) else {
        return Err(given.fault("more than the last dimension, or another mode"));
    };
    if x.rank() == 0 {
        return Err(given.fault("a scalar"));
    }
    let width = before.saturating_add(*after).saturating_add_unsigned(x.last(0));
    let width = u64::try_from(width).map_err(|_| given.fault("a negative width"))?;
    Ok(ops::pad_last(x, width))
}

/// `x.split(size, dim)`, or with a list of sizes.
fn split(given: &Arguments<'_>) -> Result<Value, Fault> {
    let x = given.tensor(0, "tensor")?;
    let dim = given.resolved(given.optional_integer(2, "dim")?.unwrap_or(0), x.rank())?;
    let whole = x.dim(dim);
    let lengths = match given.optional_integer(1, "split_size_or_sections") {
        Ok(Some(size)) => equal_parts(whole, u64::try_from(size).unwrap_or(0)),
        _ => {
            let sizes = given.integers(1, "split_size_or_sections")?;
            sizes.iter().map(|size| u64::try_from(*size).unwrap_or(0)).collect()
        }
    };
    parts(given, x, dim, &lengths)
}

/// `x.chunk(count, dim)`.
fn chunk(given: &Arguments<'_>) -> Result<Value, Fault> {
    let x = given.tensor(0, "input")?;
    let count = u64::try_from(given.integer(1, "chunks")?).ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| given.fault("less than one chunk"))?;
    let dim = given.resolved(given.optional_integer(2, "dim")?.unwrap_or(0), x.rank())?;
    parts(given, x, dim, &equal_parts(x.dim(dim), x.dim(dim).div_ceil(count)))
}

/// `x.unbind(dim)`.
fn unbind(given: &Arguments<'_>) -> Result<Value, Fault> {
    let x = given.tensor(0, "input")?;
    let dim = given.resolved(given.optional_integer(1, "dim")?.unwrap_or(0), x.rank())?;
    Ok(Value::Items(Items(ops::unbind(x, dim).into_iter().map(Value::Tensor).collect())))
}

/// `x.index_select(0, index)` of a matrix without gradient.
fn index_select(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, index) = (given.tensor(0, "input")?, given.tensor(2, "index")?);
    if x.rank() != 2 || given.integer(1, "dim")? != 0 || (x.requires_grad() && x.device().grad_enabled()) {
        return Err(given.fault("another dimension than a matrix's first, or an input that wants a gradient"));
    }
    Ok(ops::new_tensor(x.device(), "index_select", [index.numel(), x.dim(1)], x.dtype()))
}

fn equal_parts(whole: u64, size: u64) -> Vec<u64> {
    let size = size.clamp(1, whole.max(1));
    (0..whole.div_ceil(size)).map(|at| size.min(whole - at * size)).collect()
}

fn parts(given: &Arguments<'_>, x: &Tensor, dim: usize, lengths: &[u64]) -> Result<Value, Fault> {
    let sum = lengths.iter().fold(0u64, |n, length| n.saturating_add(*length));
    if sum != x.dim(dim) {
        return Err(given.fault(format!("parts that make {sum} of {}", x.dim(dim))));
    }
    Ok(Value::Items(Items(ops::split_into(x, lengths, dim).into_iter().map(Value::Tensor).collect())))
}

/// `torch.einsum("abc->acb", x)`: a permutation. Other equations are products.
fn einsum(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let Some(Value::Plain(Plain::Text(equation))) = given.get(0, "equation") else {
        return Err(given.fault("no equation"));
    };
    let x = given.tensor(1, "operands")?;
    let order = equation.split_once("->").and_then(|(from, to)| {
        let order: Option<Vec<usize>> = to.chars().map(|letter| from.find(letter)).collect();
        order.filter(|order| from.len() == x.rank() && order.len() == x.rank())
    });
    let mut sorted = order.clone().unwrap_or_default();
    sorted.sort_unstable();
    match order {
        Some(order) if sorted.iter().copied().eq(0..x.rank()) => Ok(ops::permute(x, &order)),
        _ => Err(given.fault(format!("the equation {equation:?}"))),
    }
}

/// `torch.meshgrid(x, y, indexing=…)` of two vectors without gradient: views of them.
fn meshgrid(given: &Arguments<'_>) -> Result<Value, Fault> {
    let vectors = [given.tensor(0, "tensors")?, given.tensor(1, "tensors")?];
    if vectors.iter().any(|x| x.rank() != 1 || x.requires_grad()) {
        return Err(given.fault("other tensors than two vectors without gradient"));
    }
    let by_columns =
        matches!(given.get(2, "indexing"), Some(Value::Plain(Plain::Text(order))) if order == "xy");
    let [x, y] = vectors;
    let (rows, columns) = if by_columns { (y, x) } else { (x, y) };
    let shape = Shape::from([rows.dim(0), columns.dim(0)]);
    let along = |vector: &Tensor, dim: usize| {
        let mut strides = Shape::from([0, 0]);
        strides[dim] = vector.strides()[0];
        Value::Tensor(vector.view_as(shape.clone(), strides))
    };
    // In the order of the arguments.
    let (first, second) = if by_columns { (along(x, 1), along(y, 0)) } else { (along(x, 0), along(y, 1)) };
    Ok(Value::Items(Items(vec![first, second])))
}
