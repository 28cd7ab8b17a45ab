use serde_json::{Map, Value};

use crate::Fault;

/// The keys of a `config.json`, read with the types that transformers' strict config classes ask for
/// (huggingface_hub/dataclasses.py `_validate_simple_type`): an integer is neither a bool nor 4096.0.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    map: &'a Map<String, Value>,
    /// Pairs of another name and the key it stands for (`attribute_map`): where both are there, the alias wins,
    /// because transformers sets it after the fields.
    aliases: &'a [(&'a str, &'a str)],
}

/// The largest size of one dimension: beyond it torch's index arithmetic and every real model end.
const LARGEST_SIZE: u64 = 1 << 31;

impl<'a> Keys<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>, aliases: &'a [(&'a str, &'a str)]) -> Self {
        Keys { map, aliases }
    }

    /// The value, `null` included; `None` where the key is absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        let alias =
            self.aliases.iter().find(|(_, meant)| *meant == key).and_then(|(alias, _)| self.map.get(*alias));
        alias.or_else(|| self.map.get(key))
    }

    /// The value under the key's other name.
    fn alias_of(&self, key: &str) -> Option<&'a Value> {
        self.aliases.iter().find(|(_, meant)| *meant == key).and_then(|(alias, _)| self.map.get(*alias))
    }

    /// The value where it is neither absent nor `null`.
    pub(crate) fn given(&self, key: &str) -> Option<&'a Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// A size of at least 1; the class's default where the key is absent.
    pub(crate) fn size(&self, key: &str, default: u64) -> Result<u64, Fault> {
        let expected = "an integer of at least 1";
        let hidden = self
            .map
            .get(key)
            .filter(|value| self.alias_of(key).is_some() && !value.is_u64() && !value.is_i64());
        if let Some(value) = hidden {
            return Err(wrong_type(key, value, expected));
        }
        self.get(key).map_or(Ok(default), |value| size_of(key, value, expected))
    }

    /// A size of at least 1; `None` where the key is absent or `null`.
    pub(crate) fn optional_size(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.given(key).map(|value| size_of(key, value, "an integer of at least 1 or null")).transpose()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, Fault> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_type(key, other, "true or false")),
        }
    }

    /// A probability, such as a dropout; `null` counts as 0 where the class allows it.
    pub(crate) fn probability(&self, key: &str, default: f64) -> Result<f64, Fault> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_f64().ok_or_else(|| wrong_type(key, value, "a number between 0 and 1"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(Fault::value(key, number, "a probability lies between 0 and 1"));
        }
        Ok(number)
    }

    /// A text.
    pub(crate) fn text(&self, key: &str, default: &'a str) -> Result<&'a str, Fault> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong_type(key, other, "a text")),
        }
    }
}

/// A whole number from 1 to [`LARGEST_SIZE`].
pub(crate) fn size_of(key: &str, value: &Value, expected: &'static str) -> Result<u64, Fault> {
    let Value::Number(number) = value else { return Err(wrong_type(key, value, expected)) };
    match number.as_u64() {
        Some(0) => Err(Fault::value(key, number, "it must be at least 1")),
        Some(size) if size > LARGEST_SIZE => Err(Fault::value(
            key,
            number,
            format!("a size above {LARGEST_SIZE} (2^31) is not a real model's"),
        )),
        Some(size) => Ok(size),
        None if number.is_i64() => Err(Fault::value(key, number, "it must be at least 1")),
        None => Err(wrong_type(key, value, expected)),
    }
}

/// The error for a value of another type than the class declares.
pub(crate) fn wrong_type(key: &str, value: &Value, expected: &'static str) -> Fault {
    Fault::WrongType { key: key.to_owned(), found: describe(value), expected }
}

/// A value for people: its type and itself, cut where it is long.
pub fn describe(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(flag) => return flag.to_string(),
        Value::Number(n) if n.is_f64() => "the float",
        Value::Number(_) => "the integer",
        Value::String(_) => "the text",
        Value::Array(items) => return format!("a list of {}", items.len()),
        Value::Object(keys) => return format!("a table of {} keys", keys.len()),
    };
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return format!("{kind} {text}");
    }
    format!("{kind} {}…", text.chars().take(59).collect::<String>())
}
