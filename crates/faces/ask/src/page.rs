//! A run as one HTML page, or two runs beside each other.

use anyhow::{Context, Result, bail};
use brimful_explain::snapshot::{Explanation, Fragmentation, Named, explain_with_history};
use brimful_explain::{Diff, History, Holder, TracedRun, diff, history, holders, holders_of};
use brimful_jobs::{LoadedJob, Overrides};
use brimful_plan::{Fit, FitVerdict, Row, fit, techniques};
use brimful_replay::AllocatorConfig;
use brimful_report::{
    DiffAnswer, FitAnswer, PageAnswer, PageRun, PageSubject, RecordingAnswer, page as page_of,
};
use brimful_trace::{Origin, Trace};

use crate::Host;
use crate::fit::{open_job, runnable};
use crate::recording::{Recording, open_each};
use crate::run::{need_events, recorded_content, simulated};

/// Moments that the timeline is drawn of, each the highest of its range of events.
const MOMENTS: usize = 8192;
/// Blocks that can be selected: the largest.
const BLOCKS: usize = 12_000;
/// Rows of a table.
const ROWS: usize = 1000;

/// A run that a page shows.
struct Shown {
    label: String,
    trace: Trace,
    config: AllocatorConfig,
    history: History,
    holders: Vec<Holder>,
    subject: Subject,
    notes: Vec<String>,
}

/// What a run is, with its answer.
enum Subject {
    Recording { explanation: Box<Explanation>, format: String, device: usize, partial: bool },
    Job { loaded: Box<LoadedJob>, fit: Box<Fit>, techniques: Vec<Row> },
    Trace,
}

/// The page of a snapshot, a trace or a job; of two, the page that compares them.
///
/// # Errors
/// An input that cannot be read, with its name.
pub fn page(host: Host<'_>, inputs: &[String], device: Option<usize>, changes: &Overrides) -> Result<String> {
    match inputs {
        [input] => {
            let (shown, first) = shown(host, input, device, changes)?;
            Ok(written(&shown, first, short(input), None))
        }
        [before, after] => {
            let mut runs = Vec::new();
            for (input, side) in [(before, "before"), (after, "after")] {
                let (mut shown, first) = shown(host, input, device, changes)?;
                let mut run = shown.swap_remove(first);
                run.label = format!("{side}: {}", short(input));
                runs.push(run);
            }
            let title = format!("{} and {}", short(before), short(after));
            let diff = diff(runs[0].run(), runs[1].run());
            Ok(written(&runs, 1, title, Some(&diff)))
        }
        _ => bail!("expected one run to show, or two to compare; {} were named", inputs.len()),
    }
}

/// An input without its folders, which are nobody's business where a page is passed on.
fn short(input: &str) -> String {
    let trimmed = input.trim_end_matches(['/', '\\']);
    trimmed.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or("run").to_owned()
}

/// The runs of an input, and which of them is shown first.
fn shown(
    host: Host<'_>,
    input: &str,
    device: Option<usize>,
    changes: &Overrides,
) -> Result<(Vec<Shown>, usize)> {
    let Some(content) = recorded_content(host, input)? else {
        return Ok((vec![job(host, input, changes)?], 0));
    };
    let (recordings, first) = open_each(host, input, &content, device)?;
    let several = recordings.len() > 1;
    let mut runs = Vec::with_capacity(recordings.len());
    for recording in recordings {
        need_events(input, &recording)?;
        let mut run = recorded(input, recording)?;
        if !several {
            run.label = short(input);
        }
        runs.push(run);
    }
    Ok((runs, first))
}

fn recorded(input: &str, recording: Recording) -> Result<Shown> {
    let Recording { trace, device, format, unread, partial } = recording;
    // A trace that `fit` wrote carries the settings of its job.
    let config: AllocatorConfig = trace.conf.parse().with_context(|| input.to_owned())?;
    if trace.origin != Origin::Recorded {
        let history = history(TracedRun { trace: &trace, config: &config }, MOMENTS, BLOCKS);
        let holders = holders(TracedRun { trace: &trace, config: &config }).1;
        let label = "trace".to_owned();
        return Ok(Shown { label, trace, config, history, holders, subject: Subject::Trace, notes: unread });
    }
    // A page shows all holders, and has the blocks from the history.
    let named = Named { owners: ROWS, sites: usize::MAX, blocks: 0, segments: ROWS };
    let (explanation, history) = explain_with_history(&trace, named, MOMENTS, BLOCKS);
    let mut explanation = Box::new(explanation);
    let holders = holders_of(&explanation.contents);
    shorten(&mut explanation);
    let device = device.unwrap_or(0);
    Ok(Shown {
        label: format!("GPU {device}"),
        trace,
        config,
        history,
        holders,
        subject: Subject::Recording { explanation, format, device, partial },
        notes: unread,
    })
}

/// Drops what the page does not show: it has the stacks from the history and the holders.
fn shorten(explanation: &mut Explanation) {
    let shorten = |fragmentation: &mut Fragmentation| {
        fragmentation.pinned.iter_mut().for_each(|segment| segment.pins.truncate(1));
    };
    shorten(&mut explanation.fragmentation);
    if let Some(oom) = &mut explanation.out_of_memory {
        shorten(&mut oom.fragmentation);
    }
    explanation.contents.sites.clear();
    explanation.leaks.truncate(ROWS);
}

fn job(host: Host<'_>, input: &str, changes: &Overrides) -> Result<Shown> {
    let loaded = Box::new(runnable(open_job(host, input, changes)?)?);
    let (trace, config) = simulated(input, &loaded)?;
    let fit = Box::new(fit(&loaded.job).with_context(|| input.to_owned())?);
    // As `brimful fit` does: what helps is listed where the job does not fit.
    let techniques =
        if fit.verdict == FitVerdict::DoesNotFit { techniques(&loaded, &fit) } else { Vec::new() };
    let run = TracedRun { trace: &trace, config: &config };
    let (history, holders) = (history(run, MOMENTS, BLOCKS), holders(run).1);
    let subject = Subject::Job { loaded, fit, techniques };
    Ok(Shown { label: short(input), trace, config, history, holders, subject, notes: Vec::new() })
}

fn written(shown: &[Shown], first: usize, title: String, diff: Option<&Diff>) -> String {
    let labels: Vec<&str> = shown.iter().map(|run| run.label.as_str()).collect();
    let diff = diff.map(|diff| DiffAnswer {
        before: labels[0],
        after: labels[1],
        diff,
        partial: [shown[0].is_partial(), shown[1].is_partial()],
        notes: &[],
    });
    page_of(&PageAnswer { title, runs: shown.iter().map(Shown::view).collect(), first, diff })
}

impl Shown {
    fn is_partial(&self) -> bool {
        matches!(self.subject, Subject::Recording { partial: true, .. })
    }

    fn run(&self) -> TracedRun<'_> {
        TracedRun { trace: &self.trace, config: &self.config }
    }

    fn view(&self) -> PageRun<'_> {
        PageRun {
            label: self.label.clone(),
            run: self.run(),
            history: &self.history,
            holders: &self.holders,
            about: self.about(),
            notes: &self.notes,
        }
    }

    fn about(&self) -> PageSubject<'_> {
        match &self.subject {
            Subject::Recording { explanation, format, device, partial } => {
                PageSubject::Recording(RecordingAnswer {
                    input: "",
                    format,
                    device: *device,
                    events: self.trace.len(),
                    explanation,
                    unread: &[],
                    partial: *partial,
                })
            }
            Subject::Job { loaded, fit, techniques } => PageSubject::Job(FitAnswer {
                job: "",
                call: "",
                loaded,
                fit,
                largest: None,
                techniques,
                techniques_were_asked_for: false,
            }),
            Subject::Trace => PageSubject::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_called_by_the_file_and_not_by_its_folders() {
        assert_eq!(short("/home/ada/secret/oom.pickle"), "oom.pickle");
        assert_eq!(short("C:\\runs\\oom.pickle"), "oom.pickle");
        assert_eq!(short("meta-llama/Llama-3.1-8B/"), "Llama-3.1-8B");
        assert_eq!(short("/"), "run");
    }
}
