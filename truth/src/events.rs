//! The simulated allocations and frees beside the recorded ones: the same, in the same order.

use brimful_jobs::{Job, Workload};
use brimful_step::simulate;
use brimful_trace::{AllocationId, Event, Trace};

use crate::Case;

/// An allocation (positive) or a free (negative), in bytes.
type Change = i64;

/// Events before and after the first difference that are shown.
const AROUND: usize = 4;

/// The first difference between the simulation and the record, with its op, module, tensor and neighbours; `None` where
/// there is none.
pub fn difference(case: &Case) -> Option<String> {
    match case.job() {
        Ok(job) => difference_of(case, &job),
        Err(error) => Some(format!("{error:#}")),
    }
}

/// As [`difference`], with the simulation of another job that must do the same.
pub fn difference_of(case: &Case, job: &Job) -> Option<String> {
    let trace = match simulate(job) {
        Ok(trace) => trace,
        Err(error) => return Some(format!("{}: {error}", case.id)),
    };
    let mut real = case.changes();
    let mut ours = changes(&trace);
    ours.truncate(real.len());
    if clears_casts(job) || defers_frees(job) {
        settle(&mut real, |change| *change);
        settle(&mut ours, |change| change.0);
    }
    let same = ours.iter().map(|change| change.0).eq(real.iter().copied());
    (!same).then(|| first_difference(&case.id, &real, &trace, &ours))
}

/// Autocast's cast cache is a hash map over pointers: the order in which it drops its tensors differs between two runs of
/// PyTorch itself.
fn clears_casts(job: &Job) -> bool {
    let precision = match &job.workload {
        Workload::Train(run) => run.precision,
        Workload::Infer(run) => run.precision,
    };
    precision.autocast().is_some()
}

/// CPython does not deallocate objects in more than 50 others at once (`Py_TRASHCAN_BEGIN` in Include/cpython/object.h,
/// 3.11): it keeps the rest for the end. Each product with a quantized weight is such an object in the one that follows it.
fn defers_frees(job: &Job) -> bool {
    const NESTED: usize = 50;
    let Some(quantization) = job.workload.quantization() else { return false };
    let parameters = job.model.parameter_tensors();
    let layers = parameters.iter().filter(|(name, shape)| {
        let path = name.strip_suffix(".weight").filter(|_| job.model.is_linear(name, shape));
        path.is_some_and(|path| quantization.replaces(path))
    });
    layers.count() > NESTED
}

/// Sorts consecutive frees by size.
fn settle<T>(changes: &mut [T], size: impl Fn(&T) -> Change) {
    for run in changes.chunk_by_mut(|a, b| size(a) < 0 && size(b) < 0) {
        run.sort_by_key(&size);
    }
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

fn first_difference(
    id: &str,
    real: &[Change],
    trace: &Trace,
    ours: &[(Change, AllocationId, &str)],
) -> String {
    let length = ours.len().min(real.len());
    let at = (0..length).find(|at| ours[*at].0 != real[*at]).unwrap_or(length);
    let (ours_len, real_len) = (ours.len(), real.len());
    let mut text =
        format!("{id}: first difference at event {at} (ours {ours_len}, real {real_len} events)\n");
    for row in at.saturating_sub(AROUND)..(at + AROUND + 1).min(ours_len.max(real_len)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures, root};

    #[test]
    fn a_difference_is_shown_readably() {
        let mut case = fixtures::select(&root(), &["llama/".to_owned()])
            .unwrap()
            .into_iter()
            .find(|case| case.events.is_some())
            .unwrap();
        let mut changes = case.changes();
        let at = changes.len() / 2;
        changes[at] += 4;
        let events: Vec<String> = changes.iter().map(|change| format!("{change:+}")).collect();
        case.events = Some(events.join(" "));
        let text = difference(&case).unwrap();
        assert!(text.contains(&format!("first difference at event {at} ")), "{text}");
        assert!(text.lines().any(|line| line.starts_with("  > real")), "{text}");
    }
}
