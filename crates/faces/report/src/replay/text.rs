use brimful_plan::FitVerdict;
use brimful_units::Bytes;

use super::ReplayAnswer;
use crate::forms::{Style, can_be_named_again, file_word, next_line, table, times};

/// Frames of a stack that are shown.
const FRAMES: usize = 6;

/// The answer for people: verdict first, then the ledgers, then the next command.
pub fn replay_text(answer: &ReplayAnswer<'_>) -> String {
    let conf = if answer.conf.is_empty() { "the default settings" } else { answer.conf };
    let mut lines = vec![format!("{} under {conf}", Style::STRONG.paint(answer.input))];
    if answer.verdict == Some(FitVerdict::TooClose) {
        lines.push(
            Style::STRONG.paint(
                "  too close to call: the margin of the GPU's figures decides; with the best figures:",
            ),
        );
    }
    lines.push(verdict(answer));
    lines.extend(ledgers(answer));
    if answer.timeline.retries > 0 {
        lines.push(format!(
            "  cached memory was given back {} to make room: each time the GPU waits",
            times(answer.timeline.retries)
        ));
    }
    lines.extend(answer.notes.iter().map(|note| Style::DIM.paint(&format!("  note: {note}"))));
    lines.extend(next(answer).map(|next| next_line(&next)));
    lines.join("\n") + "\n"
}

fn verdict(answer: &ReplayAnswer<'_>) -> String {
    let Some(oom) = answer.timeline.oom else {
        let capacity =
            answer.capacity.map_or("a GPU without an end".to_owned(), |capacity| capacity.to_string());
        return format!("{} every request is served by {capacity}", Style::GOOD.paint("  it fits:"));
    };
    let mut text = format!(
        "{} event {} asks for {}; {} are left of {}",
        Style::BAD.paint("  out of memory:"),
        oom.event,
        oom.requested,
        oom.free,
        oom.total
    );
    for frame in answer.stack.iter().take(FRAMES) {
        text += &format!("\n    {}", Style::DIM.paint(frame));
    }
    text
}

fn ledgers(answer: &ReplayAnswer<'_>) -> Vec<String> {
    let peak = &answer.timeline.peak;
    let recorded = answer.recorded.as_ref();
    let row = |name: &str, now: Bytes, before: Option<Bytes>| {
        vec![
            format!("  {name}"),
            now.to_string(),
            before.map(|before| change(now, before)).unwrap_or_default(),
        ]
    };
    table(&[
        row("peak requested", peak.requested, recorded.map(|recorded| recorded.requested)),
        row("peak allocated", peak.allocated, recorded.map(|recorded| recorded.allocated)),
        row("peak reserved", peak.reserved, recorded.map(|recorded| recorded.reserved)),
    ])
}

fn change(now: Bytes, before: Bytes) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Equal => "as recorded".to_owned(),
        std::cmp::Ordering::Less => format!("{} less than recorded", before.saturating_sub(now)),
        std::cmp::Ordering::Greater => format!("{} more than recorded", now.saturating_sub(before)),
    }
}

/// The command to type next; `None` if every question about this trace was asked, or the input was a pipe.
fn next(answer: &ReplayAnswer<'_>) -> Option<String> {
    if !can_be_named_again(answer.input) {
        return None;
    }
    let input = file_word(answer.input);
    if answer.timeline.oom.is_some() && !answer.conf.contains("expandable_segments") {
        let capacity =
            answer.capacity.map_or(String::new(), |capacity| format!(" --capacity {}", capacity.get()));
        return Some(format!("brimful replay {input}{capacity} --conf expandable_segments:True"));
    }
    match (answer.device, answer.capacity) {
        (Some(0), _) => Some(format!("brimful explain {input}")),
        (Some(device), _) => Some(format!("brimful explain {input} --device {device}")),
        (None, None) => Some(format!("brimful replay {input} --capacity '24 GiB'")),
        (None, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use brimful_replay::{Ledger, Timeline};

    use super::*;
    use crate::forms::plain;

    #[test]
    fn peaks_stand_beside_the_recorded_ones() {
        let ledger =
            |mib| Ledger { requested: Bytes::mib(2), allocated: Bytes::mib(2), reserved: Bytes::mib(mib) };
        let timeline = Timeline { peak: ledger(8), retries: 2, ..Timeline::default() };
        let text = replay_text(&ReplayAnswer {
            input: "run.pickle",
            device: Some(0),
            conf: "",
            capacity: None,
            timeline: &timeline,
            verdict: None,
            recorded: Some(ledger(10)),
            stack: &[],
            notes: &["a note".to_owned()],
        });
        assert_eq!(
            plain(&text),
            "run.pickle under the default settings\n\
             \x20 it fits: every request is served by a GPU without an end\n\
             \x20 peak requested  2.00 MiB  as recorded\n\
             \x20 peak allocated  2.00 MiB  as recorded\n\
             \x20 peak reserved   8.00 MiB  2.00 MiB less than recorded\n\
             \x20 cached memory was given back 2 times to make room: each time the GPU waits\n\
             \x20 note: a note\n\
             \x20 next: brimful explain run.pickle\n"
        );
    }
}
