//! The simulated step against recorded runs of real PyTorch: the same allocations and frees, in the same order.

use std::io::{BufRead, BufReader};
use std::path::Path;

use brimful_jobs::{Format, Job, Overrides, Precision, Workload, load};
use brimful_models::NoFiles;
use brimful_step::simulate;
use brimful_trace::{AllocationId, Event, Trace};
use flate2::read::GzDecoder;
use serde_json::Value;

/// An allocation (positive) or a free (negative), in bytes.
type Change = i64;

/// A recorded run.
struct Recorded {
    id: String,
    job: Job,
    changes: Vec<Change>,
}

#[test]
fn every_recorded_sequence_is_met() {
    let mut told = Vec::new();
    let mut count = 0;
    for recorded in recorded() {
        count += 1;
        told.extend(difference(&recorded));
    }
    assert!(count >= 600, "only {count} sequences");
    assert!(told.is_empty(), "{} of {count} sequences differ:\n{}", told.len(), told.join("\n"));
}

#[test]
fn a_difference_is_told_readably() {
    let mut recorded = recorded().next().unwrap();
    let at = recorded.changes.len() / 2;
    recorded.changes[at] += 4;
    let told = difference(&recorded).unwrap();
    assert!(told.contains(&format!("first difference at event {at}")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("  > real")), "{told}");
}

fn recorded() -> impl Iterator<Item = Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/step/events.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    lines.map(|line| {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let id = row["id"].as_str().unwrap().to_owned();
        let loaded = load(&id, &row["job"].to_string(), Format::Json, &NoFiles, &Overrides::default());
        let changes = row["events"].as_str().unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
        Recorded { id, job: loaded.unwrap().job, changes }
    })
}

/// The first difference, readably; `None` where there is none.
fn difference(recorded: &Recorded) -> Option<String> {
    let trace = match simulate(&recorded.job) {
        Ok(trace) => trace,
        Err(error) => return Some(format!("{}: {error}", recorded.id)),
    };
    let ours = changes(&trace);
    let sizes: Vec<Change> = ours.iter().map(|change| change.0).take(recorded.changes.len()).collect();
    let same = if clears_casts(&recorded.job) {
        settled(&sizes) == settled(&recorded.changes)
    } else {
        sizes == recorded.changes
    };
    (!same).then(|| first_difference(recorded, &trace, &ours))
}

/// Autocast's cast cache is a hash map over pointers: the order in which it lets go differs between two runs of
/// PyTorch itself.
fn clears_casts(job: &Job) -> bool {
    let precision = match &job.workload {
        Workload::Train(run) => run.precision,
        Workload::Infer(run) => run.precision,
    };
    matches!(precision, Precision::AmpBf16 | Precision::AmpFp16)
}

/// Consecutive frees sorted by size.
fn settled(changes: &[Change]) -> Vec<Change> {
    let mut all = changes.to_vec();
    for run in all.chunk_by_mut(|a, b| *a < 0 && *b < 0) {
        run.sort_unstable();
    }
    all
}

/// Every change with its block and its phase.
fn changes(trace: &Trace) -> Vec<(Change, AllocationId, &str)> {
    let mut phase = "";
    let mut all = Vec::new();
    for event in trace.events() {
        let (sign, id) = match event {
            Event::Alloc(id) => (1, id),
            Event::Free(id) => (-1, id),
            Event::Phase(id) => {
                phase = trace.contexts.str(trace.phase(id).name);
                continue;
            }
            _ => continue,
        };
        all.push((sign * trace.allocations.bytes(id).get() as i64, id, phase));
    }
    all
}

fn first_difference(recorded: &Recorded, trace: &Trace, ours: &[(Change, AllocationId, &str)]) -> String {
    let real = &recorded.changes;
    let length = ours.len().min(real.len());
    let at = (0..length).find(|at| ours[*at].0 != real[*at]).unwrap_or(length);
    let (id, ours_len) = (&recorded.id, ours.len());
    let mut text =
        format!("{id}: first difference at event {at} (ours {ours_len}, real {} events)\n", real.len());
    for row in at.saturating_sub(4)..(at + 5).min(ours_len.max(real.len())) {
        let mark = if row == at { ">" } else { " " };
        let real = real.get(row).map_or("end".to_owned(), |change| format!("{change:+}"));
        let (size, what) = match ours.get(row) {
            Some((change, id, phase)) => (format!("{change:+}"), describe(trace, *id, phase)),
            None => ("end".to_owned(), String::new()),
        };
        text += &format!("  {mark} real {real:>14}  ours {size:>14}  {what}\n");
    }
    text
}

fn describe(trace: &Trace, id: AllocationId, phase: &str) -> String {
    let context = trace.contexts.get(trace.allocations.get(id).context);
    let name = |id| trace.contexts.str(id);
    let tensor = trace.tensor(id).map_or("kernel buffer".to_owned(), |t| format!("{} {}", t.shape, t.dtype));
    format!("#{} {phase} {} {} {} {tensor}", id.0, name(context.op), name(context.module), name(context.node))
}
