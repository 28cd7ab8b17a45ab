//! Facts of known models, embedded: one line of JSON for each model in `data/catalogue.jsonl`, with the source of
//! every fact. Searched line by line, so that a lookup parses one model and not all.

use brimful_units::nearest;
use serde_json::{Map, Value};

use crate::{ConfigFile, Fault, Model, ModelError, Source};

const LINES: &str = include_str!("../data/catalogue.jsonl");

/// The hub id of every model, simulated or not.
pub fn names() -> impl Iterator<Item = &'static str> {
    LINES.lines().filter_map(|line| names_of(line).next())
}

/// The hub id of every model that is simulated.
pub fn simulated() -> impl Iterator<Item = &'static str> {
    LINES.lines().filter(|line| read(line).is_ok()).filter_map(|line| names_of(line).next())
}

/// The parameter count that the model's authors or PyTorch report; `None` where the catalogue has none.
pub fn published_parameters(name: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(line_of(name)?).ok()?;
    value.get("params").and_then(Value::as_u64)
}

/// The names at the head of a line: `{"names":["hub/id","short",…],…`.
fn names_of(line: &'static str) -> impl Iterator<Item = &'static str> {
    let list =
        line.strip_prefix(r#"{"names":["#).and_then(|rest| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split(',').map(|name| name.trim_matches('"'))
}

/// The model of that name.
///
/// # Errors
/// [`Fault::Missing`] with the nearest name; the model's own fault where its architecture is not simulated.
pub fn model(name: &str) -> Result<Model, ModelError> {
    let Some(line) = line_of(name) else {
        return Err(Fault::Missing { nearest: nearest_name(name) }.of(name));
    };
    read(line).map_err(|fault| fault.of(name))
}

/// The config.json keys of the model of that name.
///
/// # Errors
/// As [`model`].
pub(crate) fn config(name: &str) -> Result<(Source, Map<String, Value>), ModelError> {
    let source = model(name)?.source;
    let line = line_of(name).unwrap_or_default();
    let value: Value = serde_json::from_str(line).map_err(|error| Fault::Json(error.to_string()).of(name))?;
    Ok((source, value.get("config").and_then(Value::as_object).cloned().unwrap_or_default()))
}

fn line_of(name: &str) -> Option<&'static str> {
    LINES.lines().find(|line| names_of(line).any(|known| same(known, name)))
}

fn read(line: &'static str) -> Result<Model, Fault> {
    let value: Value = serde_json::from_str(line).map_err(|error| Fault::Json(error.to_string()))?;
    let table = |key: &str| value.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let file = ConfigFile::from_map(&table("config"))?;
    let hub_id = names_of(line).next().unwrap_or_default().to_owned();
    Ok(Model {
        source: Source::Catalogue { hub_id, sources: sources(&table("sources")) },
        file,
        checkpoint: None,
    })
}

/// Each source once, the one with the most facts first.
fn sources(keys_by_source: &Map<String, Value>) -> Vec<String> {
    let facts = |keys: &Value| std::cmp::Reverse(keys.as_array().map_or(0, Vec::len));
    let mut counted: Vec<_> = keys_by_source.iter().collect();
    counted.sort_by_key(|(_, keys)| facts(keys));
    counted.into_iter().map(|(source, _)| source.clone()).collect()
}

/// Upper and lower case, `-`, `_` and `.` are the same.
fn same(known: &str, asked: &str) -> bool {
    let plain = |c: char| if matches!(c, '_' | '.' | ' ') { '-' } else { c.to_ascii_lowercase() };
    known.len() == asked.len() && known.chars().map(plain).eq(asked.chars().map(plain))
}

fn nearest_name(name: &str) -> Option<String> {
    let all = || LINES.lines().flat_map(names_of);
    let short = name.rsplit('/').next().unwrap_or(name);
    nearest(name, all()).or_else(|| nearest(short, all())).map(str::to_owned)
}
