use serde_json::{Map, Value};

use crate::Fault;

/// A key that a config class reads.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// The name of the class's field.
    name: &'static str,
    /// Another name for it (`attribute_map`). If both are there, the alias wins, because transformers sets it after
    /// the fields.
    alias: Option<&'static str>,
    /// The type of the field, and its default.
    field: Field,
    /// Whether the class allows `null`.
    nullable: bool,
}

/// The type of a field, and its default.
#[derive(Clone, Copy)]
enum Field {
    /// A size of at least 1 and at most `most`; without a default it follows from other keys.
    Size {
        default: Option<u64>,
        most: u64,
    },
    /// An integer of at least 0.
    Count(u64),
    Flag(bool),
    Probability(f64),
    Float(f64),
    Word(&'static str),
}

/// The most blocks: more would not be a real model, and would keep a simulation busy for long.
const MOST_LAYERS: u64 = 10_000;

impl Key {
    const fn new(name: &'static str, field: Field) -> Key {
        Key { name, alias: None, field, nullable: false }
    }

    /// A size of at least 1.
    pub(crate) const fn size(name: &'static str, default: u64) -> Key {
        Key::new(name, Field::Size { default: Some(default), most: LARGEST_SIZE })
    }

    /// A size that follows from other keys if it is absent.
    pub(crate) const fn derived_size(name: &'static str) -> Key {
        Key::new(name, Field::Size { default: None, most: LARGEST_SIZE })
    }

    /// A number of blocks.
    pub(crate) const fn layers(name: &'static str, default: u64) -> Key {
        Key::new(name, Field::Size { default: Some(default), most: MOST_LAYERS })
    }

    /// An integer of at least 0.
    pub(crate) const fn count(name: &'static str, default: u64) -> Key {
        Key::new(name, Field::Count(default))
    }

    /// `true` or `false`.
    pub(crate) const fn flag(name: &'static str, default: bool) -> Key {
        Key::new(name, Field::Flag(default))
    }

    /// A probability, such as a dropout.
    pub(crate) const fn probability(name: &'static str, default: f64) -> Key {
        Key::new(name, Field::Probability(default))
    }

    /// A float.
    pub(crate) const fn float(name: &'static str, default: f64) -> Key {
        Key::new(name, Field::Float(default))
    }

    /// A text.
    pub(crate) const fn word(name: &'static str, default: &'static str) -> Key {
        Key::new(name, Field::Word(default))
    }

    /// The key, which may be `null`: a size then follows from other keys, a probability is 0.
    pub(crate) const fn or_null(self) -> Key {
        Key { nullable: true, ..self }
    }

    /// The key, which has another name too.
    pub(crate) const fn or_named(self, alias: &'static str) -> Key {
        Key { alias: Some(alias), ..self }
    }
}

/// The keys of a `config.json`, read with the types that transformers' strict config classes ask for
/// (huggingface_hub/dataclasses.py `_validate_simple_type`): an integer is neither a bool nor 4096.0.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    map: &'a Map<String, Value>,
    rows: &'static [Key],
}

/// The largest size of one dimension: beyond it torch's index arithmetic and every real model end.
const LARGEST_SIZE: u64 = 1 << 31;

impl<'a> Keys<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>, rows: &'static [Key]) -> Self {
        Keys { map, rows }
    }

    fn row(&self, key: &str) -> Option<&'static Key> {
        self.rows.iter().find(|row| row.name == key)
    }

    /// The value under the key's other name.
    fn alias_of(&self, key: &str) -> Option<&'a Value> {
        self.map.get(self.row(key)?.alias?)
    }

    /// The value, `null` included; `None` if the key is absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.alias_of(key).or_else(|| self.map.get(key))
    }

    /// The value if it is neither absent nor `null`.
    pub(crate) fn given(&self, key: &str) -> Option<&'a Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// The value of a field; `None` if the key is absent, or if the class allows `null` and it is.
    fn value(&self, key: &str) -> Option<&'a Value> {
        let nullable = self.row(key).is_some_and(|row| row.nullable);
        self.get(key).filter(|value| !(nullable && value.is_null()))
    }

    /// A size of at least 1.
    pub(crate) fn size(&self, key: &str) -> Result<u64, Fault> {
        let expected = || Fault::value(key, "absent", "the class has no default for it");
        self.optional_size(key)?.ok_or_else(expected)
    }

    /// A size of at least 1; `None` if it follows from other keys.
    pub(crate) fn optional_size(&self, key: &str) -> Result<Option<u64>, Fault> {
        let Some(Key { field: Field::Size { default, most }, nullable, .. }) = self.row(key) else {
            return Ok(None);
        };
        let expected =
            if *nullable { "an integer of at least 1 or null" } else { "an integer of at least 1" };
        // The alias wins, but transformers checks the type of the field that it hides, too.
        let hidden = self.map.get(key).filter(|_| self.alias_of(key).is_some());
        if let Some(value) = hidden.filter(|value| !value.is_u64() && !value.is_i64()) {
            return Err(wrong_type(key, value, expected));
        }
        match self.value(key) {
            None if self.get(key).is_some() => Ok(None),
            None => Ok(*default),
            Some(value) => match size_of(key, value, expected)? {
                size if size > *most => {
                    Err(Fault::value(key, size, format!("at most {most} layers are simulated")))
                }
                size => Ok(Some(size)),
            },
        }
    }

    /// An integer of at least 0.
    pub(crate) fn count(&self, key: &str) -> Result<u64, Fault> {
        match (self.value(key), self.row(key).map(|row| row.field)) {
            (Some(value), _) => {
                value.as_u64().ok_or_else(|| wrong_type(key, value, "an integer of at least 0"))
            }
            (None, Some(Field::Count(default))) => Ok(default),
            (None, _) => Ok(0),
        }
    }

    /// `true` or `false`. A switch that the class does not have is off, whatever the file says.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Fault> {
        let Some(Key { field: Field::Flag(default), .. }) = self.row(key) else { return Ok(false) };
        match self.value(key) {
            None => Ok(*default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_type(key, other, "true or false")),
        }
    }

    /// A probability, such as a dropout. `null` counts as 0 if the class allows it.
    pub(crate) fn probability(&self, key: &str) -> Result<f64, Fault> {
        let Some(value) = self.value(key) else {
            let default = match self.row(key).map(|row| row.field) {
                Some(Field::Probability(default)) if self.get(key).is_none() => default,
                _ => 0.0,
            };
            return Ok(default);
        };
        let number = value.as_f64().ok_or_else(|| wrong_type(key, value, "a number between 0 and 1"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(Fault::value(key, number, "a probability lies between 0 and 1"));
        }
        Ok(number)
    }

    /// A float; `None` if it is `null`, or if the class does not have it. The class takes no integer for one.
    pub(crate) fn optional_float(&self, key: &str) -> Result<Option<f64>, Fault> {
        let Some(Key { field: Field::Float(default), .. }) = self.row(key) else { return Ok(None) };
        match self.value(key) {
            None if self.get(key).is_some() => Ok(None),
            None => Ok(Some(*default)),
            Some(Value::Number(number)) if number.is_f64() => Ok(number.as_f64()),
            Some(other) => Err(wrong_type(key, other, "a float, such as 50.0, or null")),
        }
    }

    /// The first of these names that the class has; the first of all if it has none.
    pub(crate) fn declared<const N: usize>(&self, names: [&'static str; N]) -> &'static str {
        names.into_iter().find(|name| self.row(name).is_some()).unwrap_or(names[0])
    }

    /// A text.
    pub(crate) fn word(&self, key: &str) -> Result<&'a str, Fault> {
        match (self.value(key), self.row(key).map(|row| row.field)) {
            (Some(Value::String(text)), _) => Ok(text),
            (Some(other), _) => Err(wrong_type(key, other, "a text")),
            (None, Some(Field::Word(default))) => Ok(default),
            (None, _) => Ok(""),
        }
    }
}

/// A whole number from 1 to [`LARGEST_SIZE`].
fn size_of(key: &str, value: &Value, expected: &'static str) -> Result<u64, Fault> {
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

/// A value for people, as JSON writes it, so that quotes tell a text from a number; cut where it is long.
pub fn describe(value: &Value) -> String {
    let text = value.to_string();
    let is_short = text.chars().count() <= 60;
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(keys) if !is_short => format!("a table of {} keys", keys.len()),
        _ if is_short => text,
        _ => format!("{}…", text.chars().take(59).collect::<String>()),
    }
}
