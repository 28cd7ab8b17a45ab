use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::JobFault;

/// The format of a job file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    /// The format that the ending of a file's name stands for; `None` if it stands for none.
    pub fn of_path(path: &str) -> Option<Format> {
        match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "toml" => Some(Format::Toml),
            "yaml" | "yml" => Some(Format::Yaml),
            "json" => Some(Format::Json),
            _ => None,
        }
    }

    /// The format of a text without a name: JSON begins with a brace; TOML has `=` where YAML has `:`.
    pub fn guess(text: &str) -> Format {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match lines.next() {
            Some(first) if first.starts_with('{') => Format::Json,
            Some(first) => {
                let sign = first.find(['=', ':']).map(|at| first.as_bytes()[at]);
                if first.starts_with('[') || sign == Some(b'=') { Format::Toml } else { Format::Yaml }
            }
            None => Format::Toml,
        }
    }

    /// The format's name.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Toml => "TOML",
            Format::Yaml => "YAML",
            Format::Json => "JSON",
        }
    }

    /// The text as a tree; the same tree for the same job in any format.
    pub(crate) fn parse(self, text: &str) -> Result<Value, JobFault> {
        let parsed = match self {
            Format::Toml => toml::from_str::<Tree>(text).map_err(|error| of_toml(&error, text)),
            // TOML's parser takes a text without keys; all three then say that the model is missing.
            Format::Json | Format::Yaml if text.trim().is_empty() => Ok(Tree(Value::Object(Map::new()))),
            Format::Json => serde_json::from_str::<Tree>(text).map_err(|error| of_json(&error)),
            Format::Yaml => serde_saphyr::from_str::<Tree>(text).map_err(|error| of_yaml(&error)),
        };
        parsed.map(|tree| tree.0).map_err(|(place, message)| JobFault::Syntax {
            format: self.name(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            message: shortened(&message),
        })
    }
}

/// What a parser refuses: the line and the column, each counted from 1, and its words without them.
type Refused = (Option<(usize, usize)>, String);

fn of_toml(error: &toml::de::Error, text: &str) -> Refused {
    let place = error.span().and_then(|span| text.get(..span.start)).map(|before| {
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    });
    (place, error.message().replace('\n', "; "))
}

fn of_json(error: &serde_json::Error) -> Refused {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    // A fault of the whole text, such as an unreadable stream, has no line.
    match text.strip_suffix(&place) {
        Some(words) => (Some((error.line(), error.column())), words.to_owned()),
        None => (None, text),
    }
}

fn of_yaml(error: &serde_saphyr::Error) -> Refused {
    let place = error
        .location()
        .and_then(|at| Some((usize::try_from(at.line()).ok()?, usize::try_from(at.column()).ok()?)));
    // Without the quoted lines below it: those name the file `<input>`.
    let text = error.without_snippet().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let words = place.and_then(|(line, column)| {
        text.strip_prefix(&format!("line {line} column {column}: "))
            .or_else(|| text.strip_suffix(&format!(" at line {line}, column {column}")))
    });
    (place, words.unwrap_or(text).to_owned())
}

/// The first line of a parser's message, cut where it is long: parsers quote values, which can be of any length.
fn shortened(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(240) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// A tree that refuses what would be lost silently: a key that is there twice, a number that is not finite.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value of a job file")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Value, E> {
        Err(E::custom(format!("{number} has more than 64 bits")))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        Err(E::custom(format!("{number} has more than 64 bits")))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format!("{number} is not a finite number")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Tree(value) = entries.next_value()?;
            if map.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("the key `{key}` is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
