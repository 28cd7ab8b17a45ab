use brimful_explain::{AdvisedFix, CardLedger, CausePage, Diagnosis, Keeps, Part};
use brimful_logs::{FormatInfo, Incident, Kind, Value};
use brimful_units::Bytes;

use super::IncidentAnswer;
use super::answer::{notes, unknown};
use crate::forms::bar::{bar, sign_in_turn};
use crate::forms::{Style, counted, hanging, next_line, table};

/// So many fixes are shown; `--json` has all.
const MOST_FIXES: usize = 5;

/// The answer for people: verdict first, the card as a bar, the cause with its evidence, fixes, the next command.
pub fn incident_text(answer: &IncidentAnswer<'_>) -> String {
    let mut lines = match (&answer.report.incident, answer.diagnosis) {
        (Some(incident), Some(diagnosis)) => failure(answer, incident, diagnosis),
        _ => healthy(answer),
    };
    lines.push(String::new());
    lines.join("\n")
}

fn healthy(answer: &IncidentAnswer<'_>) -> Vec<String> {
    let verdict = Style::GOOD.paint("✓ no memory failure");
    let read = format!("{}, {}", counted(answer.report.lines, "line"), answer.report.bytes());
    let mut lines = vec![format!("{verdict} in {} ({read})", answer.input)];
    lines.extend(figures(answer));
    lines
}

/// What the program wrote about its memory, though nothing failed.
fn figures(answer: &IncidentAnswer<'_>) -> Vec<String> {
    let rows = answer.report.facts.iter().filter_map(|(name, value)| {
        let Value::Int(n) = value else { return None };
        let amount = match name.strip_suffix("_bytes") {
            Some(_) => Bytes::new(u64::try_from(*n).ok()?).to_string(),
            None => n.to_string(),
        };
        Some(vec![format!("  {}", name.trim_end_matches("_bytes").replace('_', " ")), amount, String::new()])
    });
    table(&rows.collect::<Vec<_>>())
}

trait Size {
    fn bytes(&self) -> Bytes;
}

impl Size for brimful_logs::Report {
    fn bytes(&self) -> Bytes {
        Bytes::new(self.bytes)
    }
}

fn failure(answer: &IncidentAnswer<'_>, incident: &Incident, diagnosis: &Diagnosis) -> Vec<String> {
    let mut lines = vec![verdict(incident, diagnosis), place(answer, incident), String::new()];
    lines.extend(incident.facts.bytes("tried_bytes").map(|tried| format!("  asked for {tried}")));
    lines.extend(diagnosis.ledger.as_ref().map_or(Vec::new(), card));
    lines.push(Style::STRONG.paint("  why"));
    lines.extend(diagnosis.cause.evidence.iter().flat_map(|sentence| hanging("  · ", sentence)));
    lines.extend(or_else(diagnosis));
    lines.extend(diagnosis.cause.tell.iter().flat_map(|tell| hanging("  what would tell: ", tell)));
    lines.extend(notes(Some(incident), Some(diagnosis)).iter().flat_map(|note| hanging("  note: ", note)));
    lines.extend(expected(answer));
    lines.push(String::new());
    lines.push(Style::STRONG.paint("  what helps"));
    let fixes = diagnosis.fixes.iter().take(MOST_FIXES).enumerate();
    lines.extend(fixes.flat_map(|(at, fix)| fix_lines(at + 1, fix)));
    lines.push(String::new());
    lines.push(next_line(&format!("brimful explain --cause {}", diagnosis.cause.class)));
    lines
}

/// What the job should take that the text describes.
fn expected(answer: &IncidentAnswer<'_>) -> Vec<String> {
    let Some(expectation) = answer.expected else { return Vec::new() };
    let mut lines = vec![Style::STRONG.paint("  what was to be expected")];
    lines.extend(hanging("  · ", &expectation.expected.sentence()));
    lines.extend(hanging("    of ", &expectation.job));
    lines
}

fn verdict(incident: &Incident, diagnosis: &Diagnosis) -> String {
    if incident.kind == Kind::Unknown {
        return Style::BAD.paint(&format!("? {}", unknown(incident)));
    }
    let what = match incident.kind {
        Kind::Oom => "✗ GPU out of memory",
        Kind::Absurd => "✗ an impossible size",
        Kind::Limit => "✗ one buffer above its limit",
        Kind::Host | Kind::Pinned | Kind::Shm => "✗ host memory, not the GPU's",
        Kind::Shared => "✗ on-chip memory, not the card's",
        Kind::Lookalike => "✗ another failure, not memory",
        Kind::Unknown | Kind::Recovered | Kind::Harmless | Kind::Ledger => "! refused, but not fatal",
    };
    let sure = 100.0 * diagnosis.cause.confidence;
    format!("{}: {} ({sure:.0} % sure)", Style::BAD.paint(what), diagnosis.cause.title)
}

fn place(answer: &IncidentAnswer<'_>, incident: &Incident) -> String {
    let mut words = vec![format!("{}:{}", answer.input, incident.line)];
    words.extend(incident.rank.iter().map(|rank| format!("rank {rank}")));
    words.push(incident.title.clone());
    words.extend(incident.phase.iter().map(|phase| format!("in {phase}")));
    format!("  {}", words.join(" · "))
}

fn or_else(diagnosis: &Diagnosis) -> Option<String> {
    let others =
        diagnosis.cause.or_else.iter().map(|(class, sure)| format!("{class} ({:.0} %)", 100.0 * sure));
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| format!("  or else: {}", others.join(", ")))
}

fn fix_lines(number: usize, fix: &AdvisedFix) -> Vec<String> {
    let result = match fix.keeps {
        Keeps::Identical => "same result".to_owned(),
        other => format!("result: {}", other.name()),
    };
    let saves = fix.saves.as_ref().map_or(String::new(), |saves| format!("{saves}; "));
    let mut lines =
        hanging(&format!("  {number}. "), &format!("{} ({saves}{result}; {})", fix.title, fix.cost));
    lines.extend(hanging("     ", &fix.apply));
    lines
}

fn card(ledger: &CardLedger) -> Vec<String> {
    // Where the figures claim more than the card has, the bar is as wide as the claim.
    let claimed: Bytes = ledger.parts.iter().map(|part| part.bytes).sum();
    let sign = |at: usize, part: &Part| if part.name == "free" { ' ' } else { sign_in_turn(at) };
    let parts = || ledger.parts.iter().enumerate();
    let drawn = bar(parts().map(|(at, part)| (sign(at, part), part.bytes)), claimed.max(ledger.total));
    let rows: Vec<Vec<String>> = parts()
        .map(|(at, part)| {
            let share = 100.0 * part.bytes.get() as f64 / ledger.total.get().max(1) as f64;
            vec![
                format!("  {} {}", sign(at, part), part.name),
                part.bytes.to_string(),
                format!("{share:.0} %"),
            ]
        })
        .collect();
    let mut lines = vec![format!("  [{drawn}] {}", ledger.total)];
    lines.extend(table(&rows));
    if ledger.excess > Bytes::ZERO {
        lines.push(format!("  the figures claim {} more than the card has", ledger.excess));
    }
    lines.push(String::new());
    lines
}

/// Every format that is known, as a table.
pub fn formats_text(formats: impl Iterator<Item = &'static FormatInfo>) -> String {
    let rows: Vec<Vec<String>> = formats
        .map(|format| vec![format.id.clone(), format!("{:<13}", format.framework), format.title.clone()])
        .collect();
    table(&rows).join("\n") + "\n"
}

/// Every cause that is known, as a table.
pub fn causes_text(causes: impl Iterator<Item = &'static CausePage>) -> String {
    let rows: Vec<Vec<String>> = causes.map(|cause| vec![cause.id.clone(), cause.meaning.clone()]).collect();
    table(&rows).join("\n") + "\n"
}
