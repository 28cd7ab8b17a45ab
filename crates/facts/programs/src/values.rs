//! The values of a config.

use std::collections::BTreeMap;
use std::fmt;

/// A value of a config, or of an expression over it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    List(Vec<Value>),
}

impl Value {
    /// The value of a JSON value; `None` for an object and for a number beyond 64 bits.
    pub fn of_json(json: &serde_json::Value) -> Option<Value> {
        Some(match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Flag(*flag),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => {
                Value::List(items.iter().map(Value::of_json).collect::<Option<_>>()?)
            }
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None if number.is_f64() => Value::Number(number.as_f64()?),
                None => return None,
            },
            serde_json::Value::Object(_) => return None,
        })
    }

    /// Python's truth of the value.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Flag(flag) => *flag,
            Value::Integer(integer) => *integer != 0,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => write!(f, "null"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Integer(integer) => write!(f, "{integer}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// The values of a config by key; keys of nested objects are joined by dots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(BTreeMap<String, Value>);

impl Values {
    /// The values of a config.json. Values that are no numbers, texts, flags or lists of them are left out.
    pub fn of_json(config: &serde_json::Map<String, serde_json::Value>) -> Values {
        let mut values = Values::default();
        values.flatten("", config);
        values
    }

    fn flatten(&mut self, prefix: &str, object: &serde_json::Map<String, serde_json::Value>) {
        for (name, json) in object {
            let key = format!("{prefix}{name}");
            match json {
                // serde_json bounds the depth of what it reads.
                serde_json::Value::Object(inner) => self.flatten(&format!("{key}."), inner),
                other => {
                    if let Some(value) = Value::of_json(other) {
                        self.insert(&key, value);
                    }
                }
            }
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Sets a key.
    pub fn insert(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// Sets a key that is not there.
    pub fn insert_if_absent(&mut self, key: &str, value: Value) {
        self.0.entry(key.to_owned()).or_insert(value);
    }

    /// Whether a key has no value.
    pub fn is_null_or_absent(&self, key: &str) -> bool {
        matches!(self.get(key), None | Some(Value::Null))
    }

    /// Every key with its value, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}
