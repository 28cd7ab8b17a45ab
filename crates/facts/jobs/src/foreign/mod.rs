//! Training configs of other programs as jobs: a table for each format says which of its keys mean which of the job's.

mod formats;

use serde_json::{Map, Value};

use crate::keys::plain;
use crate::{JobFault, Overrides};

/// A format of another program.
pub(crate) struct Foreign {
    /// The program.
    name: &'static str,
    /// A file has this format if it has all keys of one of these lists.
    signs: &'static [&'static [&'static str]],
    /// What to do instead, for a format whose runs are not simulated; `None` if they are.
    instead: Option<&'static str>,
    /// Keys of the job that the program sets where its file does not.
    defaults: &'static [(&'static str, &'static str)],
    /// Its keys, in the order in which they are applied.
    rows: &'static [Row],
    /// Keys that it has in common with other formats, applied after its own.
    shared: &'static [&'static [Row]],
}

/// A key of the other program and what it means.
pub(crate) struct Row {
    /// The path of its key.
    theirs: &'static str,
    /// The path of the job's key.
    key: &'static str,
    /// How its values become the job's.
    values: Values,
    /// Another key of the file that must have this value.
    only_with: Option<(&'static str, &'static str)>,
}

/// How a program's values become the job's. What no variant converts changes nothing and is not taken.
pub(crate) enum Values {
    /// Both write the same.
    Same,
    /// The job's value where the program's is true; false changes nothing.
    Switch(&'static str),
    /// Pairs of the program's word and the job's; a word that changes nothing stands for itself as "".
    Words(&'static [(&'static str, &'static str)]),
    /// A list, or names with commas between them.
    List,
    /// The job's value wherever theirs is more than an empty text or list.
    Given(&'static str),
}

/// A foreign file as a job.
pub(crate) struct Translated {
    /// The job's tree.
    pub tree: Value,
    /// What the reader of the answer must know.
    pub note: String,
    /// The keys that were taken: the file's path and the job's.
    taken: Vec<(&'static str, &'static str)>,
}

impl Translated {
    /// The path in the file of what became a key of the job.
    pub(crate) fn theirs(&self, key: &str) -> Option<&'static str> {
        let holds = |ours: &str| {
            ours == key || key.starts_with(&format!("{ours}.")) || ours.starts_with(&format!("{key}."))
        };
        self.taken.iter().find(|(_, ours)| holds(ours)).map(|(theirs, _)| *theirs)
    }
}

/// Sections that only a job of ours has.
const OURS: [&str; 3] = ["train", "infer", "serve"];

/// The tree of another program's config as a job; `None` for a job of ours.
///
/// # Errors
/// A format whose runs are not simulated, with the command that measures them.
pub(crate) fn translate(tree: &Value) -> Result<Option<Translated>, JobFault> {
    let Some(map) = tree.as_object().filter(|map| !OURS.iter().any(|key| map.contains_key(*key))) else {
        return Ok(None);
    };
    let all_of = |keys: &&[&str]| keys.iter().all(|key| map.contains_key(*key));
    let Some(format) = formats::ALL.iter().find(|format| format.signs.iter().any(all_of)) else {
        return Ok(None);
    };
    match format.instead {
        Some(instead) => Err(JobFault::Foreign { program: format.name, instead }),
        None => Ok(Some(format.read(tree, map))),
    }
}

impl Foreign {
    fn all_rows(&self) -> impl Iterator<Item = &'static Row> {
        self.rows.iter().chain(self.shared.iter().copied().flatten())
    }

    fn read(&self, tree: &Value, map: &Map<String, Value>) -> Translated {
        let defaults = self.defaults.iter();
        let mut job = defaults.fold(Overrides::default(), |job, (key, value)| job.set(key, value));
        let (mut taken, mut known) = (Vec::new(), Vec::new());
        for row in self.all_rows() {
            let Some(value) = at(tree, row.theirs).filter(|value| !value.is_null()) else { continue };
            let applies = row
                .only_with
                .is_none_or(|(key, word)| at(tree, key).is_some_and(|value| plain(value) == word));
            match row.values.read(value).filter(|_| applies) {
                Some(Value::Null) => known.push(row.theirs),
                Some(Value::String(text)) => {
                    job = job.set(row.key, &text);
                    taken.push((row.theirs, row.key));
                }
                Some(value) => {
                    job = job.set_value(row.key, value);
                    taken.push((row.theirs, row.key));
                }
                None => {}
            }
        }
        let read = |key: &String| {
            let first = |path: &&str| path.split('.').next() == Some(key);
            known.iter().any(first) || taken.iter().any(|(theirs, _)| first(theirs))
        };
        let left: Vec<&str> = map.keys().filter(|key| !read(key)).map(String::as_str).collect();
        let mut job_tree = Value::Object(Map::new());
        job.apply(&mut job_tree);
        Translated { tree: job_tree, note: self.note(&left), taken }
    }

    fn note(&self, left: &[&str]) -> String {
        let mut note = format!("the file is read as a config of {}", self.name);
        if !self.defaults.is_empty() {
            let defaults: Vec<&str> = self.defaults.iter().map(|(key, _)| *key).collect();
            note += &format!("; its defaults are taken for {}", defaults.join(", "));
        }
        match left {
            [] => note,
            left => format!("{note}; these keys are not taken: {}", left.join(", ")),
        }
    }
}

fn at<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(tree, |at, name| at.get(name))
}

impl Values {
    /// The job's value; `Null` if the program's changes nothing, `None` if it is not understood.
    fn read(&self, value: &Value) -> Option<Value> {
        let text = plain(value);
        match self {
            Values::Same if value.is_object() || value.is_array() => Some(value.clone()),
            Values::Same => Some(text.into()),
            Values::Switch(ours) => match text.to_ascii_lowercase().as_str() {
                "true" | "auto" | "full" | "yes" => Some((*ours).into()),
                "false" | "no" => Some(Value::Null),
                _ => None,
            },
            Values::Words(pairs) => {
                let ours = pairs.iter().find(|pair| pair.0 == text)?.1;
                Some(if ours.is_empty() { Value::Null } else { ours.into() })
            }
            Values::List if value.is_array() => Some(value.clone()),
            Values::List => Some(text.split(',').map(|name| Value::from(name.trim())).collect()),
            Values::Given(_) if ["", "[]", "{}", "false"].contains(&text.as_str()) => Some(Value::Null),
            Values::Given(ours) => Some((*ours).into()),
        }
    }
}
