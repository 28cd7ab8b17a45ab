//! The arguments of a call, by position or by keyword.

use brimful_programs::Value as Plain;
use brimful_units::{Dtype, Shape};

use super::fault::Fault;
use super::value::{Items, Value};
use crate::tensor::Tensor;

/// The arguments of a call.
pub(super) struct Arguments<'a> {
    /// The function's name.
    pub function: &'a str,
    /// By position; a method's first one is its tensor.
    pub positional: Vec<Value>,
    /// By keyword.
    pub keywords: Vec<(&'a str, Value)>,
}

impl Arguments<'_> {
    /// The argument at a position or of a name; `None` if it was left out or is Python's `None`.
    pub fn get(&self, at: usize, name: &str) -> Option<&Value> {
        let by_name = || self.keywords.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        self.positional.get(at).or_else(by_name).filter(|value| !value.is_none())
    }

    /// A fault that names the function.
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::Arguments { function: self.function.to_owned(), what: what.into() }
    }

    fn wrong(&self, name: &str, found: Option<&Value>) -> Fault {
        self.fault(format!("{} as its {name}", found.map_or("nothing", Value::kind)))
    }

    /// A tensor.
    pub fn tensor(&self, at: usize, name: &str) -> Result<&Tensor, Fault> {
        let found = self.get(at, name);
        found.and_then(Value::tensor).ok_or_else(|| self.wrong(name, found))
    }

    /// A tensor that may be left out.
    pub fn optional_tensor(&self, at: usize, name: &str) -> Result<Option<&Tensor>, Fault> {
        match self.get(at, name) {
            None => Ok(None),
            found => found.and_then(Value::tensor).map(Some).ok_or_else(|| self.wrong(name, found)),
        }
    }

    /// A whole number.
    pub fn integer(&self, at: usize, name: &str) -> Result<i64, Fault> {
        self.optional_integer(at, name)?.ok_or_else(|| self.wrong(name, None))
    }

    /// A whole number that may be left out.
    pub fn optional_integer(&self, at: usize, name: &str) -> Result<Option<i64>, Fault> {
        match self.get(at, name) {
            None => Ok(None),
            found => found.and_then(as_integer).map(Some).ok_or_else(|| self.wrong(name, found)),
        }
    }

    /// A number that may be left out.
    pub fn optional_number(&self, at: usize, name: &str) -> Result<Option<f64>, Fault> {
        match self.get(at, name) {
            None => Ok(None),
            Some(Value::Plain(Plain::Number(number))) => Ok(Some(*number)),
            found => {
                found.and_then(as_integer).map(|n| Some(n as f64)).ok_or_else(|| self.wrong(name, found))
            }
        }
    }

    /// A flag; `otherwise` if it was left out.
    pub fn flag(&self, at: usize, name: &str, otherwise: bool) -> Result<bool, Fault> {
        match self.get(at, name) {
            None => Ok(otherwise),
            Some(Value::Plain(plain)) => Ok(plain.is_true()),
            found => Err(self.wrong(name, found)),
        }
    }

    /// A dtype that may be left out.
    pub fn optional_dtype(&self, at: usize, name: &str) -> Result<Option<Dtype>, Fault> {
        match self.get(at, name) {
            None => Ok(None),
            Some(Value::Dtype(dtype)) => Ok(Some(*dtype)),
            found => Err(self.wrong(name, found)),
        }
    }

    /// A text; `otherwise` if it was left out.
    pub fn text<'a>(&'a self, at: usize, name: &str, otherwise: &'a str) -> Result<&'a str, Fault> {
        match self.get(at, name) {
            None => Ok(otherwise),
            Some(Value::Plain(Plain::Text(text))) => Ok(text),
            found => Err(self.wrong(name, found)),
        }
    }

    /// A dimension of a tensor of this rank: Python's negative numbers count from the end.
    pub fn dim(&self, at: usize, name: &str, rank: usize) -> Result<usize, Fault> {
        let dim = self.integer(at, name)?;
        self.resolved(dim, rank)
    }

    /// As [`Arguments::dim`], of a number.
    pub fn resolved(&self, dim: i64, rank: usize) -> Result<usize, Fault> {
        let place = if dim < 0 { dim + rank as i64 } else { dim };
        usize::try_from(place)
            .ok()
            .filter(|place| *place < rank)
            .ok_or_else(|| self.fault(format!("dimension {dim} of a tensor of {rank} dimensions")))
    }

    /// Whole numbers: a list as one argument, or the rest of the arguments.
    pub fn integers(&self, at: usize, name: &str) -> Result<Vec<i64>, Fault> {
        let found = self.get(at, name);
        match found {
            Some(Value::Items(Items(items))) => self.all_integers(name, items),
            Some(Value::Plain(Plain::List(items))) => {
                let items: Vec<Value> = items.iter().cloned().map(Value::Plain).collect();
                self.all_integers(name, &items)
            }
            Some(_) if self.positional.len() > at => self.all_integers(name, &self.positional[at..]),
            _ => found.and_then(as_integer).map(|n| vec![n]).ok_or_else(|| self.wrong(name, found)),
        }
    }

    fn all_integers(&self, name: &str, items: &[Value]) -> Result<Vec<i64>, Fault> {
        items.iter().map(|item| as_integer(item).ok_or_else(|| self.wrong(name, Some(item)))).collect()
    }

    /// Sizes of a tensor with `numel` elements, of which one may be -1.
    pub fn sizes(&self, at: usize, name: &str, numel: u64) -> Result<Shape, Fault> {
        let sizes = self.integers(at, name)?;
        let known =
            sizes.iter().filter(|size| **size >= 0).fold(1u64, |n, size| n.saturating_mul(*size as u64));
        let rest = numel.checked_div(known).unwrap_or(0);
        let shape: Shape = sizes.iter().map(|size| u64::try_from(*size).unwrap_or(rest)).collect();
        let whole = shape.dims().iter().fold(1u64, |n, size| n.saturating_mul(*size));
        if whole == numel {
            Ok(shape)
        } else {
            Err(self.fault(format!("the sizes {shape} of {numel} elements")))
        }
    }

    /// The tensors of a list.
    pub fn tensors(&self, at: usize, name: &str) -> Result<Vec<&Tensor>, Fault> {
        match self.get(at, name) {
            Some(Value::Items(Items(items))) => {
                items.iter().map(|item| item.tensor().ok_or_else(|| self.wrong(name, Some(item)))).collect()
            }
            found => Err(self.wrong(name, found)),
        }
    }
}

/// A whole number; a flag counts as 0 or 1.
fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Plain(Plain::Integer(integer)) => Some(*integer),
        Value::Plain(Plain::Flag(flag)) => Some(i64::from(*flag)),
        _ => None,
    }
}
