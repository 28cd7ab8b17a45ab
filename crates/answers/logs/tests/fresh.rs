//! The second set of labelled reports (`fresh.jsonl.gz`), plain and as terminals, mail and launchers change them: is it the GPU's
//! memory, and are the figures right? Formats were written with these reports in sight, so the test guards against a loss and does
//! not measure how well unseen reports are read.

mod corpus;

use brimful_logs::{Facts, Report, Value, scan};
use corpus::read;

#[derive(serde::Deserialize)]
struct Fresh {
    id: String,
    text: String,
    is_gpu_oom: bool,
    fields: serde_json::Map<String, serde_json::Value>,
}

type Change = fn(&str) -> String;

/// What happens to a text between the program and the reader.
const CHANGES: [(&str, Change); 12] = [
    ("plain", str::to_owned),
    ("wrapped at 80", |text| wrapped(text, 80)),
    ("wrapped at 120", |text| wrapped(text, 120)),
    ("wrapped at 97", |text| wrapped(text, 97)),
    ("wrapped at 80, ends of lines trimmed", |text| trimmed(&wrapped(text, 80))),
    ("quoted", |text| prefixed(text, "> ")),
    ("wrapped at 80 and quoted", |text| prefixed(&wrapped(text, 80), "> ")),
    ("wrapped at 120 in a code block", |text| prefixed(&wrapped(text, 120), "    ")),
    ("decimal commas", decimal_commas),
    ("rank prefixes", |text| prefixed(text, "[rank0]: ")),
    ("rank prefixes, wrapped at 80", |text| wrapped(&prefixed(text, "(Worker_TP0 pid=4711) "), 80)),
    ("numbered lines", numbered),
];

fn wrapped(text: &str, width: usize) -> String {
    let cut = |line: &str| {
        let chars: Vec<char> = line.chars().collect();
        let pieces: Vec<String> = chars.chunks(width).map(|piece| piece.iter().collect()).collect();
        pieces.join("\n") + "\n"
    };
    text.lines().map(cut).collect()
}

fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn prefixed(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

fn numbered(text: &str) -> String {
    text.lines().zip(118..).map(|(line, number)| format!("{number:>5} | {line}\n")).collect()
}

/// Sizes as a program prints them under a German or French locale.
fn decimal_commas(text: &str) -> String {
    let size = regex::Regex::new(r"(\d)\.(\d+ ?[KMGT]i?B\b)").unwrap();
    size.replace_all(text, "$1,$2").into_owned()
}

fn facts(report: Report) -> Facts {
    let mut facts = report.incident.map(|incident| incident.facts).unwrap_or_default();
    facts.fill_from(report.facts);
    facts
}

/// Half a percent: what two printed decimals leave open.
fn close(found: Option<&Value>, truth: &serde_json::Value) -> bool {
    let found = match found {
        Some(Value::Int(found)) => *found,
        _ => return false,
    };
    truth.as_i64().is_some_and(|truth| (found - truth).abs() as f64 <= (truth as f64 * 0.005).max(1.0))
}

/// The records whose verdict is wrong, and the figures that are.
fn misses(records: &[Fresh], change: Change) -> (Vec<String>, Vec<String>) {
    let (mut verdicts, mut figures) = (Vec::new(), Vec::new());
    for record in records {
        let report = scan(change(&record.text).as_bytes()).unwrap();
        let found = report.incident.as_ref();
        if found.is_some_and(|incident| incident.kind.is_gpu_oom()) != record.is_gpu_oom {
            verdicts.push(format!("{}: {:?}", record.id, found.map(|incident| &incident.format)));
        }
        let facts = facts(report);
        let wrong = record.fields.iter().filter(|(name, truth)| !close(facts.get(name), truth));
        figures.extend(
            wrong.map(|(name, truth)| format!("{}: {name} {:?}, not {truth}", record.id, facts.get(name))),
        );
    }
    (verdicts, figures)
}

#[test]
fn at_most_three_of_a_hundred_are_wrong_in_every_form() {
    let records: Vec<Fresh> = read("fresh.jsonl.gz");
    let all = records.iter().map(|record| record.fields.len()).sum::<usize>();
    let mut wrong = Vec::new();
    for (name, change) in CHANGES {
        let (verdicts, figures) = misses(&records, change);
        let counts =
            format!("{name}: {}/{} verdicts, {}/{all} figures", verdicts.len(), records.len(), figures.len());
        eprintln!("{counts}");
        if verdicts.len() * 100 > records.len() * 3 || figures.len() * 100 > all * 3 {
            wrong.push(format!("{counts}\n  {}\n  {}", verdicts.join("\n  "), figures.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
