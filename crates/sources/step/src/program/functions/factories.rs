//! New tensors.

use brimful_programs::Value as Plain;
use brimful_units::{Dtype, Shape};

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::Value;
use super::Outcome;
use crate::ops;
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let outcome = match name {
        "arange" => arange(state, given),
        "zeros" => filled(state, given, "zeros"),
        "ones" => filled(state, given, "ones"),
        "empty" => filled(state, given, "empty"),
        "rand" => filled(state, given, "rand"),
        "full" => full(state, given),
        "zeros_like" => like(given, "zeros_like"),
        "ones_like" => like(given, "ones_like"),
        "empty_like" => like(given, "empty_like"),
        "full_like" => like(given, "full_like"),
        "tensor" => scalar(state, given),
        "normal" => normal(state, given),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

/// `torch.arange(end)`, `torch.arange(start, end, step)`: whole numbers make integers.
fn arange(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let number = |at: usize, name: &str| given.optional_number(at, name);
    let (start, end) = match (number(0, "start")?, number(1, "end")?) {
        (Some(end), None) => (0.0, end),
        (start, Some(end)) => (start.unwrap_or(0.0), end),
        (None, None) => return Err(given.fault("no end")),
    };
    let step = number(2, "step")?.unwrap_or(1.0);
    let length = ((end - start) / step).ceil();
    // More elements than this are refused as too large by the allocation.
    if !(0.0..9e18).contains(&length) {
        return Err(given.fault(format!("{length} elements")));
    }
    let fraction = given.positional.iter().any(|it| matches!(it, Value::Plain(Plain::Number(_))));
    let natural = if fraction { state.default_dtype() } else { Dtype::I64 };
    let dtype = given.optional_dtype(usize::MAX, "dtype")?.unwrap_or(natural);
    Ok(ops::new_tensor(&state.device, "arange", [length as u64], dtype))
}

fn shape_of(given: &Arguments<'_>) -> Result<Shape, Fault> {
    let sizes = given.integers(0, "size")?;
    let size = |size: &i64| u64::try_from(*size).map_err(|_| given.fault(format!("the size {size}")));
    sizes.iter().map(size).collect()
}

fn filled(state: &State, given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    let dtype = given.optional_dtype(usize::MAX, "dtype")?.unwrap_or_else(|| state.default_dtype());
    Ok(ops::new_tensor(&state.device, op, shape_of(given)?, dtype))
}

/// `torch.full(size, value)`: the value decides the dtype.
fn full(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let natural = match given.get(1, "fill_value") {
        Some(Value::Plain(Plain::Integer(_))) => Dtype::I64,
        Some(Value::Plain(Plain::Flag(_))) => Dtype::Bool,
        _ => state.default_dtype(),
    };
    let dtype = given.optional_dtype(usize::MAX, "dtype")?.unwrap_or(natural);
    let sizes = match given.get(0, "size") {
        Some(Value::Items(items)) if items.0.is_empty() => Shape::from([]),
        _ => shape_of(given)?,
    };
    Ok(ops::new_tensor(&state.device, "full", sizes, dtype))
}

/// `torch.normal(mean, std, size=(…))` of numbers.
fn normal(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let sizes = given.integers(2, "size")?;
    let size = |size: &i64| u64::try_from(*size).map_err(|_| given.fault(format!("the size {size}")));
    let shape = sizes.iter().map(size).collect::<Result<Shape, _>>()?;
    let dtype = given.optional_dtype(usize::MAX, "dtype")?.unwrap_or_else(|| state.default_dtype());
    Ok(ops::new_tensor(&state.device, "normal", shape, dtype))
}

fn like(given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let dtype = given.optional_dtype(usize::MAX, "dtype")?.unwrap_or(x.dtype());
    Ok(ops::like(x, op, dtype))
}

/// `torch.tensor(data)`, a number or a list of numbers: it is made on the host and copied.
fn scalar(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let mut shape = Vec::new();
    let mut data = given.get(0, "data");
    while let Some(Value::Items(items)) = data {
        shape.push(items.0.len() as u64);
        data = items.0.first();
    }
    let natural = match data {
        Some(Value::Plain(Plain::Integer(_))) => Dtype::I64,
        Some(Value::Plain(Plain::Flag(_))) => Dtype::Bool,
        Some(Value::Plain(Plain::Number(_))) => state.default_dtype(),
        found => return Err(given.fault(format!("{} as its data", found.map_or("nothing", Value::kind)))),
    };
    let dtype = given.optional_dtype(1, "dtype")?.unwrap_or(natural);
    Ok(ops::new_tensor(&state.device, "_to_copy", shape.into_iter().collect::<Shape>(), dtype))
}
