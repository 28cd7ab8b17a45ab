//! Leaks: places in the program that hold more after every step.

use brimful_trace::{AllocationId, ContextId, Event, Trace};
use brimful_units::Bytes;

use super::sites::{Doing, owner, stack_text};

/// A place in the program whose memory grows from step to step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Growth per step: the slope of the least squares line.
    pub bytes_per_step: Bytes,
    /// What it held at the last step.
    pub held: Bytes,
    /// Over how many intervals from step to step it was watched.
    pub intervals: u64,
    /// In how many of them it grew.
    pub grew: u64,
    /// The innermost line outside of PyTorch.
    pub owner: String,
    /// The stack, innermost first.
    pub stack: Vec<String>,
}

/// Steps before this many are warming up: optimizer states and caches come into being.
const WARM_UP: u64 = 2;
/// Fewer steps show no trend.
const FEWEST: u64 = 4;

/// What one place held, step by step, as sums.
#[derive(Clone, Copy, Debug, Default)]
struct Series {
    now: u64,
    last: u64,
    first_step: u64,
    grew: u64,
    shrank: u64,
    /// Σy and Σxy over the steps.
    sum: u128,
    weighted: u128,
}

/// Finds the places that grow over the steps; largest growth first.
///
/// A step ends where the optimizer begins (`Optimizer.step#…`), or where gradients are let go. Before that, the gradients of every step are there, and
/// activations are gone but for those that somebody keeps.
pub fn leaks(trace: &Trace, activity: &[Doing]) -> Vec<Leak> {
    let mut series = vec![Series::default(); trace.contexts.len()];
    let mut step = 0u64;
    let mut ends = ends_of_steps(trace, activity).into_iter().peekable();
    for (at, event) in trace.events().enumerate() {
        while ends.next_if(|end| *end <= at).is_some() {
            step += 1;
            sample(&mut series, step);
        }
        match event {
            Event::Alloc(id) => held(trace, &mut series, id, true),
            Event::Free(id) | Event::FreeCompleted(id) => held(trace, &mut series, id, false),
            _ => {}
        }
    }
    let watched = step.saturating_sub(WARM_UP);
    if watched < FEWEST {
        return Vec::new();
    }
    let grows = |series: &Series| {
        let steadily = series.grew * 2 > watched && series.shrank * 8 <= watched;
        steadily && series.first_step <= WARM_UP + 1 && slope(series, watched) > 0
    };
    let mut found: Vec<Leak> = (0..series.len())
        .filter(|at| grows(&series[*at]))
        .map(|at| leak(trace, ContextId(at as u32), &series[at], watched))
        .collect();
    found.sort_by_key(|leak| (std::cmp::Reverse(leak.bytes_per_step), leak.owner.clone()));
    found
}

/// The events before which a step has ended: those of the named ranges, or where stacks tell.
fn ends_of_steps(trace: &Trace, activity: &[Doing]) -> Vec<usize> {
    let named = trace.recording.iter().flat_map(|recording| &recording.annotations);
    let begins = named.filter(|range| range.begins && range.name.starts_with("Optimizer.step"));
    let named: Vec<usize> = begins.map(|range| range.event).collect();
    if named.len() as u64 >= WARM_UP + FEWEST {
        return named;
    }
    let ends = |doing| matches!(doing, Doing::Optimizer | Doing::ZeroGrad);
    let mut now = Doing::Unknown;
    let mut found = Vec::new();
    for (at, doing) in activity.iter().enumerate() {
        if ends(*doing) && !ends(now) {
            found.push(at);
        }
        if !matches!(doing, Doing::Script | Doing::Unknown) {
            now = *doing;
        }
    }
    found
}

fn held(trace: &Trace, series: &mut [Series], id: AllocationId, born: bool) {
    let row = trace.allocations.get(id);
    let now = &mut series[row.context.index()].now;
    // A block that was there before the recording was not counted.
    *now = if born { *now + row.bytes.get() } else { now.saturating_sub(row.bytes.get()) };
}

fn sample(series: &mut [Series], step: u64) {
    if step <= WARM_UP {
        return;
    }
    let x = u128::from(step - WARM_UP);
    for series in series.iter_mut().filter(|series| series.now > 0 || series.last > 0) {
        if series.first_step == 0 {
            series.first_step = step;
        } else {
            series.grew += u64::from(series.now > series.last);
            series.shrank += u64::from(series.now < series.last);
        }
        series.sum += u128::from(series.now);
        series.weighted += x * u128::from(series.now);
        series.last = series.now;
    }
}

/// Slope of the least squares line through n equidistant samples, in whole bytes, 0 where it falls:
/// (12·Σxy − 6·(n+1)·Σy) / (n·(n²−1)).
fn slope(series: &Series, n: u64) -> u64 {
    let n = u128::from(n);
    let rise = (12 * series.weighted).saturating_sub(6 * (n + 1) * series.sum);
    u64::try_from(rise / (n * (n * n - 1))).unwrap_or(u64::MAX)
}

fn leak(trace: &Trace, context: ContextId, series: &Series, watched: u64) -> Leak {
    Leak {
        bytes_per_step: Bytes::new(slope(series, watched)),
        held: Bytes::new(series.last),
        intervals: watched - 1,
        grew: series.grew,
        owner: owner(trace, context),
        stack: stack_text(trace, context),
    }
}
