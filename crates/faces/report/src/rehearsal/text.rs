use brimful_rehearsal::{Judgement, RankUse, RunRecord, RunVerdict};
use brimful_units::Bytes;

use super::{RehearsalAnswer, SearchAnswer};
use crate::forms::{Style, can_be_named_again, file_word, next_line, table};
use crate::recording::{leaks, owners, peak, peak_line};
use crate::serving::serving_text;

/// Ranks that are listed.
const ROWS: usize = 8;

/// The answer for people: verdict first, the fullest rank, what fills it, what failed, the next command.
pub fn rehearse_text(answer: &RehearsalAnswer<'_>) -> String {
    let RehearsalAnswer { run, judgement, .. } = answer;
    let mut lines = verdict(run, judgement);
    lines.extend(failure(judgement));
    lines.extend(search(answer.search));
    lines.extend(serving_text(run));
    lines.extend(ranks(judgement));
    lines.extend(recorded(answer));
    lines.extend(run.unseen.iter().map(|what| Style::DIM.paint(&format!("  not seen: {what}"))));
    lines.extend(answer.notes.iter().map(|note| Style::DIM.paint(&format!("  note: {note}"))));
    lines.extend(next(answer).map(|next| next_line(&next)));
    lines.join("\n") + "\n"
}

/// The peak of the fullest rank, exact however long the history is, and what filled it where the history holds it.
fn recorded(answer: &RehearsalAnswer<'_>) -> Vec<String> {
    let (Some(explanation), Some(fullest)) = (answer.explanation, answer.judgement.ranks.first()) else {
        return Vec::new();
    };
    let mut lines =
        vec![peak_line("", fullest.peak.requested, fullest.peak.allocated, fullest.peak.reserved)];
    match answer.explained() {
        Some(explained) => {
            lines.extend(peak(explained));
            lines.extend(owners(explained));
        }
        None => lines.push(
            "  the peak lies before the recorded history, which keeps the newest events: who held it is not known; repeat \
             the run with a larger --history"
                .to_owned(),
        ),
    }
    lines.extend(leaks(explanation));
    lines
}

fn verdict(run: &RunRecord, judgement: &Judgement) -> Vec<String> {
    let command = run.command.join(" ");
    let on = if run.device.named { format!(" on {}", run.device.name) } else { String::new() };
    let what = format!("{command}{on}{}", effort(run, judgement));
    let fullest = judgement.ranks.first();
    let needs = fullest.map_or(Bytes::ZERO, |rank| rank.on_device);
    let total = run.device.total;
    let (sign, needs) = match judgement.verdict {
        RunVerdict::Fits => (
            if judgement.certain {
                Style::GOOD.paint("✓ fits")
            } else {
                Style::STRONG.paint("~ fits, as far as was seen")
            },
            format!("needs {needs} of {total}, {} to spare", total.saturating_sub(needs)),
        ),
        RunVerdict::DoesNotFit => {
            let when = if judgement.fatal.is_some() { " when a request failed" } else { "" };
            (Style::BAD.paint("✗ does not fit"), format!("had {needs} of {total}{when}"))
        }
        RunVerdict::NoDevice => {
            (Style::STRONG.paint("no GPU was named"), format!("needs {needs} and the CUDA context"))
        }
        RunVerdict::Failed => (Style::BAD.paint("✗ failed"), format!("had {needs} until then")),
        RunVerdict::NoGpuMemory => (Style::BAD.paint("no verdict"), "needs no GPU memory".to_owned()),
        RunVerdict::Unfinished => (Style::BAD.paint("✗ unfinished"), format!("had {needs} until then")),
    };
    let reason = judgement.reason.as_ref().map(|reason| format!("  {reason}"));
    [format!("{sign}: {what}"), format!("  {needs}")].into_iter().chain(reason).collect()
}

/// Steps and time.
fn effort(run: &RunRecord, judgement: &Judgement) -> String {
    let steps = match judgement.steps {
        0 => String::new(),
        1 => "1 optimizer step, ".to_owned(),
        many => format!("{many} optimizer steps, "),
    };
    format!(" ({steps}{:.1} s)", run.ended.seconds)
}

fn failure(judgement: &Judgement) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(fatal) = &judgement.fatal {
        if let Some(failure) = &fatal.failure {
            lines.push(format!(
                "  {} asked for {} with {} of {} free, after {} optimizer steps",
                rank_word(&fatal.rank),
                failure.tried_bytes,
                failure.free_bytes,
                failure.total_bytes,
                failure.step
            ));
        }
        lines.extend(fatal.message.lines().map(|line| Style::DIM.paint(&format!("    {line}"))));
    }
    // The reason of a run that failed has their number.
    if judgement.survived > 0 && judgement.verdict != RunVerdict::Failed {
        lines.push(format!(
            "  {} failed requests were caught by the command, which went on",
            judgement.survived
        ));
    }
    lines
}

fn rank_word(name: &str) -> String {
    if name.starts_with("pid") { "the process".to_owned() } else { format!("rank {name}") }
}

fn search(answer: Option<&SearchAnswer>) -> Vec<String> {
    let Some(answer) = answer else { return Vec::new() };
    let found = match answer.largest {
        Some(largest) => format!("  the largest {} that fits is {largest}", answer.key),
        None => format!("  not even {} = 1 fits", answer.key),
    };
    let row = |(value, reserved, fits): &(u64, u64, bool)| {
        let verdict = if *fits { "fits" } else { "does not fit" };
        vec![
            format!("  {}", answer.key),
            value.to_string(),
            Bytes::new(*reserved).to_string(),
            verdict.to_owned(),
        ]
    };
    [Style::STRONG.paint(&found)]
        .into_iter()
        .chain(table(&answer.tried.iter().map(row).collect::<Vec<_>>()))
        .collect()
}

fn ranks(judgement: &Judgement) -> Vec<String> {
    if judgement.ranks.len() < 2 {
        return Vec::new();
    }
    let row = |rank: &RankUse| {
        vec![
            format!("  {} GPU {}", rank_word(&rank.name), rank.device),
            rank.peak.requested.to_string(),
            rank.peak.allocated.to_string(),
            rank.peak.reserved.to_string(),
            rank.on_device.to_string(),
        ]
    };
    let names = ["  rank", "requested", "allocated", "reserved", "on the device"].map(str::to_owned).to_vec();
    let rows: Vec<_> = [names].into_iter().chain(judgement.ranks.iter().take(ROWS).map(row)).collect();
    let more = judgement.ranks.len().saturating_sub(ROWS);
    let rest = (more > 0).then(|| format!("  and {more} more, none fuller"));
    table(&rows).into_iter().chain(rest).collect()
}

/// The command to type next; `None` if the run file holds no snapshot, or went through a pipe.
fn next(answer: &RehearsalAnswer<'_>) -> Option<String> {
    if answer.run.snapshots().is_empty() || !can_be_named_again(answer.file) {
        return None;
    }
    let failed = answer.judgement.verdict == RunVerdict::DoesNotFit && answer.judgement.fatal.is_some();
    Some(format!("brimful {} {}", if failed { "explain" } else { "open" }, file_word(answer.file)))
}
