//! Lines that the answers about all engines have.

use brimful_serving::Start;

use super::EngineAnswer;
use crate::forms::{Style, can_be_named_again, wrapped};
use crate::wire::Verdict;

/// The verdict in its colour.
pub(super) fn verdict_word(verdict: Verdict) -> String {
    match verdict {
        Verdict::DoesNotFit => Style::BAD.paint("✗ does not fit"),
        Verdict::TooClose => Style::STRONG.paint("≈ too close to call"),
        Verdict::Fits | Verdict::NoDevice => Style::GOOD.paint("✓ fits"),
    }
}

/// What was assumed, and what else to know.
pub(super) fn settings_lines<Job, Prediction: Start>(
    answer: &EngineAnswer<'_, Job, Prediction>,
) -> Vec<String> {
    let short = |key: &str| key.strip_prefix("serve.").unwrap_or(key).to_owned();
    let assumed: Vec<String> =
        answer.assumed().map(|one| format!("{}={}", short(&one.key), one.value)).collect();
    let mut lines = Vec::new();
    if !assumed.is_empty() {
        lines.extend(wrapped("  assumed: ", 4, &assumed.join(", ")));
    }
    lines.extend(answer.notes().flat_map(|note| wrapped("  note: ", 4, note)));
    lines
}

/// The command that asks again with more words; `None` if the job came through a pipe and is gone.
pub(super) fn asked_again<Job, Prediction>(
    answer: &EngineAnswer<'_, Job, Prediction>,
    more: &str,
) -> Option<String> {
    if answer.command.is_empty() && !can_be_named_again(answer.job) {
        return None;
    }
    let words = ["brimful fit", answer.call, more].into_iter().filter(|word| !word.is_empty());
    Some(words.collect::<Vec<_>>().join(" ") + answer.command)
}

/// What each figure rests on, and what was assumed for which reason.
pub fn served_why_text<Job, Prediction: Start>(answer: &EngineAnswer<'_, Job, Prediction>) -> String {
    let mut lines = vec![Style::STRONG.paint("  what the numbers rest on")];
    for (what, basis) in answer.serving.basis() {
        let margin = basis.margin.map_or(String::new(), |margin| format!(" (± {margin})"));
        let text = format!("{what} — {}{margin}: {}", basis.kind.name(), basis.source);
        lines.extend(wrapped("  ", 4, &text));
    }
    lines.push(String::new());
    lines.push(Style::STRONG.paint("  what was assumed, and why"));
    let assumed = answer.assumed();
    lines.extend(
        assumed.flat_map(|one| wrapped("  ", 4, &format!("{} = {}: {}", one.key, one.value, one.why))),
    );
    lines.join("\n") + "\n"
}
