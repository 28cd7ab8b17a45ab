use serde_json::{Map, Value};

use crate::keys::{self, Key, joined, keys_of};

/// Changes to a job before it is checked, in the order in which flags made them. The last one wins.
///
/// ```
/// use brimful_jobs::Overrides;
/// let changes = Overrides::default().set("train.batch", "4").set("precision", "bf16").set("gpu", "24 GiB");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(Vec<(String, Value)>);

impl Overrides {
    /// The changes and one more. `key` is a path ("train.batch", "model.num_hidden_layers"), or the bare name of a key
    /// of `[train]` or `[infer]`, whichever the job has, by any of its names. `value` is a number, true, false, null, JSON, a
    /// word of another program that the key knows, or else a text.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        let typed = || serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let value = row(&path(key)).map_or_else(typed, |row| row.read(value));
        self.set_value(key, value)
    }

    /// As [`Overrides::set`], with a value that is one already.
    #[must_use]
    pub fn set_value(mut self, key: &str, value: Value) -> Self {
        self.0.push((path(key), value));
        self
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the changes on the tree of a job; returns the paths that were set.
    pub(crate) fn apply(&self, tree: &mut Value) -> Vec<String> {
        self.0.iter().map(|(key, value)| set(tree, key, value.clone())).collect()
    }
}

/// The path of a flag: `conf` is `allocator.conf`. A key of `[train]` or `[infer]` stays a bare name, by the name that the
/// job file has for it.
fn path(flag: &str) -> String {
    let flag = flag.replace('-', "_");
    let (section, word) = flag.rsplit_once('.').unwrap_or(("", &flag));
    if !section.is_empty() {
        let row = keys_of(section).find(|key| key.is_called(word));
        return row.map_or_else(|| flag.clone(), |key| joined(section, key.name));
    }
    let named = keys::flags().find(|(name, key)| *name == flag || key.is_called(&flag));
    match named {
        Some((_, key)) if is_of_a_run(key) => key.name.to_owned(),
        Some((_, key)) if key.within.len() > 1 => in_a_run(key).unwrap_or(flag),
        Some((_, key)) if key.within.len() == 1 => joined(key.within[0], key.name),
        _ => flag,
    }
}

fn is_of_a_run(key: &Key) -> bool {
    key.within.iter().any(|section| ["train", "infer"].contains(section))
}

/// The path of a key inside of a table that `[train]` and `[infer]` both have, without their names.
fn in_a_run(key: &Key) -> Option<String> {
    let table = key.within.iter().find_map(|section| section.strip_prefix("train."))?;
    Some(joined(table, key.name))
}

/// The row of a path or of a bare name; `None` if there is none, as for `model.hidden_size`.
fn row(path: &str) -> Option<&'static Key> {
    ["", "train.", "infer."].iter().find_map(|section| keys::find(&format!("{section}{path}")))
}

fn set(tree: &mut Value, key: &str, value: Value) -> String {
    let first = key.split('.').next().unwrap_or_default();
    let of_the_job = keys_of("").any(|row| row.name == first);
    let full = if of_the_job { key.to_owned() } else { format!("{}.{key}", run_section(tree)) };
    let mut names: Vec<&str> = full.split('.').collect();
    let last = names.pop().unwrap_or_default();
    let mut at = tree;
    for name in names {
        at = table(at).entry(name).or_insert(Value::Null);
    }
    table(at).insert(last.to_owned(), value);
    full
}

/// The section that bare names belong to.
fn run_section(tree: &Value) -> &'static str {
    if tree.get("infer").is_some() && tree.get("train").is_none() { "infer" } else { "train" }
}

/// The value as a table. A name in its place ("AdamW", the optimizer's) becomes the table that it is short for.
fn table(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        let mut table = Map::new();
        if let Value::String(name) = value {
            table.insert("name".to_owned(), Value::String(name.clone()));
        }
        *value = Value::Object(table);
    }
    // Cannot fail: what was no table has become one.
    value.as_object_mut().expect("made a table just above")
}
