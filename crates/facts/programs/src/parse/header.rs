//! The header: what was recorded, and for which configs it holds.

use std::collections::HashSet;

use brimful_units::Dtype;

use super::Line;
use super::line::Words;
use crate::error::ProgramError;
use crate::expression::Expression;
use crate::program::{Attention, Header, LayerList, Library};
use crate::values::Value;

/// Reads the lines before the first section.
pub(super) fn header(lines: &[Line<'_>], first: Line<'_>) -> Result<Header, ProgramError> {
    let mut header = Header::default();
    for line in lines {
        let (word, rest) = line.text.split_once(char::is_whitespace).unwrap_or((line.text, ""));
        entry(&mut header, word, rest.trim()).map_err(|message| line.error(message))?;
    }
    for (key, value) in [("model_type", &header.model_type), ("class", &header.class)] {
        if value.is_empty() {
            return Err(first.error(format!("the header has no line `{key}`; the file may be cut")));
        }
    }
    if header.attention.is_empty() {
        return Err(first.error("the header has no line `attention`; the file may be cut"));
    }
    Ok(header)
}

fn entry(header: &mut Header, word: &str, rest: &str) -> Result<(), String> {
    match word {
        "library" => {
            header.library = libraries(rest)?.pop().ok_or("a library and its version were expected")?
        }
        "recorded" => header.recorded = libraries(rest)?,
        "model_type" => header.model_type = rest.to_owned(),
        "class" => header.class = rest.to_owned(),
        "task" => header.task = rest.to_owned(),
        "default" => {
            let (key, value) = keyed(rest)?;
            let [value] = <[Value; 1]>::try_from(values(value)?).map_err(|_| "one value was expected")?;
            header.defaults.push((key.to_owned(), value));
        }
        "alias" => {
            let (other, key) = keyed(rest)?;
            header.aliases.push((other.to_owned(), key.to_owned()));
        }
        "derive" => {
            let (key, expression) = keyed(rest)?;
            header.derived.push((key.to_owned(), parsed(expression)?));
        }
        "set" => {
            let (key, expression) = keyed(rest)?;
            header.set.push((key.to_owned(), parsed(expression)?));
        }
        "attention" => header.attention = attention(rest)?,
        "ties" if rest == "ordered" => header.ordered_ties = true,
        "constructed" => header.constructed = Some(rest.parse::<Dtype>().map_err(|error| error.to_string())?),
        "require" => {
            let (key, allowed) = keyed(rest)?;
            header.required.push((key.to_owned(), values(allowed)?));
        }
        "layers" => {
            let (path, length) = keyed(rest)?;
            let path = crate::instruction::Path(path.to_owned());
            header.lists.push(LayerList { path, length: parsed(length)?, kinds: Vec::new() });
        }
        "kind" => kind(header, rest)?,
        _ => return Err(format!("{word:?} is no line of the header")),
    }
    Ok(())
}

fn keyed(text: &str) -> Result<(&str, &str), String> {
    text.split_once(char::is_whitespace)
        .map(|(key, rest)| (key, rest.trim()))
        .ok_or_else(|| format!("{text:?} has one part; expected a key and its value"))
}

fn libraries(text: &str) -> Result<Vec<Library>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(format!("{text:?} is no list of libraries and versions"));
    }
    Ok(words
        .chunks(2)
        .map(|pair| Library { name: pair[0].to_owned(), version: pair[1].to_owned() })
        .collect())
}

fn attention(text: &str) -> Result<Vec<Attention>, String> {
    text.split_whitespace()
        .map(|word| {
            Attention::of(word).ok_or_else(|| format!("{word:?} is no attention; expected sdpa or eager"))
        })
        .collect()
}

/// JSON values one after the other.
fn values(text: &str) -> Result<Vec<Value>, String> {
    serde_json::Deserializer::from_str(text)
        .into_iter::<serde_json::Value>()
        .map(|json| {
            let json = json.map_err(|error| format!("{text:?} is no JSON value: {error}"))?;
            Value::of_json(&json).ok_or_else(|| format!("{json} is no value of a config"))
        })
        .collect()
}

fn parsed(text: &str) -> Result<Expression, String> {
    let tensors = HashSet::new();
    let mut words = Words::new(text, &tensors)?;
    let expression = words.expression()?;
    words.end()?;
    Ok(expression)
}

fn kind(header: &mut Header, rest: &str) -> Result<(), String> {
    let (path, rest) = keyed(rest)?;
    let (name, condition) = keyed(rest)?;
    let list = header.lists.iter_mut().find(|list| list.path.0 == path);
    let list = list.ok_or_else(|| format!("{path:?} is no list of a line `layers` before"))?;
    let condition = if condition == "true" { Expression::Flag(true) } else { parsed(condition)? };
    list.kinds.push((name.to_owned(), condition));
    Ok(())
}
