//! The fixes as data: `fixes/*.toml`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;

use super::causes::matches;
use super::figures::{Condition, Figures};
use crate::keeps::Keeps;

const FILES: [&str; 3] = [
    include_str!("../../fixes/training.toml"),
    include_str!("../../fixes/inference.toml"),
    include_str!("../../fixes/system.toml"),
];

/// A change that should help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
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
    fix: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    title: String,
    keeps: Keeps,
    cost: String,
    saves: Option<String>,
    #[serde(default)]
    training: bool,
    #[serde(default)]
    frameworks_not: Vec<String>,
    #[serde(default)]
    formats: Vec<String>,
    #[serde(default)]
    formats_not: Vec<String>,
    #[serde(default)]
    already: BTreeMap<String, String>,
    #[serde(default, rename = "where")]
    conditions: Vec<String>,
    #[serde(default)]
    where_not: Vec<String>,
    apply: BTreeMap<String, String>,
}

struct Entry {
    raw: Raw,
    already: Vec<(String, Regex)>,
    conditions: Vec<Condition>,
    where_not: Vec<Condition>,
}

/// Frameworks that serve and do not train.
const SERVING: [&str; 14] = [
    "vllm",
    "sglang",
    "tgi",
    "tensorrt-llm",
    "tensorrt",
    "llama.cpp",
    "ollama",
    "exllama",
    "lmdeploy",
    "onnxruntime",
    "triton-server",
    "comfyui",
    "webgpu",
    "candle",
];

fn entries() -> &'static BTreeMap<String, Entry> {
    static ENTRIES: OnceLock<BTreeMap<String, Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let files = FILES
            .iter()
            .map(|file| toml::from_str::<File>(file).unwrap_or_else(|error| panic!("fixes/*.toml: {error}")));
        files.flat_map(|file| file.fix).map(|raw| (raw.id.clone(), entry(raw))).collect()
    })
}

fn entry(raw: Raw) -> Entry {
    let regex = |source: &str| Regex::new(source).unwrap_or_else(|error| panic!("fixes/*.toml: {error}"));
    let condition = |text: &String| {
        Condition::parse(text).unwrap_or_else(|| panic!("fixes/*.toml: {text:?} is no condition"))
    };
    Entry {
        already: raw.already.iter().map(|(key, source)| (key.clone(), regex(source))).collect(),
        conditions: raw.conditions.iter().map(condition).collect(),
        where_not: raw.where_not.iter().map(condition).collect(),
        raw,
    }
}

/// Those of the named fixes that apply: written for the framework, not on already, and not useless here.
pub(crate) fn chosen(ids: &[String], figures: &Figures<'_>) -> Vec<Fix> {
    ids.iter().filter_map(|id| entries().get(id)?.fix(figures)).collect()
}

impl Entry {
    fn fix(&self, figures: &Figures<'_>) -> Option<Fix> {
        let (raw, incident) = (&self.raw, figures.incident);
        let framework = incident.framework.as_str();
        let of = |formats: &[String]| formats.iter().any(|format| matches(format, &incident.format));
        let formats = (raw.formats.is_empty() || of(&raw.formats)) && !of(&raw.formats_not);
        let fits = formats
            && !(raw.training && (SERVING.contains(&framework) || is_evaluation(figures)))
            && !raw.frameworks_not.iter().any(|not| not == framework)
            && !self.is_on(figures)
            && self.conditions.iter().all(|condition| figures.hold(condition))
            && !self.where_not.iter().any(|condition| figures.hold(condition));
        let apply = raw.apply.get(framework).or_else(|| raw.apply.get("any")).filter(|_| fits)?;
        Some(Fix {
            id: raw.id.clone(),
            title: raw.title.clone(),
            apply: figures.fill(apply).unwrap_or_else(|| plain(apply)),
            cost: raw.cost.clone(),
            saves: raw.saves.as_ref().and_then(|saves| figures.fill(saves)),
            keeps: raw.keeps,
        })
    }

    /// Whether the log shows that the change is made already.
    fn is_on(&self, figures: &Figures<'_>) -> bool {
        let set = |key: &String| figures.report.settings.get(key);
        self.already.iter().any(|(key, pattern)| set(key).is_some_and(|value| pattern.is_match(value)))
    }
}

fn is_evaluation(figures: &Figures<'_>) -> bool {
    figures.incident.phase.as_deref() == Some("eval")
}

/// A line whose figures are unknown: what stands in braces is JSON or Python then, or says what to put there.
fn plain(apply: &str) -> String {
    apply.replace("{kv_tokens}", "<a length that fits>")
}

/// The names of all fixes.
#[cfg(test)]
pub(crate) fn names() -> Vec<String> {
    entries().keys().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixes");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
    }
}
