//! Texts that no format was written after: other numbers, units, versions and wordings of each format
//! (`variants.jsonl.gz`, `unseen.jsonl.gz`), and messages of public threads outside the labelled reports (`threads.jsonl.gz`).

mod corpus;

use brimful_logs::{Facts, Kind, scan};
use corpus::read;

#[derive(serde::Deserialize)]
struct Text {
    id: String,
    text: String,
    fields: serde_json::Map<String, serde_json::Value>,
    kind: Option<String>,
    is_gpu_oom: Option<bool>,
}

impl Text {
    /// Whether what was found is what it is.
    fn is(&self, kind: Option<Kind>) -> bool {
        match &self.kind {
            Some(expected) if expected == "none" => matches!(kind, None | Some(Kind::Lookalike)),
            Some(expected) => kind.is_some_and(|kind| format!("{kind:?}").to_lowercase() == *expected),
            None => kind.is_some_and(Kind::is_gpu_oom) == self.is_gpu_oom.unwrap_or(false),
        }
    }

    fn wrong_figures(&self, facts: &Facts) -> Vec<String> {
        let close = |found: i64, truth: i64| (found - truth).abs() as f64 <= (truth as f64 * 0.005).max(1.0);
        let wrong = self.fields.iter().filter(|(name, truth)| {
            !facts.int(name).zip(truth.as_i64()).is_some_and(|(found, truth)| close(found, truth))
        });
        wrong.map(|(name, truth)| format!("{}: {name} {:?}, not {truth}", self.id, facts.get(name))).collect()
    }
}

fn texts() -> Vec<Text> {
    let files = ["variants.jsonl.gz", "threads.jsonl.gz", "unseen.jsonl.gz"];
    files.iter().flat_map(|file| read::<Text>(file)).collect()
}

/// What is found of each text after a change to it, and the figures that are not.
fn misses(change: impl Fn(&str) -> String) -> (Vec<String>, Vec<String>) {
    let (mut kinds, mut figures) = (Vec::new(), Vec::new());
    for text in texts() {
        let report = scan(change(&text.text).as_bytes()).unwrap();
        let kind = report.incident.as_ref().map(|incident| incident.kind);
        if !text.is(kind) {
            kinds.push(format!("{}: {kind:?}", text.id));
        }
        let mut facts = report.incident.map(|incident| incident.facts).unwrap_or_default();
        facts.fill_from(report.facts);
        figures.extend(text.wrong_figures(&facts));
    }
    (kinds, figures)
}

#[test]
fn each_is_what_it_is() {
    let (kinds, figures) = misses(str::to_owned);
    assert!(kinds.is_empty() && figures.is_empty(), "{kinds:#?}\n{figures:#?}");
    assert!(texts().len() >= 400);
}

#[test]
fn each_is_found_in_noise() {
    let (all, all_figures) = (texts().len(), texts().iter().map(|text| text.fields.len()).sum::<usize>());
    for (name, noise) in corpus::NOISES {
        let (kinds, figures) = misses(noise);
        eprintln!(
            "{name}: {} of {all} kinds, {} of {all_figures} figures wrong: {kinds:?} {figures:?}",
            kinds.len(),
            figures.len()
        );
        assert!(kinds.len() * 100 <= all * 2, "{name}: {kinds:#?}");
        assert!(figures.len() * 100 <= all_figures * 2, "{name}: {figures:#?}");
    }
}
