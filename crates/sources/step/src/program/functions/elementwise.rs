//! Arithmetic, element by element, and conversions.

use brimful_units::Dtype;

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
        "add" | "__add__" | "__radd__" => sum(state, given, "add"),
        "sub" | "__sub__" => sum(state, given, "sub"),
        "mul" | "__mul__" | "__rmul__" => product(state, given),
        "div" | "__truediv__" => quotient(state, given),
        "neg" | "__neg__" => given.tensor(0, "input").map(ops::neg),
        "pow" | "__pow__" => power(given),
        "__rpow__" => given.tensor(0, "input").and_then(|x| power_of_number(given, x)),
        "__rtruediv__" => number_by(given),
        "rsqrt" => given.tensor(0, "input").map(ops::rsqrt_autocast),
        "tanh" | "F.tanh" | "nn.functional.tanh" => given.tensor(0, "input").map(ops::tanh),
        "fill_" | "zero_" | "bernoulli_" | "normal_" | "uniform_" | "copy_" | "mul_" | "div_" | "add_"
        | "sub_" => in_place(given),
        "__rsub__" | "rsub" => number_minus(state, given),
        "gt" | "__gt__" => comparison(given, "gt"),
        "ge" | "__ge__" => comparison(given, "ge"),
        "lt" | "__lt__" => comparison(given, "lt"),
        "le" | "__le__" => comparison(given, "le"),
        "eq" | "__eq__" => comparison(given, "eq"),
        "ne" | "__ne__" => comparison(given, "ne"),
        "__invert__" | "bitwise_not" | "logical_not" => without_gradient(given, "bitwise_not"),
        "bitwise_xor" => bitwise(given, "bitwise_xor"),
        "clamp" => without_gradient(given, "clamp"),
        "where" => choice(state, given),
        "floor" => without_gradient(given, "floor"),
        "tril" => without_gradient(given, "tril"),
        "__contains__" => contains(given),
        "abs" => without_gradient(given, "abs"),
        "isinf" => not_finite(given),
        "isfinite" => finite(given),
        "all" if given.positional.len() == 1 => all(given),
        "any" if given.positional.len() == 1 => any(given),
        "requires_grad.__set__" => wants_gradient(given),
        "outer" => outer(given),
        "cos" => without_gradient(given, "cos"),
        "sin" => without_gradient(given, "sin"),
        "int" => given.tensor(0, "input").map(|x| ops::to(x, Dtype::I32)),
        "long" => given.tensor(0, "input").map(|x| ops::to(x, Dtype::I64)),
        "float" => given.tensor(0, "input").map(|x| ops::to(x, Dtype::F32)),
        "to" | "type" => conversion(given),
        "type_as" => type_as(given),
        _ => return None,
    };
    Some(refuse_sizes(name, given).and(outcome).map(Value::Tensor))
}

/// Two operands whose sizes do not fit each other: a config that PyTorch refuses when it runs.
fn refuse_sizes(name: &str, given: &Arguments<'_>) -> Result<(), Fault> {
    let mut operands = given.positional.iter().filter_map(Value::tensor);
    let (Some(a), Some(b)) = (operands.next(), operands.next()) else { return Ok(()) };
    let fits = |back: usize| {
        let (a, b) = (a.last(back), b.last(back));
        a == b || a == 1 || b == 1
    };
    // `type_as` and `to` read the other tensor's dtype only.
    if matches!(name, "type_as" | "to" | "outer") || (0..a.rank().min(b.rank())).all(fits) {
        return Ok(());
    }
    Err(given.fault(format!("tensors of {} and {}", a.shape(), b.shape())))
}

/// The dtype of a tensor with a number: a fraction makes an integer tensor one of `torch.get_default_dtype()`.
fn with_number(state: &State, x: &Tensor, given: &Arguments<'_>) -> Result<Dtype, Fault> {
    let fraction = matches!(given.get(1, "other"), Some(Value::Plain(brimful_programs::Value::Number(_))));
    let integers = !x.dtype().is_floating();
    Ok(if integers && fraction { state.default_dtype() } else { x.dtype() })
}

fn sum(state: &State, given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    // `if attention_mask is not None: scores = scores + attention_mask`: recordings have a mask. Without one the name goes on
    // with the same object.
    if let [Value::Tensor(x), none] = &given.positional[..]
        && none.is_none()
    {
        return Ok(x.clone());
    }
    let x = given.tensor(0, "input")?;
    match given.get(1, "other").and_then(Value::tensor) {
        Some(other) if op == "add" => Ok(ops::add(x, other)),
        Some(other) => Ok(ops::sub(x, other)),
        None if with_number(state, x, given)? != x.dtype() => {
            Ok(ops::plain_unary(op, x, with_number(state, x, given)?))
        }
        None if op == "add" => Ok(ops::add_scalar(x)),
        None => Ok(ops::sub_scalar(x)),
    }
}

fn product(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    match given.get(1, "other").and_then(Value::tensor) {
        Some(other) => Ok(ops::mul(x, other)),
        None if with_number(state, x, given)? != x.dtype() => {
            Ok(ops::plain_unary("mul", x, with_number(state, x, given)?))
        }
        None => Ok(ops::mul_scalar(x)),
    }
}

/// `x / y`: integers make fractions of `torch.get_default_dtype()`.
fn quotient(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if given.get(usize::MAX, "rounding_mode").is_some() {
        return Err(given.fault("a rounding mode"));
    }
    match given.get(1, "other").and_then(Value::tensor) {
        Some(other) if !other.requires_grad() && !x.requires_grad() => Ok(ops::div(x, other)),
        Some(other) => Ok(ops::divide(x, other)),
        None if !x.dtype().is_floating() => Ok(ops::plain_unary("div", x, state.default_dtype())),
        None => Ok(ops::div_scalar(x)),
    }
}

/// `x ** number`; autocast runs it in fp32.
fn power(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    if given.get(0, "input").is_some_and(|base| base.tensor().is_none()) {
        return power_of_number(given, given.tensor(1, "exponent")?);
    }
    let x = given.tensor(0, "input")?;
    if let Some(exponent) = given.get(1, "exponent").and_then(Value::tensor) {
        return power_of_tensors(given, x, exponent);
    }
    match given.optional_number(1, "exponent")? {
        Some(exponent) if exponent != 0.0 && exponent != 1.0 => Ok(ops::pow_autocast(x)),
        _ => Err(given.fault("an exponent that is 0 or 1")),
    }
}

/// `x ** exponent` of two tensors without gradient; autocast runs it in fp32, which changes nothing here.
fn power_of_tensors(given: &Arguments<'_>, x: &Tensor, exponent: &Tensor) -> Result<Tensor, Fault> {
    let halves = |x: &Tensor| matches!(x.dtype(), Dtype::F16 | Dtype::Bf16);
    if x.requires_grad() || exponent.requires_grad() || halves(x) || halves(exponent) {
        return Err(given.fault("half precision, or tensors that want a gradient"));
    }
    Ok(ops::plain_binary("pow", x, exponent))
}

/// `number ** x`: the number becomes a tensor for the length of the call (`pow` in aten/src/ATen/native/Pow.cpp).
fn power_of_number(given: &Arguments<'_>, x: &Tensor) -> Result<Tensor, Fault> {
    if x.requires_grad() {
        return Err(given.fault("an exponent that wants a gradient"));
    }
    let powers = ops::plain_unary("pow", x, x.dtype());
    drop(ops::new_tensor(x.device(), "scalar_tensor", [], Dtype::F64));
    Ok(powers)
}

/// `number / x`: the reciprocal, times the number (`__rtruediv__` in torch/_tensor.py).
fn number_by(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if x.requires_grad() {
        return Err(given.fault("a divisor that wants a gradient"));
    }
    let reciprocal = ops::plain_unary("reciprocal", x, x.dtype());
    Ok(ops::mul_scalar(reciprocal))
}

/// A write into the tensor itself where nothing is recorded.
fn in_place(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    let other = given.get(1, "other").and_then(Value::tensor);
    let recorded = x.requires_grad() || other.is_some_and(Tensor::requires_grad);
    if recorded && x.device().grad_enabled() {
        return Err(given.fault("a tensor that wants a gradient"));
    }
    Ok(x.clone())
}

/// `number - x`: `rsub`, which is `other - self` in one kernel.
fn number_minus(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if x.requires_grad() && x.device().grad_enabled() {
        return Err(given.fault("an input that wants a gradient"));
    }
    Ok(ops::plain_unary("rsub", x, with_number(state, x, given)?))
}

fn comparison(given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    match given.get(1, "other").and_then(Value::tensor) {
        Some(other) => Ok(ops::plain_ternary(op, &[x, other], Dtype::Bool)),
        None => Ok(ops::plain_unary(op, x, Dtype::Bool)),
    }
}

/// `torch.where(condition, a, b)`; with a number only without gradient.
fn choice(state: &State, given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let condition = given.tensor(0, "condition")?;
    let sides = [given.get(1, "input"), given.get(2, "other")];
    let tensors: Vec<&Tensor> = sides.iter().flatten().filter_map(|side| side.tensor()).collect();
    let Some(first) = tensors.first() else { return of_numbers(state, given, condition, sides) };
    if let [a, b] = tensors[..] {
        return Ok(ops::choose(condition, a, b));
    }
    if tensors.iter().any(|side| side.requires_grad()) && condition.device().grad_enabled() {
        return Err(given.fault("an input that wants a gradient"));
    }
    if !first.dtype().is_floating() && sides.iter().any(is_fraction) {
        return Err(given.fault("integers and a fraction"));
    }
    // The number becomes a tensor for the length of the call (`where` in aten/src/ATen/native/TensorCompare.cpp).
    let number = ops::new_tensor(condition.device(), "scalar_tensor", [], first.dtype());
    let chosen = ops::plain_ternary("where", &[condition, first], first.dtype());
    drop(number);
    Ok(chosen)
}

fn is_fraction(side: &Option<&Value>) -> bool {
    matches!(side, Some(Value::Plain(brimful_programs::Value::Number(_))))
}

/// `torch.where(condition, a, b)` of two fractions: both become tensors for the length of the call.
fn of_numbers(
    state: &State,
    given: &Arguments<'_>,
    condition: &Tensor,
    sides: [Option<&Value>; 2],
) -> Result<Tensor, Fault> {
    if !sides.iter().all(is_fraction) {
        return Err(given.fault("two numbers that are no fractions"));
    }
    let dtype = state.default_dtype();
    let [a, b] = [(), ()].map(|()| ops::new_tensor(condition.device(), "scalar_tensor", [], dtype));
    let chosen = ops::plain_ternary("where", &[condition], dtype);
    drop(b);
    drop(a);
    Ok(chosen)
}

/// `torch.isinf(x)`: `x.abs() == inf` (aten/src/ATen/native/TensorCompare.cpp).
fn not_finite(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let size = ops::plain_unary("abs", x, x.dtype());
    let found = ops::plain_unary("eq", &size, Dtype::Bool);
    drop(size);
    Ok(found)
}

/// `x.any()`: one value.
/// `torch.isfinite(x)`: `(x == x) * (x.abs() != inf)`, of which the second factor is computed first
/// (aten/src/ATen/native/TensorCompare.cpp).
fn finite(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if !x.dtype().is_floating() {
        return Err(given.fault("integers"));
    }
    let magnitudes = ops::plain_unary("abs", x, x.dtype());
    let within = ops::plain_unary("ne", &magnitudes, Dtype::Bool);
    let numbers = ops::plain_unary("eq", x, Dtype::Bool);
    let both = ops::plain_unary("mul", &numbers, Dtype::Bool);
    drop((numbers, within, magnitudes));
    Ok(both)
}

/// `x.all()`.
fn all(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    given.tensor(0, "input").map(|x| ops::reduced_to_scalar(x, "all", Dtype::Bool))
}

fn any(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    given.tensor(0, "input").map(|x| ops::reduced_to_scalar(x, "any", Dtype::Bool))
}

/// `x.requires_grad = True` of a leaf.
fn wants_gradient(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    if !given.flag(1, "value", false)? {
        return Err(given.fault("another value than True"));
    }
    x.require_grad();
    Ok(x.clone())
}

/// `number in x`: `(number == x).any().item()` (`__contains__` in torch/_tensor.py).
fn contains(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    let equal = ops::plain_unary("eq", x, Dtype::Bool);
    Ok(ops::reduced_to_scalar(&equal, "any", Dtype::Bool))
}

fn without_gradient(given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    let x = super::without_gradient(given)?;
    Ok(ops::plain_unary(op, x, x.dtype()))
}

/// `torch.outer(a, b)` of vectors without gradient: `a.reshape(-1, 1) * b`.
fn outer(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (a, b) = (super::without_gradient(given)?, given.tensor(1, "vec2")?);
    if a.rank() != 1 || b.rank() != 1 || b.requires_grad() {
        return Err(given.fault("other tensors than two vectors without gradient"));
    }
    let column = ops::view(a, [a.dim(0), 1]);
    Ok(ops::plain_binary("mul", &column, b))
}

/// An operation on the bits of two tensors, which have no gradients.
fn bitwise(given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    Ok(ops::plain_binary(op, given.tensor(0, "input")?, given.tensor(1, "other")?))
}

/// `x.to(dtype)`; without a dtype it is a move to the device where it is.
fn conversion(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let other = given.positional.get(1).and_then(Value::tensor);
    let dtype = match other {
        Some(other) => Some(other.dtype()),
        None => given.optional_dtype(1, "dtype")?,
    };
    Ok(dtype.map_or_else(|| x.clone(), |dtype| ops::to(x, dtype)))
}

fn type_as(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    Ok(ops::to(given.tensor(0, "input")?, given.tensor(1, "other")?.dtype()))
}
