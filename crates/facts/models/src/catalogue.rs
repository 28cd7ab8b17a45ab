//! Facts of known models, embedded: one line of JSON for each model in `data/catalogue.jsonl`, with the source of
//! every fact. Searched line by line, so that a lookup parses one model and not all.

use brimful_units::nearest;
use serde_json::{Map, Value};

use crate::spelling::{Spelling, hub_id, without_owner};
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

/// The model of that name, in any case, from any owner, as an address of the hub, or as people write it (`llama3-8b`).
///
/// # Errors
/// [`Fault::Missing`] with the nearest name, [`Fault::SeveralModels`] if the name stands for several, [`Fault::Quantized`]
/// for a copy with quantized weights; the model's own fault where its architecture is not simulated.
pub fn model(name: &str) -> Result<Model, ModelError> {
    model_with(name, &Map::new())
}

/// The model of that name with some keys of its config changed.
pub(crate) fn model_with(name: &str, changes: &Map<String, Value>) -> Result<Model, ModelError> {
    found(name, changes).map_err(|fault| fault.of(name))
}

/// The keys of a model's config, simulated or not, and what to say about how its name was read.
///
/// # Errors
/// As [`model`], but for architectures that are not simulated.
pub(crate) fn keys(name: &str) -> Result<(Map<String, Value>, Option<String>), ModelError> {
    let of_line = || {
        let (line, note) = line_and_note(name)?;
        let value: Value = serde_json::from_str(line).map_err(|error| Fault::Json(error.to_string()))?;
        let config = value.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok((config, note))
    };
    of_line().map_err(|fault: Fault| fault.of(name))
}

fn found(name: &str, changes: &Map<String, Value>) -> Result<Model, Fault> {
    let (line, note) = line_and_note(name)?;
    Ok(Model { note, ..read_with(line, changes)? })
}

/// The line that a name stands for, and a note if that is not the name itself.
fn line_and_note(name: &str) -> Result<(&'static str, Option<String>), Fault> {
    let id = hub_id(name);
    if let Some(line) = line_of(id) {
        return Ok((line, None));
    }
    let Some(short) = without_owner(id) else { return Err(Fault::Missing { nearest: None }) };
    let typed = Spelling::of(short);
    let line = line_of(short).or_else(|| with_words(&typed)).or_else(|| with_architecture(&typed));
    match (line, typed.quantized) {
        (Some(line), Some(weights)) => {
            read(line)?;
            Err(Fault::Quantized { weights, base: first_name(line) })
        }
        (Some(line), None) => {
            let note = format!("{id} is read as {} of the catalogue", first_name(line));
            // Only signs and cases differ, or also the owner or the training.
            let same_words = id == short && names_of(line).any(|known| Spelling::of(bare(known)) == typed);
            Ok((line, (!same_words).then_some(note)))
        }
        (None, _) => Err(of_no_line(id, &typed)),
    }
}

/// The catalogue's first name of a line: its hub id.
fn first_name(line: &'static str) -> String {
    names_of(line).next().unwrap_or_default().to_owned()
}

/// A name without its owner.
fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn with_words(typed: &Spelling) -> Option<&'static str> {
    let same = |line: &&'static str| names_of(line).any(|name| Spelling::of(bare(name)).words == typed.words);
    LINES.lines().find(|line| !typed.words.is_empty() && same(line))
}

/// The first line with the same words but for those that name a training: `-chat`, `-it`.
fn with_architecture(typed: &Spelling) -> Option<&'static str> {
    let words = typed.architecture();
    let same =
        |line: &&'static str| names_of(line).any(|name| Spelling::of(bare(name)).architecture() == words);
    LINES.lines().find(|line| !words.is_empty() && same(line))
}

/// Why a name stands for no line: it is misspelt, it stands for several, or its family is not simulated.
fn of_no_line(id: &str, typed: &Spelling) -> Fault {
    if let Some(nearest) = nearest_name(id, typed) {
        return Fault::Missing { nearest: Some(nearest) };
    }
    let words = typed.architecture();
    let family = (1..=words.len()).rev().map(|length| beginning_with(&words[..length]));
    let family = family.into_iter().find(|lines| !lines.is_empty()).unwrap_or_default();
    let simulated: Vec<String> =
        family.iter().filter(|line| read(line).is_ok()).map(|line| first_name(line)).collect();
    match (family.first(), simulated.is_empty()) {
        (None, _) => Fault::Missing { nearest: None },
        (Some(line), true) => read(line).err().unwrap_or(Fault::Missing { nearest: None }),
        (Some(_), false) => Fault::SeveralModels { known: simulated.into_iter().take(CANDIDATES).collect() },
    }
}

/// A message lists at most this many models.
const CANDIDATES: usize = 6;

/// The lines of which a name begins with these words.
fn beginning_with(words: &[&str]) -> Vec<&'static str> {
    let begins = |name: &str| Spelling::of(bare(name)).architecture().starts_with(words);
    LINES.lines().filter(|line| names_of(line).any(begins)).collect()
}

fn line_of(name: &str) -> Option<&'static str> {
    LINES.lines().find(|line| names_of(line).any(|known| same(known, name)))
}

/// A model of the catalogue as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The hub id and the other names, the hub id first.
    pub names: Vec<&'static str>,
    /// Its `model_type`.
    pub model_type: String,
    /// Its parameters; `None` if the catalogue has no published count.
    pub parameters: Option<u64>,
    /// Whether it is simulated.
    pub simulated: bool,
}

/// The models whose names have every word of the filter, in the order of the catalogue; an empty filter takes them all.
///
/// ```
/// let found = brimful_models::catalogue::entries("llama3 8b");
/// assert!(found.iter().any(|model| model.names[0] == "meta-llama/Meta-Llama-3-8B"));
/// ```
pub fn entries(filter: &str) -> Vec<Entry> {
    let words = Spelling::of(filter).words;
    let has = |name: &str, word: &String| {
        let lower = name.to_ascii_lowercase();
        Spelling::of(&lower).words.contains(word)
            || lower.contains(word.as_str()) && word.parse::<f64>().is_err()
    };
    let fits = |line: &&'static str| names_of(line).any(|name| words.iter().all(|word| has(name, word)));
    LINES.lines().filter(fits).map(entry).collect()
}

fn entry(line: &'static str) -> Entry {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let model_type =
        value.pointer("/config/model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let parameters = value.get("params").and_then(Value::as_u64);
    Entry { names: names_of(line).collect(), model_type, parameters, simulated: read(line).is_ok() }
}

fn read(line: &'static str) -> Result<Model, Fault> {
    read_with(line, &Map::new())
}

fn read_with(line: &'static str, changes: &Map<String, Value>) -> Result<Model, Fault> {
    let value: Value = serde_json::from_str(line).map_err(|error| Fault::Json(error.to_string()))?;
    let table = |key: &str| value.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut config = table("config");
    config.extend(changes.clone());
    let file = ConfigFile::from_map(&config)?;
    let hub_id = names_of(line).next().unwrap_or_default().to_owned();
    Ok(Model {
        source: Source::Catalogue { hub_id, sources: sources(&table("sources")) },
        file,
        checkpoint: None,
        note: None,
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

/// The nearest name that leads to an answer: that of a simulated model with the same version and size. Else a name that
/// stands within what was typed, as in `Hermes-3-Llama-3.1-8B`.
fn nearest_name(id: &str, typed: &Spelling) -> Option<String> {
    let simulated: Vec<&str> = LINES.lines().filter(|line| read(line).is_ok()).flat_map(names_of).collect();
    let same_numbers: Vec<&str> = simulated
        .iter()
        .copied()
        .filter(|name| Spelling::of(bare(name)).numbers() == typed.numbers())
        .collect();
    let misspelt =
        nearest(id, same_numbers.iter().copied()).or_else(|| nearest(bare(id), same_numbers.iter().copied()));
    let within = || {
        let contains = |name: &str| {
            let words = Spelling::of(bare(name)).words;
            words.len() >= 3 && typed.words.windows(words.len()).any(|window| window == words)
        };
        simulated.iter().copied().find(|name| contains(name))
    };
    misspelt.or_else(within).map(str::to_owned)
}
