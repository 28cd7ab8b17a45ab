//! Facts of known models, embedded: one line of JSON for each model in `data/catalogue.jsonl`, with the source of
//! every fact. Searched line by line, so that a lookup parses one model and not all.

use brimful_units::nearest;
use serde_json::{Map, Value};

use crate::{ConfigFile, Fault, Model, ModelError, Source};

const LINES: &str = include_str!("../data/catalogue.jsonl");

/// The names under which the lines can be found: hub id first, then shorter ones.
pub fn names() -> impl Iterator<Item = &'static str> {
    LINES.lines().filter_map(|line| names_of(line).next())
}

/// The names at the head of a line: `{"names":["hub/id","short",…],…`.
fn names_of(line: &'static str) -> impl Iterator<Item = &'static str> {
    let list = line.strip_prefix(r#"{"names":["#).and_then(|rest| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split(',').map(|name| name.trim_matches('"'))
}

/// The model of that name.
///
/// # Errors
/// [`Fault::Missing`] with the nearest name; the model's own fault where its architecture is not simulated.
pub fn model(name: &str) -> Result<Model, ModelError> {
    let Some(line) = LINES.lines().find(|line| names_of(line).any(|known| same(known, name))) else {
        return Err(Fault::Missing { nearest: nearest_name(name) }.of(name));
    };
    read(line).map_err(|fault| fault.of(name))
}

fn read(line: &'static str) -> Result<Model, Fault> {
    let value: Value = serde_json::from_str(line).map_err(|error| Fault::Json(error.to_string()))?;
    let table = |key: &str| value.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let file = ConfigFile::from_map(&table("config"))?;
    let hub_id = names_of(line).next().unwrap_or_default().to_owned();
    Ok(Model { source: Source::Catalogue { hub_id, sources: sources(&table("sources")) }, file, checkpoint: None })
}

/// Each source once, the one with the most facts first.
fn sources(by_key: &Map<String, Value>) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for source in by_key.values().filter_map(Value::as_str) {
        match counted.iter_mut().find(|(known, _)| known == source) {
            Some((_, count)) => *count += 1,
            None => counted.push((source.to_owned(), 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counted.into_iter().map(|(source, _)| source).collect()
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
