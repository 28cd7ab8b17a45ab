use std::collections::BTreeMap;

use brimful_units::Bytes;

/// A figure that a text carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number: bytes where the name ends in `_bytes`, else a count.
    Int(i64),
    /// A share, as printed.
    Float(f64),
    /// A word, or a number that does not fit.
    Text(String),
    /// Several figures of a kind, or the dimensions of a tensor.
    List(Vec<i64>),
}

/// The figures of a text by name, such as `tried_bytes`; what the text does not say is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(BTreeMap<String, Value>);

impl Facts {
    /// The figure of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The whole number of this name; of several, the first.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Int(n) => Some(*n),
            Value::List(list) => list.first().copied(),
            _ => None,
        }
    }

    /// The amount of this name; `None` where it is absent or below zero.
    pub fn bytes(&self, name: &str) -> Option<Bytes> {
        self.int(name).and_then(|n| u64::try_from(n).ok()).map(Bytes::new)
    }

    /// Sets a figure that is not there yet.
    pub fn fill(&mut self, name: &str, value: Value) {
        self.0.entry(name.to_owned()).or_insert(value);
    }

    /// Sets a figure.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Takes the figures of another that are not there yet.
    pub fn fill_from(&mut self, other: Facts) {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// Names and figures, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
