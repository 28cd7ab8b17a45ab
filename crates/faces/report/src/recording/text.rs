use brimful_explain::snapshot::{Explanation, Fragmentation, OutOfMemory, WhatIf, fixes};
use brimful_units::Bytes;

use super::RecordingAnswer;
use crate::forms::bar::{bar, sign};
use crate::forms::{Style, can_be_named_again, counted, file_word, next_line, shell_word, table};

/// Rows of a table.
const ROWS: usize = 8;

/// The explanation for people: verdict first, what fills memory, what is stranded, what helps.
pub fn recording_text(answer: &RecordingAnswer<'_>) -> String {
    let explanation = answer.explanation;
    let mut lines =
        vec![format!("{} (GPU {}, {})", Style::STRONG.paint(answer.input), answer.device, answer.format)];
    lines.extend(verdict(answer));
    let least = if explanation.begins_late || answer.partial { "at least " } else { "" };
    let of_peak = &explanation.followed.peak;
    lines.push(peak_line(least, of_peak.requested, of_peak.allocated, of_peak.reserved));
    lines.extend(peak(explanation));
    lines.extend(owners(explanation));
    let oom = explanation.out_of_memory.as_ref();
    lines.extend(stranded(oom.map_or(&explanation.fragmentation, |oom| &oom.fragmentation)));
    lines.extend(leaks(explanation));
    lines.extend(tried(explanation));
    lines.extend(helps(explanation));
    lines.push(fidelity(explanation));
    lines.extend(
        explanation
            .notes
            .iter()
            .chain(answer.unread)
            .map(|note| Style::DIM.paint(&format!("  note: {note}"))),
    );
    lines.extend(next(answer).map(|next| next_line(&next)));
    lines.join("\n") + "\n"
}

fn verdict(answer: &RecordingAnswer<'_>) -> Vec<String> {
    let partial = answer.partial.then(|| Style::BAD.paint("  only a part of the file could be read"));
    let verdict = match &answer.explanation.out_of_memory {
        Some(oom) => out_of_memory(oom),
        None => vec![Style::GOOD.paint("  no request failed")],
    };
    let contradicts = "  the file contradicts itself: its figures cannot all be true; it may be damaged";
    let contradicts = (!answer.explanation.is_consistent()).then(|| Style::BAD.paint(contradicts));
    partial.into_iter().chain(contradicts).chain(verdict).collect()
}

fn out_of_memory(oom: &OutOfMemory) -> Vec<String> {
    let mut lines = vec![
        format!("  {} {}", Style::BAD.paint("out of memory:"), oom.sentence),
        format!("  cause: {} (confidence {:.2})", Style::STRONG.paint(oom.class), oom.confidence),
    ];
    lines.extend(oom.evidence.iter().map(|line| format!("    {line}")));
    lines
}

/// The peak by ledger.
pub(crate) fn peak_line(least: &str, requested: Bytes, allocated: Bytes, reserved: Bytes) -> String {
    format!("  peak {least}{requested} requested, {allocated} allocated, {reserved} reserved")
}

/// Where the peak is, and what fills it.
pub(crate) fn peak(explanation: &Explanation) -> Vec<String> {
    let peak = &explanation.followed.peak;
    // An owner that is not known stands in brackets: "backward (no stack)".
    let comma = if explanation.owner.starts_with('(') { "" } else { "," };
    let phase =
        explanation.doing.phase().map_or_else(String::new, |phase| format!("{}{comma} ", phase.name()));
    let at = explanation.followed.peak_event.map_or("before the first event".to_owned(), |event| {
        format!("at event {event}, {phase}{}", explanation.owner)
    });
    let mut lines = vec![Style::DIM.paint(&format!("  {at}")), bar_of(explanation)];
    let full = peak.requested.get().max(1);
    let share = |bytes: Bytes| format!("{:.0} %", bytes.get() as f64 / full as f64 * 100.0);
    let rows = explanation.contents.shares.iter().map(|share_of| {
        let sure = match (share_of.frozen, share_of.uncertain) {
            (frozen, _) if frozen == share_of.bytes => "frozen".to_owned(),
            (frozen, _) if frozen > Bytes::ZERO => format!("{frozen} of it frozen"),
            (_, Bytes::ZERO) => String::new(),
            (_, uncertain) => format!("{uncertain} of it uncertain"),
        };
        vec![
            format!("  {} {}", sign(share_of.category.public_name()), share_of.category.name()),
            share_of.bytes.to_string(),
            share(share_of.bytes),
            sure,
        ]
    });
    lines.extend(table(&rows.collect::<Vec<_>>()));
    lines
}

fn bar_of(explanation: &Explanation) -> String {
    let parts = explanation.contents.shares.iter();
    let parts = parts.map(|share| (sign(share.category.public_name()), share.bytes));
    format!("  [{}] of the reserved peak", bar(parts, explanation.followed.peak.reserved))
}

pub(crate) fn owners(explanation: &Explanation) -> Vec<String> {
    let rows = explanation.contents.owners.iter().take(ROWS).map(|site| {
        vec![
            format!("  {}", site.category.name()),
            site.bytes.to_string(),
            counted(site.blocks, "block"),
            site.owner.clone(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Vec::new();
    }
    [Style::STRONG.paint("  who held it at the peak")].into_iter().chain(table(&rows)).collect()
}

fn stranded(found: &Fragmentation) -> Vec<String> {
    let when = found.event.map_or("at the start".to_owned(), |event| format!("at event {event}"));
    let mut lines = vec![
        Style::STRONG.paint(&format!("  free memory inside PyTorch, {when}")),
        format!(
            "  {} stranded in {} beside live blocks (largest {}), {} in free segments, {} rounding",
            found.stranded,
            counted(found.pieces, "piece"),
            found.largest_stranded,
            found.releasable,
            found.rounding
        ),
    ];
    let others = [
        (found.pending, "waits for other streams"),
        (found.private_free, "is free in private pools"),
        (found.other_streams_free, "is free for other streams only"),
    ];
    lines.extend(others.iter().filter(|row| row.0 > Bytes::ZERO).map(|row| format!("  {} {}", row.0, row.1)));
    let rows = found.pinned.iter().take(ROWS / 2).map(|pinned| {
        let pin = pinned.pins.first();
        vec![
            format!("  {} free of {}", pinned.stranded, pinned.bytes),
            counted(pinned.blocks, "block"),
            pin.map(|pin| pin.bytes.to_string()).unwrap_or_default(),
            pin.map(|pin| format!("{} {}", pin.purpose.category.name(), pin.owner)).unwrap_or_default(),
        ]
    });
    lines.extend(table(&rows.collect::<Vec<_>>()));
    lines
}

pub(crate) fn leaks(explanation: &Explanation) -> Vec<String> {
    let rows = explanation.leaks.iter().take(ROWS).map(|leak| {
        vec![
            format!("  +{} a step", leak.bytes_per_step),
            leak.held.to_string(),
            format!("grew in {} of {} steps", leak.grew, leak.intervals),
            leak.owner.clone(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Vec::new();
    }
    [Style::BAD.paint("  grows from step to step")].into_iter().chain(table(&rows)).collect()
}

fn tried(explanation: &Explanation) -> Vec<String> {
    let all = &explanation.what_if;
    let Some(base) = all.first() else { return Vec::new() };
    let row = |what: &WhatIf| {
        let fits = match what.fits {
            Some(true) => "fits",
            Some(false) => "out of memory",
            None => "",
        };
        let conf = if what.conf.is_empty() { "default settings" } else { &what.conf };
        vec![
            format!("  {conf}"),
            what.peak.reserved.to_string(),
            percent(what.peak.reserved, base.peak.reserved),
            fits.to_owned(),
        ]
    };
    let title = Style::STRONG.paint("  the same requests replayed: reserved peak");
    [title].into_iter().chain(table(&all.iter().map(row).collect::<Vec<_>>())).collect()
}

fn percent(now: Bytes, base: Bytes) -> String {
    let ratio = now.get() as f64 / base.get().max(1) as f64 - 1.0;
    if now == base { "=".to_owned() } else { format!("{:+.1} %", ratio * 100.0) }
}

pub(crate) fn helps(explanation: &Explanation) -> Vec<String> {
    let fixes = fixes(explanation);
    let lines = fixes.iter().map(|fix| format!("  {}: {}", Style::STRONG.paint(&fix.apply), fix.title));
    let title = (!fixes.is_empty()).then(|| Style::GOOD.paint("  what helps"));
    title.into_iter().chain(lines).collect()
}

fn fidelity(explanation: &Explanation) -> String {
    let followed = &explanation.followed;
    if followed.checked == 0 {
        return "  there is nothing to replay".to_owned();
    }
    if followed.is_faithful() {
        return format!("  replay is faithful: {} placements checked, none differs", followed.checked);
    }
    let first =
        followed.first_mismatch.map_or(String::new(), |first| format!(", first at event {}", first.event));
    format!("  replay: {} of {} placements differ{first}", followed.mismatches, followed.checked)
}

/// The command to type next; `None` if nothing can be replayed: there is no history, or the input was a pipe.
fn next(answer: &RecordingAnswer<'_>) -> Option<String> {
    if answer.events == 0 || !can_be_named_again(answer.input) {
        return None;
    }
    let device = if answer.device == 0 { String::new() } else { format!(" --device {}", answer.device) };
    let input = file_word(answer.input) + &device;
    let fixes = fixes(answer.explanation);
    let conf = fixes.first().and_then(|fix| fix.apply.strip_prefix("PYTORCH_CUDA_ALLOC_CONF="));
    Some(match conf.filter(|conf| !conf.is_empty()) {
        Some(conf) => format!("brimful replay {input} --conf {}", shell_word(conf)),
        None => format!("brimful replay {input} --capacity '24 GiB'"),
    })
}
