//! A run over time, at a level of detail that a page can draw: what was in use by purpose, and the largest blocks.

use brimful_replay::{follow, recorded_config};
use brimful_trace::{AllocationId, Category, Event, PhaseKind, Trace};
use brimful_units::Bytes;

use crate::holders::TracedRun;
use crate::snapshot::purposes_of;

/// The highest moment of a range of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The event.
    pub event: usize,
    /// Bytes in use by purpose, in the order of [`Category::ALL`] (ledger: requested).
    pub used: Vec<u64>,
    /// Bytes in segments that were recorded; 0 for a prediction.
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
    /// Where phases of a prediction begin: event, kind, name.
    pub phases: Vec<(usize, PhaseKind, String)>,
}

/// The run in at most `ranges` moments, with the `most` largest blocks.
pub fn history(run: TracedRun<'_>, ranges: usize, most: usize) -> History {
    let trace = run.trace;
    let purposes = purposes(run);
    let lives = lives(trace, &purposes);
    let mut blocks = lives.clone();
    blocks.sort_by_key(|life| (std::cmp::Reverse(trace.allocations.bytes(life.id)), life.id.0));
    blocks.truncate(most);
    let phase = |(at, event): (usize, Event)| match event {
        Event::Phase(id) => {
            let phase = trace.phase(id);
            Some((at, phase.kind, trace.contexts.str(phase.name).to_owned()))
        }
        _ => None,
    };
    History {
        moments: moments(trace, &lives, ranges),
        blocks,
        segments: segments(trace),
        phases: trace.events().enumerate().filter_map(phase).collect(),
    }
}

/// What every block of a run is for.
pub fn purposes(run: TracedRun<'_>) -> Vec<Category> {
    if run.is_predicted() {
        return run.trace.allocations.ids().map(|id| run.trace.allocations.category(id)).collect();
    }
    purposes_of(run.trace).into_iter().map(|purpose| purpose.category).collect()
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

fn moments(trace: &Trace, lives: &[Life], ranges: usize) -> Vec<Moment> {
    let mut used = vec![0u64; Category::ALL.len()];
    for life in lives.iter().filter(|life| life.born.is_none()) {
        used[life.category as usize] += trace.allocations.bytes(life.id).get();
    }
    let mut reserved = reserved_at_start(trace);
    let length = trace.len().div_ceil(ranges.max(1)).max(1);
    let mut moments: Vec<Moment> = Vec::new();
    let mut highest = 0;
    for (at, event) in trace.events().enumerate() {
        step(trace, event, lives, &mut used, &mut reserved);
        let sum: u64 = used.iter().sum();
        if at % length == 0 {
            moments.push(Moment { event: at, used: used.clone(), reserved });
            highest = sum;
        } else if sum > highest
            && let Some(last) = moments.last_mut()
        {
            *last = Moment { event: at, used: used.clone(), reserved };
            highest = sum;
        }
    }
    moments
}

fn reserved_at_start(trace: &Trace) -> u64 {
    let begins_late = trace.recording.as_ref().is_some_and(|recording| recording.begins_late);
    if begins_late { follow(trace, &recorded_config(trace)).start.reserved.get() } else { 0 }
}

fn step(trace: &Trace, event: Event, lives: &[Life], used: &mut [u64], reserved: &mut u64) {
    let amount = |id: AllocationId| (lives[id.index()].category as usize, trace.allocations.bytes(id).get());
    let segment = |id| trace.segments.get(id).bytes.get();
    match event {
        Event::Alloc(id) => {
            let (category, bytes) = amount(id);
            used[category] += bytes;
        }
        Event::Free(id) | Event::FreeCompleted(id) => {
            let (category, bytes) = amount(id);
            used[category] = used[category].saturating_sub(bytes);
        }
        Event::SegmentAlloc(id) | Event::SegmentMap(id) => *reserved += segment(id),
        Event::SegmentFree(id) | Event::SegmentUnmap(id) => *reserved = reserved.saturating_sub(segment(id)),
        Event::FreeRequested(_) | Event::Oom(_) | Event::EmptyCache | Event::Phase(_) | Event::Remark => {}
    }
}

/// Lives of segments: made and returned by events, or there at the end without an event that made them.
fn segments(trace: &Trace) -> Vec<SegmentLife> {
    let mut lives: Vec<SegmentLife> = Vec::new();
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => {
                let row = trace.segments.get(id);
                lives.push(SegmentLife {
                    address: row.address,
                    bytes: row.bytes,
                    born: Some(at),
                    died: None,
                });
            }
            Event::SegmentFree(id) | Event::SegmentUnmap(id) => {
                let row = trace.segments.get(id);
                let open = |life: &&mut SegmentLife| life.address == row.address && life.died.is_none();
                match lives.iter_mut().rev().find(open) {
                    Some(life) => life.died = Some(at),
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
    for segment in recorded {
        if !lives.iter().any(|life| life.address == segment.address && life.died.is_none()) {
            lives.push(SegmentLife {
                address: segment.address,
                bytes: segment.bytes,
                born: None,
                died: None,
            });
        }
    }
    lives.sort_by_key(|life| (life.address, life.born));
    lives
}
