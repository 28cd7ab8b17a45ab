//! The causes as data: `causes/*.md`, each with its rules in front and the page that teaches it behind.

use std::sync::OnceLock;

use brimful_logs::Kind;
use serde::Deserialize;

use super::figures::{Condition, Figures};
use super::world::{Pattern, Scope};

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

/// A rule as it is written. Unknown keys are refused by the test of this module: serde cannot beside `flatten`.
#[derive(Deserialize)]
struct RawRule {
    order: u16,
    confidence: f64,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default)]
    formats: Vec<String>,
    #[serde(default)]
    phases: Vec<String>,
    frames: Option<Pattern>,
    frames_unless: Option<Pattern>,
    message: Option<Pattern>,
    #[serde(default, rename = "where")]
    conditions: Vec<Condition>,
    evidence: Vec<String>,
    #[serde(default)]
    candidates: Vec<Candidate>,
    fixes: Option<Vec<String>>,
    tell: Option<String>,
    #[serde(flatten)]
    scope: Scope,
}

/// Another class that a text allows, and how sure that would be: `"fragmentation 0.3"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Candidate {
    pub class: String,
    pub confidence: f64,
}

impl TryFrom<String> for Candidate {
    type Error = String;

    fn try_from(text: String) -> Result<Candidate, String> {
        let read = text.split_once(' ').and_then(|(class, sure)| Some((class, sure.parse().ok()?)));
        let (class, confidence) = read.ok_or_else(|| format!("{text:?} is no class with its confidence"))?;
        Ok(Candidate { class: class.to_owned(), confidence })
    }
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
    raw: RawRule,
}

impl Rule {
    /// How sure it is.
    pub fn confidence(&self) -> f64 {
        self.raw.confidence
    }

    /// The sentences that say why.
    pub fn evidence(&self) -> &[String] {
        &self.raw.evidence
    }

    /// What else the same text allows.
    pub fn candidates(&self) -> &[Candidate] {
        &self.raw.candidates
    }

    /// The fixes, where the rule has its own.
    pub fn fixes(&self) -> Option<&[String]> {
        self.raw.fixes.as_deref()
    }

    /// What would decide it, where the rule knows.
    pub fn tell(&self) -> Option<&str> {
        self.raw.tell.as_deref()
    }

    /// Whether everything that the rule asks for is so.
    pub fn holds(&self, figures: &Figures<'_>) -> bool {
        let (raw, incident) = (&self.raw, figures.incident);
        let kind = if raw.kinds.is_empty() {
            incident.kind.is_gpu_oom()
        } else {
            raw.kinds.contains(&incident.kind)
        };
        let phase = || incident.phase.as_ref().is_some_and(|phase| raw.phases.contains(phase));
        let found = |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|p| p.is_match(text));
        kind && (raw.formats.is_empty() || raw.formats.iter().any(|format| matches(format, &incident.format)))
            && (raw.phases.is_empty() || phase())
            && raw.scope.admits(&figures.world)
            && found(&raw.message, &incident.message)
            && raw.conditions.iter().all(|condition| figures.hold(condition))
            && found(&raw.frames, &incident.frames)
            && !raw.frames_unless.as_ref().is_some_and(|pattern| pattern.is_match(&incident.frames))
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
#[derive(Default)]
pub(crate) struct Causes {
    pub causes: Vec<Cause>,
    pub rules: Vec<Rule>,
}

impl Causes {
    /// The built-in causes.
    pub fn get() -> &'static Causes {
        static CAUSES: OnceLock<Causes> = OnceLock::new();
        // A test reads every file: it is never the empty default.
        CAUSES.get_or_init(|| Causes::read().unwrap_or_default())
    }

    fn read() -> Result<Causes, String> {
        let mut read = Causes::default();
        for (at, file) in FILES.iter().enumerate() {
            let (cause, own) = cause(file)?;
            read.causes.push(cause);
            read.rules.extend(own.into_iter().map(|raw| Rule { cause: at, raw }));
        }
        read.rules.sort_by_key(|rule| rule.raw.order);
        Ok(read)
    }

    /// The cause of a class.
    pub fn of(&self, class: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.page.id == class)
    }

    /// The class that a rule concludes.
    pub fn class(&self, rule: &Rule) -> &str {
        self.causes.get(rule.cause).map_or("unknown", |cause| &cause.page.id)
    }
}

fn head(file: &str) -> Option<(&str, &str)> {
    file.strip_prefix("+++\n")?.split_once("\n+++\n")
}

fn cause(file: &str) -> Result<(Cause, Vec<RawRule>), String> {
    let (head, page) = head(file).ok_or("no head between +++")?;
    let head: Head = toml::from_str(head).map_err(|error| error.to_string())?;
    let page = CausePage {
        id: head.id,
        title: head.title,
        meaning: head.meaning,
        example: head.example,
        page: page.trim().to_owned(),
    };
    Ok((Cause { page, fixes: head.fixes, tell: head.tell }, head.rule))
}

/// Every cause, as it is taught.
pub fn cause_pages() -> impl Iterator<Item = &'static CausePage> {
    Causes::get().causes.iter().map(|cause| &cause.page)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The keys of a rule, of its scope first.
    const KEYS: [&str; 22] = [
        "frameworks",
        "frameworks_not",
        "accelerators",
        "accelerators_not",
        "tasks",
        "systems",
        "systems_not",
        "unified",
        "torch_from",
        "order",
        "confidence",
        "kinds",
        "formats",
        "phases",
        "frames",
        "frames_unless",
        "message",
        "where",
        "evidence",
        "candidates",
        "fixes",
        "tell",
    ];

    #[test]
    fn every_file_is_read_and_names_only_what_exists() {
        let read = Causes::read().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.causes.len(), FILES.len());
        for file in FILES {
            let rules: toml::Table = toml::from_str(head(file).unwrap().0).unwrap();
            for rule in rules.get("rule").and_then(toml::Value::as_array).into_iter().flatten() {
                for key in rule.as_table().unwrap().keys() {
                    assert!(KEYS.contains(&key.as_str()), "{:?}: {key}", rules["id"]);
                }
            }
        }
        for rule in &read.rules {
            assert!(!rule.evidence().is_empty());
            for pattern in
                [&rule.raw.frames, &rule.raw.frames_unless, &rule.raw.message].into_iter().flatten()
            {
                assert_eq!(pattern.check(), Ok(()));
            }
            assert_eq!(rule.raw.scope.unknown_names(), Vec::<String>::new());
            for candidate in rule.candidates() {
                assert!(read.of(&candidate.class).is_some(), "{}", candidate.class);
            }
        }
    }

    #[test]
    fn what_the_text_does_not_decide_comes_with_candidates() {
        for rule in &Causes::get().rules {
            let unknown = Causes::get().class(rule) == "unknown";
            assert!(!unknown || rule.candidates().len() >= 2, "{:?}", rule.evidence());
        }
    }

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
