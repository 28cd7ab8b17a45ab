//! The functions of torch, by the names that programs use: `F.` for `torch.nn.functional`, a leading dot for a method of a
//! tensor. Each reads its arguments as PyTorch's signature has them, and calls the op.

mod balancing;
mod elementwise;
mod experts;
mod factories;
mod images;
mod indexing;
mod layers;
mod transcendental;
mod views;

use brimful_programs::{ActivationName, Value as Plain, Values};

pub(super) use balancing::balancing;

use super::arguments::Arguments;
use super::fault::Fault;
use super::model::State;
use super::value::Value;
use crate::ops;
use crate::tensor::Tensor;

/// Calls a function.
pub(super) fn call(state: &State, given: &Arguments<'_>) -> Result<Value, Fault> {
    // A function that exists as a method, too, is the same function.
    let name = given.function.trim_start_matches("torch.").trim_start_matches('.');
    let families = [
        transcendental::call,
        experts::call,
        elementwise::call,
        views::call,
        layers::call,
        images::call,
        factories::call,
    ];
    for family in families {
        if let Some(outcome) = family(state, name, given) {
            return outcome;
        }
    }
    Err(Fault::Function(given.function.to_owned()))
}

/// The first argument, which wants no gradient.
fn without_gradient<'a>(given: &'a Arguments<'_>) -> Result<&'a Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if x.requires_grad() && x.device().grad_enabled() {
        return Err(given.fault("an input that wants a gradient"));
    }
    Ok(x)
}

/// What a family of functions makes of a call; `None` if the function is none of its own.
type Outcome = Option<Result<Value, Fault>>;

/// `ACT2FN[config.key]` (transformers/activations.py, 5.23).
pub(super) fn activation(values: &Values, named: &ActivationName, argument: &Value) -> Result<Value, Fault> {
    let name = match named {
        ActivationName::Own(name) => name,
        ActivationName::Key(key) => match values.get(key) {
            Some(Plain::Text(name)) => name,
            _ => return Err(Fault::Damaged(format!("the config's {key} is no text"))),
        },
    };
    let x = argument.tensor().ok_or_else(|| Fault::Damaged(format!("{name} of {}", argument.kind())))?;
    Ok(Value::Tensor(match name.as_str() {
        "silu" | "swish" => ops::silu(x),
        "gelu" | "gelu_pytorch_tanh" => ops::gelu(x),
        "relu" => ops::relu(x),
        "tanh" => ops::tanh(x),
        // `x * torch.sigmoid(1.702 * x)`.
        "quick_gelu" => {
            let scaled = ops::mul_scalar(x);
            let gate = ops::sigmoid(&scaled);
            drop(scaled);
            ops::mul(x, gate)
        }
        "gelu_new" => crate::nn::gelu_new(x),
        // `torch.square(relu(x))`; the square is a power of 2.
        "relu2" => {
            let positive = ops::relu(x);
            ops::pow_autocast(&positive)
        }
        other => return Err(Fault::Function(format!("the activation {other:?}"))),
    }))
}
