//! The answer at the top of a page: the words of `brimful explain` and `brimful fit`.

use brimful_explain::snapshot::Explanation;
use brimful_plan::FitVerdict;
use serde::Serialize;
use serde_json::{Value, json};

use super::{PageAnswer, PageRun, PageSubject};
use crate::diff::{DiffAnswer, diff_text};
use crate::fit::{fit_json, fit_text};
use crate::forms::without_marks;
use crate::recording::{RecordingAnswer, recording_json};

/// The sentence that a page begins with: of the run that is shown first, or of the comparison.
pub(super) fn headline(page: &PageAnswer<'_>) -> String {
    match &page.diff {
        Some(diff) => format!("{} → {}: {}", diff.before, diff.after, difference(diff)),
        None => page.runs.get(page.first).map(sentence).unwrap_or_default(),
    }
}

/// Whether the sentence that a page begins with is good news, as [`tone`] has it.
pub(super) fn headline_tone(page: &PageAnswer<'_>) -> &'static str {
    let first = page.runs.get(page.first).filter(|_| page.diff.is_none());
    first.map_or("plain", tone)
}

/// The sentence of a run.
pub(super) fn sentence(run: &PageRun<'_>) -> String {
    match &run.about {
        PageSubject::Recording(answer) => recorded(answer),
        PageSubject::Job(answer) => {
            let text = without_marks(&fit_text(answer));
            let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            // The job is the subject of the line with its need.
            lines.join(": ").replacen(": needs ", " needs ", 1)
        }
        PageSubject::Trace => "Predicted".to_owned(),
    }
}

fn recorded(answer: &RecordingAnswer<'_>) -> String {
    let explanation = answer.explanation;
    match (&explanation.out_of_memory, explanation.leaks.first()) {
        (Some(oom), _) => format!("Out of memory: {}", oom.sentence),
        (None, Some(leak)) => format!(
            "No request failed, but {} grows by {} a step and holds {} at the end",
            leak.owner, leak.bytes_per_step, leak.held
        ),
        (None, None) => "No request failed".to_owned(),
    }
}

/// The difference of two runs in a sentence: the second line of `brimful diff`.
pub(super) fn difference(diff: &DiffAnswer<'_>) -> String {
    without_marks(&diff_text(diff)).lines().nth(1).unwrap_or_default().trim().to_owned()
}

/// Whether the sentence is good news: `good`, `bad`, `close` to the GPU's end, or `plain`.
pub(super) fn tone(run: &PageRun<'_>) -> &'static str {
    match &run.about {
        PageSubject::Recording(answer) if found(answer.explanation) => "bad",
        PageSubject::Job(answer) => match answer.fit.verdict {
            FitVerdict::Fits => "good",
            FitVerdict::TooClose => "close",
            FitVerdict::DoesNotFit => "bad",
            FitVerdict::NoDevice => "plain",
        },
        _ => "plain",
    }
}

fn found(explanation: &Explanation) -> bool {
    explanation.out_of_memory.is_some() || !explanation.leaks.is_empty()
}

/// The answer in its schema, without the name of the input, which can hold folders.
pub(super) fn answer(run: &PageRun<'_>) -> Value {
    let mut answer = match &run.about {
        PageSubject::Recording(answer) => value(&recording_json(answer)),
        PageSubject::Job(answer) => value(&fit_json(answer)),
        PageSubject::Trace => json!({}),
    };
    if let Some(answer) = answer.as_object_mut() {
        for key in ["input", "job"] {
            answer.remove(key);
        }
    }
    answer
}

/// An answer that was just written is JSON.
pub(super) fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// The instant that the page marks as the failure: its event, what was tried, what the device had free.
#[derive(Serialize)]
pub(super) struct Failure {
    event: usize,
    free: Option<u64>,
    pub(super) place: Vec<String>,
    tried: u64,
}

/// Every request that failed, in the order of the run.
pub(super) fn failures(run: &PageRun<'_>) -> Vec<Failure> {
    let trace = run.run.trace;
    let failed = trace.events().enumerate().filter_map(|(event, what)| {
        let brimful_trace::Event::Oom(id) = what else { return None };
        let row = trace.oom_row(id);
        let place = brimful_explain::snapshot::stack_text(trace, row.context);
        // What was asked of the device, which the message names, is the segment and not the block.
        let tried = explained(run, event).map_or(row.tried, |oom| oom.tried).get();
        Some(Failure { event, tried, free: row.free.map(|free| free.get()), place })
    });
    match &run.about {
        PageSubject::Job(answer) => answer.fit.shortage.iter().map(predicted).collect(),
        _ => failed.collect(),
    }
}

/// The failure that the answer is about, if it is the one at this event.
fn explained<'a>(run: &'a PageRun<'_>, event: usize) -> Option<&'a brimful_explain::snapshot::OutOfMemory> {
    let PageSubject::Recording(answer) = &run.about else { return None };
    answer.explanation.out_of_memory.as_ref().filter(|oom| oom.event == event)
}

fn predicted(shortage: &brimful_plan::OutOfMemory) -> Failure {
    let place = [&shortage.place.op, &shortage.place.module];
    Failure {
        event: shortage.oom.event,
        tried: shortage.oom.tried.get(),
        free: Some(shortage.oom.free.get()),
        place: place.into_iter().filter(|name| !name.is_empty()).cloned().collect(),
    }
}

/// What the allocator can take from the device: that of the GPU less the context, or what a failure shows.
pub(super) fn capacity(run: &PageRun<'_>) -> Option<u64> {
    match &run.about {
        PageSubject::Job(answer) => {
            answer.fit.device.as_ref().map(|device| device.usable.saturating_sub(device.overhead).get())
        }
        PageSubject::Recording(answer) => {
            answer.explanation.out_of_memory.as_ref()?.capacity.map(|capacity| capacity.get())
        }
        PageSubject::Trace => None,
    }
}
