//! A run as one HTML page.

use anyhow::Result;
use brimful_explain::snapshot::{Explanation, describe_recording};
use brimful_explain::{Holder, TracedRun, history, holders, holders_of};
use brimful_jobs::Overrides;
use brimful_plan::{FitVerdict, OnGpu};
use brimful_replay::Ledger;
use brimful_report::{PageAnswer, need_text, page as page_of};

use crate::Host;
use crate::run::{OpenedRun, open_run};

/// Moments that the timeline is drawn of, each the highest of its range of events.
const MOMENTS: usize = 8192;
/// Blocks that can be selected: the largest.
const BLOCKS: usize = 12_000;
/// Rows of a table.
const ROWS: usize = 20;

type Table = (String, Vec<String>, Vec<Vec<String>>);

/// The page of a snapshot, a trace or a job.
///
/// # Errors
/// An input that cannot be read, with its name.
pub fn page(host: Host<'_>, input: &str, device: Option<usize>, changes: &Overrides) -> Result<String> {
    let opened = open_run(host, input, device, changes)?;
    let run = opened.run();
    let (history, (peak, holders, explanation)) =
        rayon::join(|| history(run, MOMENTS, BLOCKS), || who_holds(run));
    let mut notes = opened.notes.clone();
    notes.extend(explanation.iter().flat_map(|explanation| explanation.notes.clone()));
    Ok(page_of(&PageAnswer {
        input,
        run,
        history: &history,
        holders: &holders,
        verdict: verdict(&opened, explanation.as_ref(), peak),
        tables: explanation.as_ref().map(tables).unwrap_or_default(),
        notes: &notes,
    }))
}

/// The peaks, the holders at the requested one, and of a recording its explanation.
fn who_holds(run: TracedRun<'_>) -> (Ledger, Vec<Holder>, Option<Explanation>) {
    if run.is_predicted() {
        let (peak, holders) = holders(run);
        return (peak, holders, None);
    }
    let explanation = describe_recording(run.trace, usize::MAX);
    (explanation.followed.peak, holders_of(&explanation.contents), Some(explanation))
}

fn verdict(opened: &OpenedRun, explanation: Option<&Explanation>, peak: Ledger) -> String {
    let peak = format!("{} in use at the peak, {} reserved", peak.requested, peak.reserved);
    match (explanation.and_then(|explanation| explanation.out_of_memory.as_ref()), &opened.on_gpu) {
        (Some(oom), _) => format!("Out of memory: {} ({peak})", oom.sentence),
        (None, Some(on_gpu)) => format!("{} ({peak})", verdict_on(on_gpu)),
        (None, None) if opened.run().is_predicted() => format!("Predicted: {peak}"),
        (None, None) => format!("No request failed: {peak}"),
    }
}

/// The verdict of `fit` about the job's GPU.
fn verdict_on(on_gpu: &OnGpu) -> String {
    let verdict = match on_gpu.verdict {
        FitVerdict::DoesNotFit => "Does not fit",
        FitVerdict::TooClose => "Too close to call on",
        FitVerdict::Fits | FitVerdict::NoDevice => "Fits",
    };
    format!("{verdict} {}: {}", on_gpu.device.name, need_text(&on_gpu.device))
}

fn tables(explanation: &Explanation) -> Vec<Table> {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let owners = explanation.contents.owners.iter().map(|owner| {
        vec![
            owner.bytes.to_string(),
            owner.blocks.to_string(),
            owner.category.name().to_owned(),
            owner.owner.clone(),
        ]
    });
    let mut tables: Vec<Table> = vec![(
        "Lines that hold the peak".to_owned(),
        columns(&["size", "blocks", "for", "line"]),
        owners.take(ROWS).collect(),
    )];
    let pins = explanation.fragmentation.pinned.iter().map(|segment| {
        let pin = segment.pins.first();
        let owner = pin.map_or(String::new(), |pin| format!("{} {}", pin.bytes, pin.owner));
        vec![segment.stranded.to_string(), segment.bytes.to_string(), segment.blocks.to_string(), owner]
    });
    let pins: Vec<Vec<String>> = pins.take(ROWS).collect();
    if !pins.is_empty() {
        let names = columns(&["stranded", "in a segment of", "blocks", "the largest"]);
        tables.push(("Free memory that nothing else could use".to_owned(), names, pins));
    }
    let leaks = explanation
        .leaks
        .iter()
        .map(|leak| vec![leak.bytes_per_step.to_string(), leak.held.to_string(), leak.owner.clone()]);
    let leaks: Vec<Vec<String>> = leaks.take(ROWS).collect();
    if !leaks.is_empty() {
        tables.push((
            "What grows from step to step".to_owned(),
            columns(&["per step", "held at last", "line"]),
            leaks,
        ));
    }
    tables
}
