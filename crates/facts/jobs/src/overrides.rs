use serde_json::{Map, Value};

use crate::run::{INFER_KEYS, TRAIN_KEYS};

/// Changes to a job before it is checked: what flags say, in order, the last one winning.
///
/// ```
/// use brimful_jobs::Overrides;
/// let changes = Overrides::default().set("train.batch", "4").set("precision", "bf16").set("gpu", "24 GiB");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(Vec<(String, Value)>);

/// Keys of the job that are not in `[train]` or `[infer]`.
const SECTIONS: [&str; 8] = ["model", "gpu", "train", "infer", "serve", "parallel", "allocator", "versions"];

/// Names of flags that stand for a key of another section.
const ELSEWHERE: [(&str, &str); 4] = [
    ("conf", "allocator.conf"),
    ("torch", "versions.torch"),
    ("transformers", "versions.transformers"),
    ("cudnn", "versions.cudnn"),
];

impl Overrides {
    /// The changes and one more. `key` is a path ("train.batch", "model.num_hidden_layers"), or the bare name of a key
    /// of `[train]` or `[infer]`, whichever the job has. `value` is a number, true, false, null, JSON, or else a text.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        let is_text = ["gpu", "model", "conf"].contains(&key)
            || ["versions.", "allocator."].iter().any(|section| path(key).starts_with(section));
        let text = || Value::String(value.to_owned());
        let value = if is_text { text() } else { serde_json::from_str(value).unwrap_or_else(|_| text()) };
        self.set_value(key, value)
    }

    /// As [`Overrides::set`], with a value that is one already.
    #[must_use]
    pub fn set_value(mut self, key: &str, value: Value) -> Self {
        self.0.push((path(key), value));
        self
    }

    /// The names of the flags: every key of `[train]` and `[infer]`, and the short names of others.
    pub fn flags() -> impl Iterator<Item = &'static str> {
        let elsewhere = ["model", "gpu"].into_iter().chain(ELSEWHERE.iter().map(|(flag, _)| *flag));
        let infer = INFER_KEYS.iter().copied().filter(|key| !TRAIN_KEYS.contains(key));
        elsewhere.chain(TRAIN_KEYS.iter().copied()).chain(infer)
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

/// The path of a flag.
fn path(key: &str) -> String {
    let key = key.replace('-', "_");
    match ELSEWHERE.iter().find(|(flag, _)| *flag == key) {
        Some((_, path)) => (*path).to_owned(),
        None => key,
    }
}

fn set(tree: &mut Value, key: &str, value: Value) -> String {
    let first = key.split('.').next().unwrap_or_default();
    let full =
        if SECTIONS.contains(&first) { key.to_owned() } else { format!("{}.{key}", run_section(tree)) };
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
    value.as_object_mut().expect("made a table just above")
}
