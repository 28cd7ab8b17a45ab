//! A run over time, at a level of detail that a page can draw: what was in use by purpose, and the largest blocks.

use std::collections::HashMap;

use brimful_replay::{Capacity, follow, recorded_config, replay};
use brimful_trace::{AllocationId, Category, Event, PhaseKind, Trace};
use brimful_units::Bytes;

use crate::holders::TracedRun;
use crate::snapshot::{Doing, Roles};

/// Phases of a recording that a page marks. A recording with more has its short ones left out.
const MOST_PHASES: usize = 4000;

/// The highest moment of a range of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The event.
    pub event: usize,
    /// Bytes in use by purpose, in the order of [`Category::ALL`] (ledger: requested).
    pub used: Vec<u64>,
    /// The most bytes in segments within the range: of a recording as recorded, of a prediction as replayed without an end.
    pub reserved: u64,
}

/// A block's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The block.
    pub id: AllocationId,
    /// The event of its birth; `None` where it was there before the first.
    pub born: Option<usize>,
    /// The event of its death; `None` where it lives on.
    pub died: Option<usize>,
    /// What it is for.
    pub category: Category,
}

/// A segment's life, or a mapped range's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLife {
    /// Its address.
    pub address: u64,
    /// Its size.
    pub bytes: Bytes,
    /// The event that made it; `None` where it was there before the first.
    pub born: Option<usize>,
    /// The event that returned it; `None` where it stays.
    pub died: Option<usize>,
}

/// A run over time.
#[derive(Clone, Debug)]
pub struct History {
    /// The highest moment of each range, in order.
    pub moments: Vec<Moment>,
    /// The largest blocks, largest first.
    pub blocks: Vec<Life>,
    /// The segments of a recording, by address.
    pub segments: Vec<SegmentLife>,
    /// Where phases begin: event, kind, name. Those of a recording are derived from its stacks.
    pub phases: Vec<(usize, PhaseKind, String)>,
}

/// The run in at most `ranges` moments, with the `most` largest blocks.
pub fn history(run: TracedRun<'_>, ranges: usize, most: usize) -> History {
    let trace = run.trace;
    if !run.is_predicted() {
        let draft = Draft::of_recording(trace, &Roles::of(trace), ranges, most);
        return draft.finish(&recorded_reserved(trace, reserved_at_start(trace)));
    }
    let draft = Draft::of(trace, &purposes(run), simulated_phases(trace), ranges, most);
    let timeline = replay(trace, run.config, &Capacity::unlimited());
    let reserved: Vec<(usize, u64)> =
        timeline.reserved.into_iter().map(|(at, bytes)| (at, bytes.get())).collect();
    draft.finish(&reserved)
}

/// A history whose moments lack what was reserved.
pub(crate) struct Draft {
    history: History,
    /// Events in the range of a moment.
    length: usize,
}

impl Draft {
    /// The draft of a recording.
    pub fn of_recording(trace: &Trace, roles: &Roles, ranges: usize, most: usize) -> Draft {
        let purposes: Vec<Category> = roles.purposes.iter().map(|purpose| purpose.category).collect();
        Draft::of(trace, &purposes, recorded_phases(&roles.activity), ranges, most)
    }

    fn of(
        trace: &Trace,
        purposes: &[Category],
        phases: Vec<(usize, PhaseKind, String)>,
        ranges: usize,
        most: usize,
    ) -> Draft {
        let lives = lives(trace, purposes);
        let length = trace.len().div_ceil(ranges.max(1)).max(1);
        let history = History {
            moments: moments(trace, &lives, length),
            blocks: largest(trace, &lives, most),
            segments: segments(trace),
            phases,
        };
        Draft { history, length }
    }

    /// The history, given the events that change what is reserved, and the bytes.
    pub fn finish(mut self, reserved: &[(usize, u64)]) -> History {
        raise_reserved(&mut self.history.moments, reserved, self.length);
        self.history
    }
}

/// The largest blocks, largest first; ties go to the first.
fn largest(trace: &Trace, lives: &[Life], most: usize) -> Vec<Life> {
    let key = |life: &Life| (std::cmp::Reverse(trace.allocations.bytes(life.id)), life.id.0);
    let mut blocks = lives.to_vec();
    if blocks.len() > most && most > 0 {
        blocks.select_nth_unstable_by_key(most - 1, key);
    }
    blocks.truncate(most);
    blocks.sort_unstable_by_key(key);
    blocks
}

fn simulated_phases(trace: &Trace) -> Vec<(usize, PhaseKind, String)> {
    let phase = |(at, event): (usize, Event)| match event {
        Event::Phase(id) => {
            let phase = trace.phase(id);
            Some((at, phase.kind, trace.contexts.str(phase.name).to_owned()))
        }
        _ => None,
    };
    trace.events().enumerate().filter_map(phase).collect()
}

/// The phases that the stacks of a recording show. A step begins with the first forward after the optimizer or `zero_grad`.
fn recorded_phases(activity: &[Doing]) -> Vec<(usize, PhaseKind, String)> {
    let mut begins: Vec<(usize, PhaseKind)> = Vec::new();
    for (at, doing) in activity.iter().enumerate() {
        let Some(kind) = doing.phase() else { continue };
        if begins.last().is_none_or(|last| last.1 != kind) {
            begins.push((at, kind));
        }
    }
    let (mut step, mut ended) = (0, true);
    let mut phases: Vec<(usize, PhaseKind, String)> = Vec::with_capacity(begins.len());
    for (at, kind) in begins {
        if kind == PhaseKind::Forward && ended {
            step += 1;
        }
        // An optimizer that allocates nothing leaves no event: then the dropped gradients show the end of the step.
        ended = matches!(kind, PhaseKind::Optimizer | PhaseKind::ZeroGrad)
            || (ended && kind != PhaseKind::Forward);
        let name = if step == 0 { kind.name().to_owned() } else { format!("step {step} {}", kind.name()) };
        phases.push((at, kind, name));
    }
    without_short_ones(phases, activity.len())
}

/// Leaves out the shortest phases until there are no more than a page can mark.
fn without_short_ones(
    mut phases: Vec<(usize, PhaseKind, String)>,
    events: usize,
) -> Vec<(usize, PhaseKind, String)> {
    let mut least = 2;
    while phases.len() > MOST_PHASES {
        let ends: Vec<usize> = phases.iter().skip(1).map(|phase| phase.0).chain([events]).collect();
        let mut ends = ends.into_iter();
        phases.retain(|phase| ends.next().is_some_and(|end| end - phase.0 >= least));
        least *= 2;
    }
    phases
}

/// What every block of a run is for.
pub fn purposes(run: TracedRun<'_>) -> Vec<Category> {
    if run.is_predicted() {
        return run.trace.allocations.ids().map(|id| run.trace.allocations.category(id)).collect();
    }
    Roles::of(run.trace).purposes.into_iter().map(|purpose| purpose.category).collect()
}

fn lives(trace: &Trace, purposes: &[Category]) -> Vec<Life> {
    let mut lives: Vec<Life> = trace
        .allocations
        .ids()
        .map(|id| Life { id, born: None, died: None, category: purposes[id.index()] })
        .collect();
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::Alloc(id) => lives[id.index()].born = Some(at),
            Event::Free(id) | Event::FreeCompleted(id) => lives[id.index()].died = Some(at),
            _ => {}
        }
    }
    lives
}

fn moments(trace: &Trace, lives: &[Life], length: usize) -> Vec<Moment> {
    let mut used = vec![0u64; Category::ALL.len()];
    for life in lives.iter().filter(|life| life.born.is_none()) {
        used[life.category as usize] += trace.allocations.bytes(life.id).get();
    }
    let mut now: u64 = used.iter().sum();
    let mut moments: Vec<Moment> = Vec::with_capacity(trace.len().div_ceil(length));
    let mut highest = 0;
    for (at, event) in trace.events().enumerate() {
        let (category, gained, lost) = change(trace, event, lives);
        used[category] = (used[category] + gained).saturating_sub(lost);
        now = (now + gained).saturating_sub(lost);
        if at % length == 0 {
            moments.push(Moment { event: at, used: used.clone(), reserved: 0 });
            highest = now;
        } else if now > highest
            && let Some(last) = moments.last_mut()
        {
            last.event = at;
            last.used.copy_from_slice(&used);
            highest = now;
        }
    }
    moments
}

/// Sets the most that was reserved within the range of each moment.
fn raise_reserved(moments: &mut [Moment], changes: &[(usize, u64)], length: usize) {
    let mut changes = changes.iter().peekable();
    let mut now = 0;
    for (range, moment) in moments.iter_mut().enumerate() {
        let (begin, end) = (range * length, (range + 1) * length);
        // What a range begins with counts only where its first event leaves it.
        while let Some((_, reserved)) = changes.next_if(|change| change.0 < begin) {
            now = *reserved;
        }
        let first = changes.peek().is_some_and(|change| change.0 == begin);
        moment.reserved = if first { 0 } else { now };
        while let Some((_, reserved)) = changes.next_if(|change| change.0 < end) {
            now = *reserved;
            moment.reserved = moment.reserved.max(now);
        }
    }
}

/// What is reserved over time in a recording: the events that change it, and the bytes.
pub(crate) fn recorded_reserved(trace: &Trace, start: Bytes) -> Vec<(usize, u64)> {
    let segment = |id| trace.segments.get(id).bytes.get();
    let mut now = start.get();
    let mut changes = vec![(0, now)];
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => now = now.saturating_add(segment(id)),
            Event::SegmentFree(id) | Event::SegmentUnmap(id) => now = now.saturating_sub(segment(id)),
            _ => continue,
        }
        changes.push((at, now));
    }
    changes
}

fn reserved_at_start(trace: &Trace) -> Bytes {
    let begins_late = trace.recording.as_ref().is_some_and(|recording| recording.begins_late);
    if begins_late { follow(trace, &recorded_config(trace)).start.reserved } else { Bytes::ZERO }
}

/// The category whose use an event changes, and the bytes that it gains and loses.
fn change(trace: &Trace, event: Event, lives: &[Life]) -> (usize, u64, u64) {
    let amount = |id: AllocationId| (lives[id.index()].category as usize, trace.allocations.bytes(id).get());
    match event {
        Event::Alloc(id) => {
            let (category, bytes) = amount(id);
            (category, bytes, 0)
        }
        Event::Free(id) | Event::FreeCompleted(id) => {
            let (category, bytes) = amount(id);
            (category, 0, bytes)
        }
        _ => (0, 0, 0),
    }
}

/// Lives of segments: made and returned by events, or there at the end without an event that made them.
fn segments(trace: &Trace) -> Vec<SegmentLife> {
    let mut lives: Vec<SegmentLife> = Vec::new();
    let mut open: HashMap<u64, usize> = HashMap::new();
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => {
                let row = trace.segments.get(id);
                open.insert(row.address, lives.len());
                lives.push(SegmentLife {
                    address: row.address,
                    bytes: row.bytes,
                    born: Some(at),
                    died: None,
                });
            }
            Event::SegmentFree(id) | Event::SegmentUnmap(id) => {
                let row = trace.segments.get(id);
                match open.remove(&row.address) {
                    Some(life) => lives[life].died = Some(at),
                    None => lives.push(SegmentLife {
                        address: row.address,
                        bytes: row.bytes,
                        born: None,
                        died: Some(at),
                    }),
                }
            }
            _ => {}
        }
    }
    let recorded = trace.recording.iter().flat_map(|recording| &recording.segments);
    let unmade = recorded.filter(|segment| !open.contains_key(&segment.address));
    lives.extend(unmade.map(|segment| SegmentLife {
        address: segment.address,
        bytes: segment.bytes,
        born: None,
        died: None,
    }));
    lives.sort_by_key(|life| (life.address, life.born));
    lives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_begins_with_the_first_forward_after_the_optimizer() {
        use Doing::{Backward, Forward, Load, Optimizer, Recompute, Script, ZeroGrad};
        let activity = [Load, Script, Forward, Backward, Recompute, Forward, Optimizer, ZeroGrad, Forward];
        let phases = recorded_phases(&activity);
        let names: Vec<(usize, &str)> = phases.iter().map(|phase| (phase.0, phase.2.as_str())).collect();
        assert_eq!(
            names,
            [
                (0, "load"),
                (2, "step 1 forward"),
                (3, "step 1 backward"),
                (5, "step 1 forward"),
                (6, "step 1 optimizer"),
                (7, "step 1 zero_grad"),
                (8, "step 2 forward"),
            ]
        );
    }

    #[test]
    fn short_phases_are_left_out_where_there_are_too_many() {
        let short = (0..MOST_PHASES + 1).map(|at| (at, PhaseKind::Forward, String::new()));
        let long = (MOST_PHASES + 1, PhaseKind::Backward, "long".to_owned());
        let kept = without_short_ones(short.chain([long.clone()]).collect(), MOST_PHASES + 100);
        assert_eq!(kept, [long]);
    }
}
