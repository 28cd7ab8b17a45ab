//! The values of expressions, with Python's arithmetic.

use brimful_units::Dtype;

use crate::error::EvaluationError;
use crate::expression::{Builtin, Expression, Input, Operator};
use crate::instruction::{Path, Slot};
use crate::values::{Value, Values};

/// What an expression can ask for.
pub trait Scope {
    /// The config.
    fn values(&self) -> &Values;

    /// The number of the layer.
    fn layer_index(&self) -> Option<u64>;

    /// How many positions the cache holds.
    fn past(&self) -> Option<u64> {
        None
    }

    /// How many of the last positions get logits.
    fn logits_to_keep(&self) -> Option<u64> {
        None
    }

    /// The size of a dimension of a tensor.
    fn size(&self, _slot: Slot, _dim: usize) -> Option<u64> {
        None
    }

    /// The size of a dimension of an input.
    fn input_size(&self, _input: Input, _dim: usize) -> Option<u64> {
        None
    }

    /// The dtype of a tensor.
    fn dtype(&self, _tensor: &Expression) -> Option<Dtype> {
        None
    }

    /// The dtype of the model's weights.
    fn default_dtype(&self) -> Option<Dtype> {
        None
    }

    /// The size of a dimension of a parameter or a buffer.
    fn tensor_size(&self, _path: &Path, _dim: usize) -> Option<u64> {
        None
    }

    /// The number of elements of a tensor.
    fn numel(&self, _slot: Slot) -> Option<u64> {
        None
    }

    /// The value of an expression of numbers, flags and texts.
    ///
    /// # Errors
    /// [`EvaluationError`] where a key is missing, a kind is wrong, or the arithmetic leaves 64 bits.
    fn evaluate(&self, expression: &Expression) -> Result<Value, EvaluationError>
    where
        Self: Sized,
    {
        evaluate(self, expression)
    }

    /// The value of an expression as a whole number; a flag counts as 0 or 1, as in Python.
    ///
    /// # Errors
    /// As [`Scope::evaluate`].
    fn integer(&self, expression: &Expression) -> Result<i64, EvaluationError>
    where
        Self: Sized,
    {
        match evaluate(self, expression)? {
            Value::Integer(integer) => Ok(integer),
            Value::Flag(flag) => Ok(i64::from(flag)),
            other => Err(wrong_kind(expression, &other, "a whole number")),
        }
    }
}

/// A config alone, as in the header.
#[derive(Clone, Copy, Debug)]
pub struct ConfigScope<'a> {
    /// The config.
    pub values: &'a Values,
    /// The number of the layer, inside a list of layers.
    pub index: Option<u64>,
}

impl<'a> ConfigScope<'a> {
    /// Outside of a list of layers.
    pub fn new(values: &'a Values) -> ConfigScope<'a> {
        ConfigScope { values, index: None }
    }
}

impl Scope for ConfigScope<'_> {
    fn values(&self) -> &Values {
        self.values
    }

    fn layer_index(&self) -> Option<u64> {
        self.index
    }
}

fn wrong_kind(expression: &Expression, found: &Value, expected: &'static str) -> EvaluationError {
    EvaluationError::Kind { what: expression.to_string(), found: found.to_string(), expected }
}

fn evaluate<S: Scope>(scope: &S, expression: &Expression) -> Result<Value, EvaluationError> {
    let unknown = || EvaluationError::Unknown(expression.to_string());
    let whole = |number: Option<u64>| -> Result<Value, EvaluationError> {
        let number = i64::try_from(number.ok_or_else(unknown)?)
            .map_err(|_| EvaluationError::Arithmetic(expression.to_string()))?;
        Ok(Value::Integer(number))
    };
    match expression {
        Expression::Integer(integer) => Ok(Value::Integer(*integer)),
        Expression::Number(number) => Ok(Value::Number(*number)),
        Expression::Flag(flag) => Ok(Value::Flag(*flag)),
        Expression::None => Ok(Value::Null),
        Expression::Text(text) => Ok(Value::Text(text.clone())),
        Expression::Key(key) => {
            scope.values().get(key).cloned().ok_or_else(|| EvaluationError::NoKey(key.clone()))
        }
        Expression::Item(key, index) => item(scope, key, index),
        Expression::ItemOf(parts) => {
            let list = scope.evaluate(&parts[0])?;
            item_of(scope, &parts[0].to_string(), &list, &parts[1])
        }
        Expression::LayerIndex => whole(scope.layer_index()),
        Expression::Past => whole(scope.past()),
        Expression::LogitsToKeep => whole(scope.logits_to_keep()),
        // Dtypes are only compared, and each has one name.
        Expression::Dtype(dtype) => Ok(Value::Text(dtype.to_string())),
        Expression::DtypeOf(tensor) => {
            scope.dtype(tensor).map(|dtype| Value::Text(dtype.to_string())).ok_or_else(unknown)
        }
        Expression::DefaultDtype => {
            scope.default_dtype().map(|dtype| Value::Text(dtype.to_string())).ok_or_else(unknown)
        }
        Expression::Size(slot, dim) => whole(scope.size(*slot, *dim)),
        Expression::InputSize(input, dim) => whole(scope.input_size(*input, *dim)),
        Expression::TensorSize(path, dim) => whole(scope.tensor_size(path, *dim)),
        Expression::List(items) | Expression::Tuple(items) => {
            Ok(Value::List(items.iter().map(|item| evaluate(scope, item)).collect::<Result<_, _>>()?))
        }
        Expression::Negative(inner) => match evaluate(scope, inner)? {
            Value::Number(number) => Ok(Value::Number(-number)),
            Value::Integer(integer) => checked(expression, integer.checked_neg()),
            other => Err(wrong_kind(inner, &other, "a number")),
        },
        Expression::Not(inner) => Ok(Value::Flag(!evaluate(scope, inner)?.is_true())),
        Expression::Binary(operator, sides) => binary(scope, expression, *operator, sides),
        Expression::Call(builtin, arguments) => call(scope, expression, *builtin, arguments),
        Expression::Choice(parts) => {
            let taken = if evaluate(scope, &parts[1])?.is_true() { 0 } else { 2 };
            evaluate(scope, &parts[taken])
        }
        Expression::Each(item, count) => each(scope, item, count),
        Expression::Ellipsis
        | Expression::Host
        | Expression::Cache
        | Expression::RouterLogits
        | Expression::Slot(_)
        | Expression::Tensor(_)
        | Expression::Input(_)
        | Expression::Slice(_) => Err(unknown()),
    }
}

fn checked(expression: &Expression, integer: Option<i64>) -> Result<Value, EvaluationError> {
    integer.map(Value::Integer).ok_or_else(|| EvaluationError::Arithmetic(expression.to_string()))
}

fn item<S: Scope>(scope: &S, key: &str, index: &Expression) -> Result<Value, EvaluationError> {
    let found = scope.values().get(key).ok_or_else(|| EvaluationError::NoKey(key.to_owned()))?;
    item_of(scope, key, found, index)
}

fn item_of<S: Scope>(
    scope: &S,
    key: &str,
    found: &Value,
    index: &Expression,
) -> Result<Value, EvaluationError> {
    let Value::List(items) = found else {
        return Err(EvaluationError::Kind { what: key.into(), found: found.to_string(), expected: "a list" });
    };
    let at = scope.integer(index)?;
    let place = if at < 0 { at.checked_add(items.len() as i64) } else { Some(at) };
    place
        .and_then(|place| items.get(usize::try_from(place).ok()?))
        .cloned()
        .ok_or_else(|| EvaluationError::Unknown(format!("{key}[{at}] of {} items", items.len())))
}

/// The longest list that a program makes: no model has more layers, and a config may hold any number.
const LONGEST: i64 = 1 << 16;

fn each<S: Scope>(scope: &S, item: &Expression, count: &Expression) -> Result<Value, EvaluationError> {
    let length = scope.integer(count)?;
    if length > LONGEST {
        return Err(EvaluationError::Arithmetic(count.to_string()));
    }
    let values = scope.values();
    (0..u64::try_from(length).unwrap_or(0))
        .map(|index| evaluate(&ConfigScope { values, index: Some(index) }, item))
        .collect::<Result<_, _>>()
        .map(Value::List)
}

fn binary<S: Scope>(
    scope: &S,
    whole: &Expression,
    operator: Operator,
    sides: &[Expression; 2],
) -> Result<Value, EvaluationError> {
    let left = evaluate(scope, &sides[0])?;
    // Python evaluates the right side of `and` and `or` only if the left one does not decide.
    match operator {
        Operator::And if !left.is_true() => return Ok(left),
        Operator::Or if left.is_true() => return Ok(left),
        Operator::And | Operator::Or => return evaluate(scope, &sides[1]),
        _ => {}
    }
    let right = evaluate(scope, &sides[1])?;
    match operator {
        Operator::Equal => return Ok(Value::Flag(equal(&left, &right))),
        Operator::NotEqual => return Ok(Value::Flag(!equal(&left, &right))),
        Operator::In => {
            let Value::List(items) = &right else { return Err(wrong_kind(&sides[1], &right, "a list")) };
            return Ok(Value::Flag(items.iter().any(|item| equal(item, &left))));
        }
        _ => {}
    }
    if let (Operator::Add, Value::List(first), Value::List(rest)) = (operator, &left, &right) {
        return Ok(Value::List(first.iter().chain(rest).cloned().collect()));
    }
    if let (Some(a), Some(b)) = (as_integer(&left), as_integer(&right)) {
        return integers(whole, operator, a, b);
    }
    let a = as_number(&left).ok_or_else(|| wrong_kind(&sides[0], &left, "a number"))?;
    let b = as_number(&right).ok_or_else(|| wrong_kind(&sides[1], &right, "a number"))?;
    Ok(numbers(operator, a, b))
}

fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        Value::Flag(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(*number),
        other => as_integer(other).map(|integer| integer as f64),
    }
}

/// Python's `==`: 1 equals 1.0 and True.
fn equal(a: &Value, b: &Value) -> bool {
    match (as_number(a), as_number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn integers(whole: &Expression, operator: Operator, a: i64, b: i64) -> Result<Value, EvaluationError> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::FloorDivide => floor_divide(a, b),
        Operator::Modulo => floor_divide(a, b).and_then(|times| a.checked_sub(times.checked_mul(b)?)),
        Operator::Power => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        Operator::Divide if b != 0 => return Ok(Value::Number(a as f64 / b as f64)),
        Operator::Less => return Ok(Value::Flag(a < b)),
        Operator::LessOrEqual => return Ok(Value::Flag(a <= b)),
        Operator::Greater => return Ok(Value::Flag(a > b)),
        Operator::GreaterOrEqual => return Ok(Value::Flag(a >= b)),
        _ => None,
    };
    checked(whole, result)
}

/// Python's `//` rounds down, not towards zero.
fn floor_divide(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn numbers(operator: Operator, a: f64, b: f64) -> Value {
    match operator {
        Operator::Add => Value::Number(a + b),
        Operator::Subtract => Value::Number(a - b),
        Operator::Multiply => Value::Number(a * b),
        Operator::FloorDivide => Value::Number((a / b).floor()),
        Operator::Modulo => Value::Number(a - (a / b).floor() * b),
        Operator::Power => Value::Number(a.powf(b)),
        Operator::Less => Value::Flag(a < b),
        Operator::LessOrEqual => Value::Flag(a <= b),
        Operator::Greater => Value::Flag(a > b),
        Operator::GreaterOrEqual => Value::Flag(a >= b),
        _ => Value::Number(a / b),
    }
}

fn call<S: Scope>(
    scope: &S,
    whole: &Expression,
    builtin: Builtin,
    arguments: &[Expression],
) -> Result<Value, EvaluationError> {
    let unknown = || EvaluationError::Unknown(whole.to_string());
    match (builtin, arguments) {
        (Builtin::Numel, [Expression::Slot(slot)]) => {
            let count = scope.numel(*slot).ok_or_else(unknown)?;
            checked(whole, i64::try_from(count).ok())
        }
        (Builtin::Len, [Expression::Key(key)]) => match scope.values().get(key) {
            Some(Value::List(items)) => Ok(Value::Integer(items.len() as i64)),
            _ => Err(unknown()),
        },
        (Builtin::Len, [list @ (Expression::Item(..) | Expression::ItemOf(..))]) => {
            match evaluate(scope, list)? {
                Value::List(items) => Ok(Value::Integer(items.len() as i64)),
                _ => Err(unknown()),
            }
        }
        (Builtin::Min | Builtin::Max, [first, rest @ ..]) => {
            let mut best = evaluate(scope, first)?;
            for other in rest {
                let other = evaluate(scope, other)?;
                let (Some(a), Some(b)) = (as_number(&best), as_number(&other)) else { return Err(unknown()) };
                if (builtin == Builtin::Min) == (b < a) && a != b {
                    best = other;
                }
            }
            Ok(best)
        }
        (_, [inner]) => {
            let value = match evaluate(scope, inner) {
                // Only its being a number matters: `limit` is the lowest number of a dtype, which is no key of a config.
                Err(EvaluationError::NoKey(key)) if builtin == Builtin::Float && key == "limit" => {
                    return Ok(Value::Number(0.0));
                }
                value => value?,
            };
            let number = as_number(&value).ok_or_else(|| wrong_kind(inner, &value, "a number"))?;
            let number = match builtin {
                Builtin::Float => return Ok(Value::Number(number)),
                Builtin::Sqrt => return Ok(Value::Number(number.sqrt())),
                Builtin::Log => return Ok(Value::Number(number.ln())),
                Builtin::Log2 => return Ok(Value::Number(number.log2())),
                Builtin::Int => number.trunc(),
                Builtin::Floor => number.floor(),
                Builtin::Ceil => number.ceil(),
                Builtin::Round => number.round_ties_even(),
                _ => return Err(unknown()),
            };
            // The bounds are the largest numbers whose conversion does not saturate.
            checked(whole, (number.abs() < 9.2e18).then_some(number as i64))
        }
        _ => Err(unknown()),
    }
}
