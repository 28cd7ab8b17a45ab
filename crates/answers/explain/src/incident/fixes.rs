//! The fixes as data: `fixes/*.toml`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::causes::matches;
use super::figures::{Condition, Figures};
use super::world::{Pattern, Scope, World};
use crate::keeps::Keeps;

const FILES: [&str; 3] = [
    include_str!("../../fixes/training.toml"),
    include_str!("../../fixes/inference.toml"),
    include_str!("../../fixes/system.toml"),
];

/// A change that should help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisedFix {
    /// Its name, such as `expandable-segments`.
    pub id: String,
    /// What it is.
    pub title: String,
    /// The flag, key or line, for the framework that was seen.
    pub apply: String,
    /// What it costs.
    pub cost: String,
    /// What it frees or gives, where the figures tell.
    pub saves: Option<String>,
    /// What it does to the result.
    pub keeps: Keeps,
}

#[derive(Deserialize)]
struct File {
    fix: [Entry; 1],
}

/// A fix as it is written. Unknown keys are refused by the test of this module: serde cannot beside `flatten`.
#[derive(Deserialize)]
struct Entry {
    id: String,
    title: String,
    keeps: Keeps,
    cost: String,
    saves: Option<String>,
    #[serde(default)]
    formats: Vec<String>,
    #[serde(default)]
    formats_not: Vec<String>,
    #[serde(default)]
    already: BTreeMap<String, Pattern>,
    /// Words of the text by which the change is in effect already.
    seen: Option<Pattern>,
    #[serde(default, rename = "where")]
    conditions: Vec<Condition>,
    #[serde(default)]
    where_not: Vec<Condition>,
    apply: BTreeMap<String, String>,
    /// The change where nothing is trained, if it is another one.
    #[serde(default)]
    apply_infer: BTreeMap<String, String>,
    #[serde(flatten)]
    scope: Scope,
}

/// The text of a fix and the fix, which is read when a cause first names it.
struct Lazy {
    source: &'static str,
    entry: OnceLock<Option<Entry>>,
}

/// The fix of this name. A test reads every fix: none that exists is absent.
fn entry(id: &str) -> Option<&'static Entry> {
    static FIXES: OnceLock<BTreeMap<&'static str, Lazy>> = OnceLock::new();
    let lazy = |(id, source)| (id, Lazy { source, entry: OnceLock::new() });
    let fix = FIXES.get_or_init(|| FILES.into_iter().flat_map(sources).map(lazy).collect()).get(id)?;
    fix.entry.get_or_init(|| read(fix.source).ok()).as_ref()
}

/// A fix begins so; its name stands on its first line.
const BEGIN: &str = "[[fix]]\nid = \"";

/// The name and the text of each fix of a file.
fn sources(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let starts: Vec<usize> = file.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([file.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| {
        let source = &file[start..end];
        (source[BEGIN.len()..].split('"').next().unwrap_or_default(), source)
    })
}

fn read(source: &str) -> Result<Entry, toml::de::Error> {
    let File { fix: [entry] } = toml::from_str(source)?;
    Ok(entry)
}

/// Those of the named fixes that apply, each once: of this world, not on already, and not useless here. Without any
/// sign of training, what helps training alone comes last.
pub(crate) fn chosen<'a>(
    ids: impl IntoIterator<Item = &'a String>,
    figures: &Figures<'_>,
) -> Vec<AdvisedFix> {
    let mut fixes: Vec<(bool, AdvisedFix)> = Vec::new();
    for entry in ids.into_iter().filter_map(|id| entry(id)) {
        if fixes.iter().all(|(_, fix)| fix.id != entry.id) {
            let late = entry.scope.trains_only() && figures.world.task != Some("train");
            fixes.extend(entry.fix(figures).map(|fix| (late, fix)));
        }
    }
    fixes.sort_by_key(|(late, _)| *late);
    fixes.into_iter().map(|(_, fix)| fix).collect()
}

impl Entry {
    fn fix(&self, figures: &Figures<'_>) -> Option<AdvisedFix> {
        let incident = figures.incident;
        let of = |formats: &[String]| formats.iter().any(|format| matches(format, &incident.format));
        let fits = (self.formats.is_empty() || of(&self.formats))
            && !of(&self.formats_not)
            && self.scope.admits(&figures.world)
            && !self.is_on(figures)
            && self.conditions.iter().all(|condition| figures.hold(condition))
            && !self.where_not.iter().any(|condition| figures.hold(condition));
        let apply = self.change(&figures.world).filter(|_| fits)?;
        Some(AdvisedFix {
            id: self.id.clone(),
            title: self.title.clone(),
            apply: figures.fill(apply).unwrap_or_else(|| plain(apply)),
            cost: self.cost.clone(),
            saves: self.saves.as_ref().and_then(|saves| figures.fill(saves)),
            keeps: self.keeps,
        })
    }

    /// The change for this world: without training the one for that, then the accelerator's if it is none of NVIDIA's,
    /// then the framework's, then that for all others.
    fn change(&self, world: &World) -> Option<&String> {
        let accelerator = world.accelerator.name.as_str();
        let keys = [world.framework.as_str(), accelerator, "any"];
        let of = |list: &'_ BTreeMap<String, String>, key: &str| list.contains_key(key);
        let infers = world.task == Some("infer");
        let key = keys.into_iter().find(|key| infers && of(&self.apply_infer, key));
        match key {
            Some(key) => self.apply_infer.get(key),
            None => keys.into_iter().find_map(|key| self.apply.get(key)),
        }
    }

    /// Whether the log shows that the change is made already.
    fn is_on(&self, figures: &Figures<'_>) -> bool {
        let set = |key: &String| figures.report.settings.get(key);
        let seen = |pattern: &Pattern| pattern.is_match(&figures.incident.frames);
        self.already.iter().any(|(key, pattern)| set(key).is_some_and(|value| pattern.is_match(value)))
            || self.seen.as_ref().is_some_and(seen)
    }
}

/// A line whose figures are unknown: what stands in braces is JSON or Python then, or says what to put there.
fn plain(apply: &str) -> String {
    apply.replace("{kv_tokens}", "<a length that fits>")
}

/// The names of all fixes.
#[cfg(test)]
pub(crate) fn names() -> Vec<String> {
    FILES.into_iter().flat_map(sources).map(|(id, _)| id.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 21] = [
        "id",
        "title",
        "keeps",
        "cost",
        "saves",
        "formats",
        "formats_not",
        "already",
        "seen",
        "where",
        "where_not",
        "apply",
        "apply_infer",
        "frameworks",
        "frameworks_not",
        "accelerators",
        "accelerators_not",
        "tasks",
        "systems_not",
        "unified",
        "torch_from",
    ];

    #[test]
    fn every_fix_is_read_and_names_only_what_exists() {
        for file in FILES {
            let table: toml::Table = toml::from_str(file).unwrap();
            let written: Vec<&str> =
                table["fix"].as_array().unwrap().iter().map(|fix| fix["id"].as_str().unwrap()).collect();
            assert_eq!(sources(file).map(|(id, _)| id).collect::<Vec<_>>(), written);
            for fix in table["fix"].as_array().unwrap() {
                for key in fix.as_table().unwrap().keys() {
                    assert!(KEYS.contains(&key.as_str()), "{:?}: {key}", fix["id"]);
                }
            }
        }
        for (id, source) in FILES.into_iter().flat_map(sources) {
            let fix = read(source).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(fix.id, id);
            for pattern in fix.already.values().chain(&fix.seen) {
                assert_eq!(pattern.check(), Ok(()));
            }
            assert_eq!(fix.scope.unknown_names(), Vec::<String>::new(), "{}", fix.id);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixes");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
    }
}
