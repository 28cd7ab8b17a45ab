//! Exponentials and logarithms, and the larger or smaller of two tensors.

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
        "F.softplus" => softplus(given),
        "max" | "maximum" if of_two => both(given, ops::maximum),
        "min" | "minimum" if of_two => both(given, ops::minimum),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

/// `F.softplus(x)`: other numbers for `beta` and `threshold` change no size.
fn softplus(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    given.tensor(0, "input").map(ops::softplus)
}

fn both(given: &Arguments<'_>, op: fn(&Tensor, &Tensor) -> Tensor) -> Result<Tensor, Fault> {
    Ok(op(given.tensor(0, "input")?, given.tensor(1, "other")?))
}
