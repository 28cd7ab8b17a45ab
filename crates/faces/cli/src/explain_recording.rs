//! `brimful explain` of a recording: what filled memory, and why a request failed.

use anyhow::{Result, bail};
use brimful_explain::snapshot::explain_recording;
use brimful_rehearsal::MAGIC;
use brimful_report::{
    RecordingAnswer, StatisticsAnswer, recording_json, recording_text, statistics_json, statistics_text,
};
use brimful_snapshot::Statistics;
use brimful_trace::Origin;

use crate::args::ExplainArguments;
use crate::out::Outcome;
use crate::progress;
use crate::recordings::{no_history_note, open};

/// Sites, blocks and segments that are named.
const MOST: usize = 20;

/// Explains a snapshot, or PyTorch's statistics.
///
/// # Errors
/// What the file is instead, or what it lacks, with the cure.
pub fn explain(input: &str, content: &[u8], arguments: &ExplainArguments) -> Result<(String, Outcome)> {
    if !brimful_snapshot::looks_like_one(content)
        && let Some(statistics) = brimful_snapshot::read_statistics(content)
    {
        return Ok(explain_statistics(input, &statistics, arguments));
    }
    recording(input, content, arguments)
}

/// Whether a file that begins so is a recording, and no text that a framework printed.
pub fn is_recording(head: &[u8]) -> bool {
    brimful_snapshot::looks_like_one(head)
        || head.starts_with(MAGIC)
        || head.starts_with(b"BRIM")
        || are_statistics(head)
}

/// `memory_summary()` alone in a file, or `memory_stats()` as JSON.
fn are_statistics(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    let summary = text.starts_with("|==") && text.contains("PyTorch CUDA memory summary");
    summary || (text.starts_with('{') && text.contains("allocated_bytes"))
}

/// PyTorch's statistics. It is a finding where a request failed.
fn explain_statistics(
    input: &str,
    statistics: &Statistics,
    arguments: &ExplainArguments,
) -> (String, Outcome) {
    let answer = StatisticsAnswer { input, statistics };
    let text = if arguments.json { statistics_json(&answer) + "\n" } else { statistics_text(&answer) };
    (text, if statistics.ooms.unwrap_or(0) > 0 { Outcome::Found } else { Outcome::Well })
}

/// A snapshot's explanation. It is a finding where a request failed, or where memory leaks.
fn recording(input: &str, content: &[u8], arguments: &ExplainArguments) -> Result<(String, Outcome)> {
    let mut opened = open(input, content, arguments.device)?;
    if opened.trace.origin != Origin::Recorded {
        bail!("{input}: is a predicted trace; `brimful replay` and `brimful fit --why` tell about it");
    }
    opened.unread.extend(no_history_note(&opened.trace));
    let explain = || explain_recording(&opened.trace, MOST);
    let explanation = progress::during(content.len(), "following every allocation", explain);
    let answer = RecordingAnswer {
        input,
        format: &opened.format,
        device: opened.device.unwrap_or(0),
        events: opened.trace.len(),
        explanation: &explanation,
        unread: &opened.unread,
        partial: opened.partial,
    };
    let found = explanation.out_of_memory.is_some() || !explanation.leaks.is_empty();
    let text = if arguments.json { recording_json(&answer) + "\n" } else { recording_text(&answer) };
    Ok((text, if found { Outcome::Found } else { Outcome::Well }))
}
