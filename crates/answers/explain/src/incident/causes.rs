//! The causes as data: `causes/*.md`, each with its rules in front and the page that teaches it behind.

use std::sync::OnceLock;

use brimful_logs::Kind;
use regex::Regex;
use serde::Deserialize;

use super::figures::{Condition, Figures};

/// The files of `causes/`, in the order in which they are listed.
const FILES: [&str; 26] = [
    include_str!("../../causes/weights-do-not-fit.md"),
    include_str!("../../causes/activations-too-large.md"),
    include_str!("../../causes/kv-cache-does-not-fit.md"),
    include_str!("../../causes/optimizer-state.md"),
    include_str!("../../causes/logits-or-loss-spike.md"),
    include_str!("../../causes/checkpoint-copy.md"),
    include_str!("../../causes/grad-kept-in-eval.md"),
    include_str!("../../causes/eval-outputs-accumulate.md"),
    include_str!("../../causes/leak-growth.md"),
    include_str!("../../causes/fragmentation.md"),
    include_str!("../../causes/workspace-or-compute-buffer.md"),
    include_str!("../../causes/cuda-graphs.md"),
    include_str!("../../causes/cuda-context-or-library-init.md"),
    include_str!("../../causes/memory-fraction-cap.md"),
    include_str!("../../causes/single-allocation-limit.md"),
    include_str!("../../causes/other-process-holds-memory.md"),
    include_str!("../../causes/wrong-placement.md"),
    include_str!("../../causes/index-overflow-or-absurd-size.md"),
    include_str!("../../causes/driver-or-framework-bug.md"),
    include_str!("../../causes/live-memory-full.md"),
    include_str!("../../causes/host-ram.md"),
    include_str!("../../causes/pinned-host-memory.md"),
    include_str!("../../causes/dev-shm.md"),
    include_str!("../../causes/shared-memory-kernel-limit.md"),
    include_str!("../../causes/not-oom.md"),
    include_str!("../../causes/unknown.md"),
];

/// A cause as it is taught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausePage {
    /// Its name, such as `fragmentation`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is, in a line.
    pub meaning: String,
    /// A text with this cause.
    pub example: String,
    /// The page, in Markdown.
    pub page: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    id: String,
    title: String,
    meaning: String,
    example: String,
    fixes: Vec<String>,
    tell: Option<String>,
    #[serde(default)]
    rule: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    order: u16,
    confidence: f64,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default)]
    formats: Vec<String>,
    #[serde(default)]
    phases: Vec<String>,
    frames: Option<String>,
    frames_unless: Option<String>,
    message: Option<String>,
    #[serde(default, rename = "where")]
    conditions: Vec<String>,
    evidence: Vec<String>,
}

/// A cause with its rules.
pub(crate) struct Cause {
    pub page: CausePage,
    pub fixes: Vec<String>,
    pub tell: Option<String>,
}

/// When a cause is concluded. Of all rules that hold, the one with the lowest order counts.
pub(crate) struct Rule {
    pub cause: usize,
    pub order: u16,
    pub confidence: f64,
    pub evidence: Vec<String>,
    kinds: Vec<Kind>,
    formats: Vec<String>,
    phases: Vec<String>,
    frames: Option<Regex>,
    frames_unless: Option<Regex>,
    message: Option<Regex>,
    conditions: Vec<Condition>,
}

impl Rule {
    /// Whether everything that the rule asks for is so.
    pub fn holds(&self, figures: &Figures<'_>) -> bool {
        let incident = figures.incident;
        let kind = if self.kinds.is_empty() {
            incident.kind.is_gpu_oom()
        } else {
            self.kinds.contains(&incident.kind)
        };
        let phase = || incident.phase.as_ref().is_some_and(|phase| self.phases.contains(phase));
        let found = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|p| p.is_match(text));
        kind && (self.formats.is_empty()
            || self.formats.iter().any(|format| matches(format, &incident.format)))
            && (self.phases.is_empty() || phase())
            && found(&self.message, &incident.message)
            && self.conditions.iter().all(|condition| figures.hold(condition))
            && found(&self.frames, &incident.frames)
            && !self.frames_unless.as_ref().is_some_and(|pattern| pattern.is_match(&incident.frames))
    }
}

/// Whether a name is meant: `pt-*` means every name that begins so.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// All causes, and their rules in order.
pub(crate) struct Causes {
    pub causes: Vec<Cause>,
    pub rules: Vec<Rule>,
}

impl Causes {
    /// The built-in causes.
    pub fn get() -> &'static Causes {
        static CAUSES: OnceLock<Causes> = OnceLock::new();
        CAUSES.get_or_init(|| {
            let (mut causes, mut rules) = (Vec::new(), Vec::new());
            for (at, file) in FILES.iter().enumerate() {
                let (cause, own) = read(file);
                causes.push(cause);
                rules.extend(own.into_iter().map(|raw| compile(at, raw)));
            }
            rules.sort_by_key(|rule| rule.order);
            Causes { causes, rules }
        })
    }
}

fn read(file: &str) -> (Cause, Vec<RawRule>) {
    let (head, page) = file
        .strip_prefix("+++\n")
        .and_then(|rest| rest.split_once("\n+++\n"))
        .expect("causes/*.md: a head between +++");
    let head: Head = toml::from_str(head).unwrap_or_else(|error| panic!("causes/*.md: {error}"));
    let page = CausePage {
        id: head.id,
        title: head.title,
        meaning: head.meaning,
        example: head.example,
        page: page.trim().to_owned(),
    };
    (Cause { page, fixes: head.fixes, tell: head.tell }, head.rule)
}

fn compile(cause: usize, raw: RawRule) -> Rule {
    let regex = |source: Option<String>| {
        source.map(|source| Regex::new(&source).unwrap_or_else(|error| panic!("causes/*.md: {error}")))
    };
    let condition = |text: &String| {
        Condition::parse(text).unwrap_or_else(|| panic!("causes/*.md: {text:?} is no condition"))
    };
    Rule {
        cause,
        order: raw.order,
        confidence: raw.confidence,
        conditions: raw.conditions.iter().map(condition).collect(),
        evidence: raw.evidence,
        kinds: raw.kinds,
        formats: raw.formats,
        phases: raw.phases,
        frames: regex(raw.frames),
        frames_unless: regex(raw.frames_unless),
        message: regex(raw.message),
    }
}

/// Every cause, as it is taught.
pub fn cause_pages() -> impl Iterator<Item = &'static CausePage> {
    Causes::get().causes.iter().map(|cause| &cause.page)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_cause() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/causes");
        let mut files: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.strip_suffix(".md").unwrap_or(&name).to_owned())
            .collect();
        let mut ids: Vec<String> = cause_pages().map(|page| page.id.clone()).collect();
        files.sort();
        ids.sort();
        assert_eq!(ids, files);
    }
}
