//! `brimful explain`: what filled memory, and why a request failed.

use anyhow::{Result, bail};
use brimful_explain::snapshot::explain_recording;
use brimful_report::{
    RecordingAnswer, StatisticsAnswer, recording_json, recording_text, statistics_json, statistics_text,
};
use brimful_snapshot::Statistics;
use brimful_trace::Origin;

use crate::args::ExplainArguments;
use crate::out::{Outcome, complain, print};
use crate::recordings::{content, no_history_note, open};

/// Sites, blocks and segments that are named.
const MOST: usize = 20;

/// Explains every input; a bad one is reported, and the rest still answered.
///
/// # Errors
/// A closed stream.
pub fn run(arguments: &ExplainArguments) -> Result<Outcome> {
    let mut worst = Outcome::Well;
    for (at, input) in arguments.inputs.iter().enumerate() {
        worst = worst.max(match answer(input, arguments) {
            Ok((text, outcome)) => {
                let between = if at > 0 && !arguments.json { "\n" } else { "" };
                print(&format!("{between}{text}"))?;
                outcome
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                Outcome::Wrong
            }
        });
    }
    Ok(worst)
}

fn answer(input: &str, arguments: &ExplainArguments) -> Result<(String, Outcome)> {
    let content = content(input)?;
    if !brimful_snapshot::looks_like_one(&content)
        && let Some(statistics) = brimful_snapshot::read_statistics(&content)
    {
        return Ok(explain_statistics(input, &statistics, arguments));
    }
    recording(input, &content, arguments)
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
    let explanation = explain_recording(&opened.trace, MOST);
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
