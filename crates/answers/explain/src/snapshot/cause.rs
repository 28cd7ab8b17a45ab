//! Why a request failed: the numbers of that instant, the cause, and fixes that were replayed.

use brimful_replay::{LayoutBlock, Ledger, recorded_config};
use brimful_trace::{BlockState, Category, Event, LaneId, Trace};
use brimful_units::Bytes;

use super::Named;
use super::fragments::{Fragmentation, fragmentation};
use super::held::{Contents, contents};
use super::leaks::Leak;
use super::purpose::Purpose;
use super::sites::{Doing, owner, stack_text};
use super::whatif::{WhatIf, least_capacity};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfMemory {
    /// The position of the event in the trace.
    pub event: usize,
    /// What was asked of the device: the message says "Tried to allocate" this.
    pub tried: Bytes,
    /// The block that was wanted.
    pub requested: Bytes,
    /// What the program was doing.
    pub doing: Doing,
    /// What the device had free.
    pub free: Option<Bytes>,
    /// What PyTorch held then.
    pub held: Ledger,
    /// What PyTorch could have of the device: what it held and what was free.
    pub capacity: Option<Bytes>,
    /// Free memory that this stream could have used, had it been in one piece.
    pub usable_free: Bytes,
    /// The largest piece of that.
    pub largest_usable: Bytes,
    /// The innermost line outside of PyTorch.
    pub owner: String,
    /// The stack, innermost first.
    pub stack: Vec<String>,
    /// What was in memory.
    pub contents: Contents,
    /// Where the free memory was.
    pub fragmentation: Fragmentation,
    /// The class of the cause, as `explain` names it for messages too.
    pub class: &'static str,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// One sentence.
    pub sentence: String,
    /// The numbers behind it.
    pub evidence: Vec<String>,
    /// The least memory that PyTorch would have needed under the same settings.
    pub needed: Option<Bytes>,
}

/// What is known of the whole recording.
pub(crate) struct Known<'a> {
    pub purposes: &'a [Purpose],
    /// What the program was doing when the request failed.
    pub doing: Doing,
    /// How many of each are named.
    pub named: Named,
}

/// Explains the request that failed at an event, with the memory as it was then.
pub(crate) fn out_of_memory(
    trace: &Trace,
    event: usize,
    blocks: &[LayoutBlock],
    known: &Known<'_>,
) -> Option<OutOfMemory> {
    let Event::Oom(id) = trace.event(event) else { return None };
    let row = trace.oom_row(id);
    let config = recorded_config(trace);
    let (purposes, named) = (known.purposes, known.named);
    let held = ledger(trace, blocks);
    let capacity = capacity_at(trace, event);
    let usable = usable_free(blocks, row.lane, row.tried);
    let fragmentation = fragmentation(trace, blocks, purposes, Some(event), named.segments);
    Some(OutOfMemory {
        event,
        tried: config.device_request(row.tried),
        requested: row.tried,
        doing: known.doing,
        free: row.free,
        held,
        capacity,
        usable_free: usable.iter().copied().sum(),
        largest_usable: usable.into_iter().max().unwrap_or_default(),
        owner: owner(trace, row.context),
        stack: stack_text(trace, row.context),
        contents: contents(trace, blocks, purposes, named),
        fragmentation,
        class: "unknown",
        confidence: 0.0,
        sentence: String::new(),
        evidence: Vec::new(),
        needed: None,
    })
}

/// What PyTorch could have of the device at a failure: what it held, and what was free.
pub(crate) fn capacity_at(trace: &Trace, event: usize) -> Option<Bytes> {
    let Event::Oom(id) = trace.event(event) else { return None };
    let mut held = i128::from(trace.recording.as_ref()?.reserved().get());
    for later in (event..trace.len()).map(|at| trace.event(at)) {
        held -= match later {
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => i128::from(trace.segments.get(id).bytes.get()),
            Event::SegmentFree(id) | Event::SegmentUnmap(id) => {
                -i128::from(trace.segments.get(id).bytes.get())
            }
            _ => 0,
        };
    }
    Bytes::new(u64::try_from(held).ok()?).checked_add(trace.oom_row(id).free?)
}

/// The least capacity under which every recorded request would have been served.
pub(crate) fn needed(trace: &Trace, capacity: Option<Bytes>) -> Option<Bytes> {
    least_capacity(trace, &recorded_config(trace), capacity?)
}

impl OutOfMemory {
    /// Names the cause, with what other settings would have done.
    pub(crate) fn conclude(&mut self, what_if: &[WhatIf], needed: Option<Bytes>, leaks: &[Leak]) {
        self.needed = needed;
        let helped = what_if.iter().find(|what| what.id == "expandable-segments" && what.fits == Some(true));
        let missing = self.tried.saturating_sub(self.free.unwrap_or_default());
        let leaked: Bytes = leaks.iter().map(|leak| leak.held).sum();
        let fragmented = self.usable_free >= missing && self.largest_usable < self.requested;
        self.evidence = evidence(self, what_if);
        (self.class, self.confidence) = match () {
            () if self.tried > self.held.reserved && self.tried > Bytes::gib(256) => {
                ("index-overflow-or-absurd-size", 0.8)
            }
            () if helped.is_some() && fragmented => ("fragmentation", 0.95),
            () if leaked >= missing && leaked > Bytes::ZERO => ("leak-growth", 0.8),
            () if fragmented && what_if.is_empty() => ("fragmentation", 0.6),
            () => by_contents(&self.contents, self.held.requested),
        };
        self.sentence = sentence(self, helped.map(|what| what.peak.reserved), leaks);
    }
}

/// The ledgers of a layout.
pub fn ledger(trace: &Trace, blocks: &[LayoutBlock]) -> Ledger {
    let mut ledger = Ledger::default();
    for block in blocks {
        ledger.reserved += block.bytes;
        if block.state == BlockState::Allocated {
            ledger.allocated += block.bytes;
        }
        if block.state != BlockState::Inactive {
            ledger.requested += block.allocation.map_or(block.bytes, |id| trace.allocations.bytes(id));
        }
    }
    ledger
}

/// The free pieces that a request of this stream and size may use.
fn usable_free(blocks: &[LayoutBlock], lane: LaneId, tried: Bytes) -> Vec<Bytes> {
    let small = tried <= Bytes::mib(1);
    let own = |block: &&LayoutBlock| {
        block.state == BlockState::Inactive && block.lane == lane && block.small == small
    };
    blocks.iter().filter(own).map(|block| block.bytes).collect()
}

/// What filled memory, where it was full.
fn by_contents(contents: &Contents, requested: Bytes) -> (&'static str, f64) {
    let of = |categories: &[Category]| {
        let shares = contents.shares.iter().filter(|share| categories.contains(&share.category));
        shares.map(|share| share.bytes).sum::<Bytes>()
    };
    let half = Bytes::new(requested.get() / 2);
    let classes: [(&'static str, &[Category]); 5] = [
        ("activations-too-large", &[Category::Activation, Category::Recompute, Category::WeightCast]),
        ("logits-or-loss-spike", &[Category::Logits]),
        ("weights-do-not-fit", &[Category::Parameter]),
        ("optimizer-state", &[Category::Optimizer]),
        ("kv-cache-does-not-fit", &[Category::KvCache]),
    ];
    let largest = classes.into_iter().max_by_key(|class| of(class.1));
    largest.filter(|class| of(class.1) > half).map_or(("live-memory-full", 0.7), |class| (class.0, 0.75))
}

fn evidence(found: &OutOfMemory, what_if: &[WhatIf]) -> Vec<String> {
    let mut lines = vec![format!(
        "PyTorch held {}: {} in live tensors, {} of rounding, {} free",
        found.held.reserved,
        found.held.requested,
        found.fragmentation.rounding,
        found.held.reserved.saturating_sub(found.held.allocated),
    )];
    if found.usable_free > Bytes::ZERO {
        lines.push(format!(
            "{} were free for this request, in pieces of at most {}",
            found.usable_free, found.largest_usable
        ));
    }
    if found.fragmentation.pending > Bytes::ZERO {
        lines.push(format!("{} waited for other streams", found.fragmentation.pending));
    }
    if found.fragmentation.private_free > Bytes::ZERO {
        lines.push(format!("{} were free in private pools", found.fragmentation.private_free));
    }
    if found.fragmentation.other_streams_free > Bytes::ZERO {
        lines.push(format!("{} were free for other streams only", found.fragmentation.other_streams_free));
    }
    lines.extend(what_if.iter().filter(|what| what.id != "as-recorded").map(|what| {
        let end = if what.fits == Some(true) { "every request is served" } else { "it fails, too" };
        format!("replayed with {}: reserved peak {}, {end}", what.conf, what.peak.reserved)
    }));
    lines
}

fn sentence(found: &OutOfMemory, helped: Option<Bytes>, leaks: &[Leak]) -> String {
    let free = found.free.map_or(String::new(), |free| format!(" and the device had {free} left"));
    let phase = found.doing.phase().map_or(String::new(), |phase| format!(" in {}", phase.name()));
    let place = if found.stack.is_empty() { phase } else { format!("{phase} ({})", found.owner) };
    let start =
        format!("A request of {}{place} failed: PyTorch held {}{free}", found.tried, found.held.reserved);
    let why = match (found.class, helped, leaks.first()) {
        ("fragmentation", Some(peak), _) => format!(
            "; {} of that was free, but in pieces of at most {}. With expandable segments the peak would be {peak} \
             and the run would have gone on.",
            found.usable_free, found.largest_usable
        ),
        ("fragmentation", None, _) => {
            format!(
                "; {} of that was free, but in pieces of at most {}.",
                found.usable_free, found.largest_usable
            )
        }
        ("leak-growth", _, Some(leak)) => format!(
            "; memory made at {} grows by {} a step and is never given back: {} so far.",
            leak.owner, leak.bytes_per_step, leak.held
        ),
        _ => {
            let more = found.needed.zip(found.capacity);
            let more = more.map(|(needed, capacity)| needed.saturating_sub(capacity));
            let more = more.map_or(String::new(), |more| format!(" About {more} more would have served it."));
            format!("; {} of that was in use by live tensors.{more}", found.held.requested)
        }
    };
    start + &why
}
