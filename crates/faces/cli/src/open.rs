//! `brimful open`: a run as one HTML page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use brimful_explain::snapshot::{Explanation, describe_recording};
use brimful_explain::{Holder, Run, history, holders, holders_of};
use brimful_replay::Ledger;
use brimful_report::{PageAnswer, page};
use brimful_units::Bytes;

use crate::args::OpenArguments;
use crate::out::{Outcome, complain, print};
use crate::runs::open_run;

/// Moments that the timeline is drawn of.
const STRETCHES: usize = 8192;
/// Blocks that can be selected: the largest.
const BLOCKS: usize = 12_000;
/// Rows of a table.
const ROWS: usize = 20;

type Table = (String, Vec<String>, Vec<Vec<String>>);

/// Writes the page, and shows it unless a file was named.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &OpenArguments) -> Result<Outcome> {
    let opened = open_run(&arguments.input, arguments.device, &arguments.keys.overrides())?;
    let run = opened.run();
    let (history, (peak, holders, told)) = rayon::join(|| history(run, STRETCHES, BLOCKS), || who_holds(run));
    let mut notes = opened.notes.clone();
    notes.extend(told.iter().flat_map(|told| told.notes.clone()));
    let verdict = verdict(run, told.as_ref(), peak.requested, peak.reserved);
    let answer = PageAnswer {
        input: &arguments.input,
        run,
        history: &history,
        holders: &holders,
        verdict,
        tables: told.as_ref().map(tables).unwrap_or_default(),
        notes: &notes,
    };
    let path = arguments.output.clone().unwrap_or_else(|| beside(&arguments.input));
    fs::write(&path, page(&answer)).with_context(|| format!("--output {}", path.display()))?;
    print(&format!("{}\n", path.display()))?;
    if arguments.output.is_none() {
        show(&path);
    }
    Ok(Outcome::Well)
}

/// The peaks, the holders at the requested one, and of a recording all that is told about it.
fn who_holds(run: Run<'_>) -> (Ledger, Vec<Holder>, Option<Explanation>) {
    if run.is_predicted() {
        let (peak, holders) = holders(run);
        return (peak, holders, None);
    }
    let told = describe_recording(run.trace, usize::MAX);
    (told.followed.peak, holders_of(&told.contents), Some(told))
}

fn verdict(run: Run<'_>, told: Option<&Explanation>, requested: Bytes, reserved: Bytes) -> String {
    let peak = format!("{requested} in use at the peak, {reserved} reserved");
    match told.and_then(|told| told.out_of_memory.as_ref()) {
        Some(oom) => format!("Out of memory: {} ({peak})", oom.sentence),
        None if run.is_predicted() => format!("Predicted: {peak}"),
        None => format!("No request failed: {peak}"),
    }
}

fn tables(told: &Explanation) -> Vec<Table> {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let owners = told.contents.owners.iter().map(|owner| {
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
    let pins = told.fragmentation.pinned.iter().map(|segment| {
        let pin = segment.pins.first();
        let owner = pin.map_or(String::new(), |pin| format!("{} {}", pin.bytes, pin.owner));
        vec![segment.stranded.to_string(), segment.bytes.to_string(), segment.blocks.to_string(), owner]
    });
    let pins: Vec<Vec<String>> = pins.take(ROWS).collect();
    if !pins.is_empty() {
        let names = columns(&["stranded", "in a segment of", "blocks", "the largest"]);
        tables.push(("Free memory that nothing else could use".to_owned(), names, pins));
    }
    let leaks = told
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

/// The page's name where none was given: in the folder for temporary files.
fn beside(input: &str) -> PathBuf {
    let name =
        Path::new(input).file_name().map_or("run".to_owned(), |name| name.to_string_lossy().into_owned());
    std::env::temp_dir().join(format!("{name}.brimful.html"))
}

/// Opens the page with the system's program for it.
fn show(path: &Path) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let started = Command::new(opener).arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if started.is_err() {
        complain(&format!("{opener} is not here; open {} in a browser", path.display()));
    }
}
