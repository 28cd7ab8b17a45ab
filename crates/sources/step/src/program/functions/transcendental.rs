//! Exponentials and logarithms, and the larger or smaller of two tensors or of all elements.

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::Value;
use super::Outcome;
use crate::ops;
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(_state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let of_two = given.get(1, "other").is_some_and(|other| other.tensor().is_some());
    let outcome = match name {
        "exp" => given.tensor(0, "input").map(ops::exp),
        "expm1" => given.tensor(0, "input").map(ops::expm1),
        "log" => given.tensor(0, "input").map(ops::log),
        "abs" => given.tensor(0, "input").map(ops::abs),
        "logsumexp" => logsumexp(given),
        "F.softplus" => softplus(given),
        "max" | "maximum" if of_two => both(given, ops::maximum),
        "min" | "minimum" if of_two => both(given, ops::minimum),
        "max" if given.positional.len() == 1 && given.get(1, "dim").is_none() => largest_of_all(given),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

/// `torch.logsumexp(x, dim=-1)`.
fn logsumexp(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let dim = given.integer(1, "dim")?;
    let last = i64::try_from(x.rank()).map_or(i64::MAX, |rank| rank - 1);
    if x.rank() == 0 || (dim != -1 && dim != last) || given.get(2, "keepdim").is_some() {
        return Err(given.fault("another dimension than the last"));
    }
    Ok(ops::logsumexp_last(x))
}

/// `torch.max(x)` of one tensor: one value.
fn largest_of_all(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = super::without_gradient(given)?;
    Ok(ops::reduced_to_scalar(x, "max", x.dtype()))
}

/// `F.softplus(x)`: other numbers for `beta` and `threshold` change no size.
fn softplus(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    given.tensor(0, "input").map(ops::softplus)
}

fn both(given: &Arguments<'_>, op: fn(&Tensor, &Tensor) -> Tensor) -> Result<Tensor, Fault> {
    Ok(op(given.tensor(0, "input")?, given.tensor(1, "other")?))
}
