use std::collections::BTreeSet;

use brimful_trace::{AllocationId, Event, Lane, LaneId, PhaseId, PhaseKind, Trace};
use brimful_units::Bytes;

use crate::allocator::{Allocator, Exhausted, Handle};
use crate::config::AllocatorConfig;
use crate::infer::settled;
use crate::ledger::Ledger;

/// What the device gives the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Total memory of the device as `cudaMemGetInfo` reports it; `None` for no end.
    pub total: Option<Bytes>,
    /// What is taken before the allocator starts: the CUDA context, loaded kernels, other processes.
    pub taken: Bytes,
}

impl Capacity {
    /// A device without an end: the peak is wanted, not the verdict.
    pub fn unlimited() -> Capacity {
        Capacity::default()
    }

    fn available(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.taken).get())
    }
}

/// A phase's peaks and what was left at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseLedger {
    /// The phase.
    pub phase: PhaseId,
    /// Its peaks; at least what was there when it began.
    pub peak: Ledger,
    /// The event at which its requested peak was first reached; `None` if nothing exceeded what was there when it began.
    pub peak_event: Option<usize>,
    /// What was there when it ended.
    pub end: Ledger,
}

/// The request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oom {
    /// The position of the event in the trace.
    pub event: usize,
    /// The size that was asked for.
    pub requested: Bytes,
    /// What the allocator asked of the device, as PyTorch prints it.
    pub tried: Bytes,
    /// What the device had free.
    pub free: Bytes,
    /// The device's total.
    pub total: Bytes,
    /// Handed out at that moment.
    pub allocated: Bytes,
    /// In segments at that moment.
    pub reserved: Bytes,
}

/// What became of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Peaks of the whole run, loading included.
    pub peak: Ledger,
    /// The event at which the requested peak was first reached.
    pub peak_event: Option<usize>,
    /// Peaks by phase, in order; empty where the trace has no phases.
    pub phases: Vec<PhaseLedger>,
    /// What was there at the end.
    pub end: Ledger,
    /// What was reserved over time: the position of each event that changed it, and the bytes. An event that passes more
    /// than it leaves, as a request does that maps pages step by step, stands here twice.
    pub reserved: Vec<(usize, Bytes)>,
    /// How often cached memory was returned to make room.
    pub retries: u64,
    /// How often memory was taken from the device.
    pub device_allocs: u64,
    /// The failure that ended the replay.
    pub oom: Option<Oom>,
}

impl Timeline {
    /// The peaks outside of the phases that load the model, and the event at which the requested one was first reached.
    ///
    /// A script that calls `torch.cuda.reset_peak_memory_stats()` after loading sees these. Of a trace without phases
    /// they are zero.
    pub fn after_loading(&self, trace: &Trace) -> (Ledger, Option<usize>) {
        let (mut peak, mut event) = (Ledger::default(), None);
        for phase in &self.phases {
            if trace.phase(phase.phase).kind == PhaseKind::Load {
                continue;
            }
            // An equal peak of a later phase does not move the event: it is the first that counts.
            if phase.peak.requested > peak.requested {
                event = phase.peak_event.or(event);
            }
            peak.raise_to(&phase.peak);
        }
        (peak, event)
    }
}

/// Feeds a trace's requests to the allocator, until the end or the first failure.
///
/// Segment events and addresses of a recorded trace are not followed: this is what the allocator
/// would do under these settings. What was there before a recording's first event comes first. A
/// request that failed in the recording is made, too: where it succeeds now, the run would have gone
/// on, and its block is given back at once, since the recording does not show for how long it would
/// have lived. Bytes throughout.
pub fn replay(trace: &Trace, config: &AllocatorConfig, capacity: &Capacity) -> Timeline {
    let total = capacity.total.map(Bytes::get);
    let config = &settled(trace, config);
    let mut replay = Replay {
        trace,
        capacity: *capacity,
        allocator: Allocator::new(config.clone(), capacity.available(), total),
        handles: vec![None; trace.allocations.len()],
        timeline: Timeline::default(),
        cache_emptied: 0,
    };
    if replay.begin(config) {
        replay.run();
    }
    replay.finish()
}

struct Replay<'a> {
    trace: &'a Trace,
    capacity: Capacity,
    allocator: Allocator,
    handles: Vec<Option<Handle>>,
    timeline: Timeline,
    /// The segments given back up to here belong to one `empty_cache()` or retry.
    cache_emptied: usize,
}

impl Replay<'_> {
    /// What a recording found in memory when it began; false where even that does not fit.
    fn begin(&mut self, config: &AllocatorConfig) -> bool {
        let Some(recording) = &self.trace.recording else { return true };
        self.allocator.set_lanes(&recording.lanes);
        if !recording.begins_late {
            return true;
        }
        for (id, handle) in self.allocator.adopt(self.trace, config) {
            self.handles[id.index()] = Some(handle);
        }
        self.count(0);
        let fits = self.allocator.capacity.is_none_or(|capacity| self.allocator.reserved() <= capacity);
        if !fits {
            self.fail(0, Bytes::ZERO, Exhausted { tried: 0 });
        }
        fits
    }

    fn run(&mut self) {
        for (at, event) in self.trace.events().enumerate() {
            if let Err((requested, exhausted)) = self.step(at, event) {
                return self.fail(at, requested, exhausted);
            }
            // After the step: a request has noted the most that it passed, and this is what it leaves.
            self.note_reserved(at, Bytes::new(self.allocator.reserved()));
        }
    }

    fn step(&mut self, at: usize, event: Event) -> Result<(), (Bytes, Exhausted)> {
        match event {
            Event::Alloc(id) => self.alloc(at, id)?,
            // Most blocks come free at once: then the completion does all.
            Event::FreeRequested(id) if self.completes_at(at + 1, id) => {}
            Event::FreeRequested(id) => {
                if let Some(handle) = self.handles[id.index()] {
                    self.allocator.request_free(handle);
                }
            }
            Event::Free(id) | Event::FreeCompleted(id) => {
                if let Some(handle) = self.handles[id.index()].take() {
                    self.allocator.free(handle);
                }
            }
            Event::SegmentFree(_) | Event::SegmentUnmap(_) if at >= self.cache_emptied => {
                self.segment_freed(at)
            }
            Event::Oom(id) => {
                let row = self.trace.oom_row(id);
                let handle = self.request(at, row.tried, row.lane)?;
                self.allocator.free(handle);
            }
            Event::EmptyCache => self.allocator.empty_cache(),
            Event::Phase(id) => self.begin_phase(id),
            _ => {}
        }
        Ok(())
    }

    fn completes_at(&self, at: usize, id: AllocationId) -> bool {
        at < self.trace.len() && self.trace.event(at) == Event::FreeCompleted(id)
    }

    fn alloc(&mut self, at: usize, id: AllocationId) -> Result<(), (Bytes, Exhausted)> {
        let row = self.trace.allocations.get(id);
        let handle = self.request(at, row.bytes, row.lane)?;
        self.handles[id.index()] = Some(handle);
        Ok(())
    }

    fn request(&mut self, at: usize, bytes: Bytes, lane: LaneId) -> Result<Handle, (Bytes, Exhausted)> {
        // What was reserved before is counted; the cache may have been emptied since.
        self.allocator.take_most_reserved();
        let handle = self.allocator.malloc(bytes.get(), lane).map_err(|exhausted| (bytes, exhausted))?;
        self.count(at);
        Ok(handle)
    }

    /// Segments were given back in the recording: by the allocator itself to make room, which it
    /// decides anew here, or by the program's `empty_cache()`, which is repeated.
    fn segment_freed(&mut self, at: usize) {
        let trace = self.trace;
        let given_back = |event: &Event| {
            matches!(event, Event::SegmentFree(_) | Event::SegmentUnmap(_) | Event::FreeCompleted(_))
        };
        let next = (at..trace.len()).find(|at| !given_back(&trace.event(*at))).unwrap_or(trace.len());
        self.cache_emptied = next;
        let pools: BTreeSet<_> = (at..next).filter_map(|at| self.pool_freed(at)).collect();
        for pool in pools.iter().filter(|pool| pool.is_private()) {
            self.allocator.let_go(self.lanes_of(pool));
        }
        let site =
            |at: usize| trace.recording.as_ref().and_then(|recording| recording.sites.get(at).copied());
        let asks = next < trace.len()
            && matches!(trace.event(next), Event::SegmentAlloc(_) | Event::SegmentMap(_) | Event::Oom(_));
        if asks && site(at) == site(next) {
            return;
        }
        // A `MemPool` that ends gives its own memory back (`MemPool::~MemPool`).
        if pools.iter().all(Lane::is_private) && !pools.is_empty() {
            pools.iter().for_each(|pool| self.allocator.empty_pool(&self.lanes_of(pool)));
        } else {
            self.allocator.empty_cache();
        }
    }

    /// The pool, as a lane without its stream, that gives memory back at an event.
    ///
    /// Of private pools only those do that nothing uses any more.
    fn pool_freed(&self, at: usize) -> Option<Lane> {
        let (Event::SegmentFree(id) | Event::SegmentUnmap(id)) = self.trace.event(at) else { return None };
        let lane = *self.lanes().get(self.trace.segments.get(id).lane.index())?;
        Some(Lane { stream: 0, ..lane })
    }

    fn lanes(&self) -> &[Lane] {
        self.trace.recording.as_ref().map_or(&[], |recording| &recording.lanes)
    }

    fn lanes_of(&self, pool: &Lane) -> Vec<LaneId> {
        let of_pool = self.lanes().iter().zip((0..).map(LaneId)).filter(|(lane, _)| lane.pool == pool.pool);
        of_pool.map(|(_, number)| number).collect()
    }

    fn count(&mut self, at: usize) {
        let reserved = Bytes::new(self.allocator.take_most_reserved());
        let now = Ledger { reserved, ..Ledger::now(&self.allocator) };
        if let Some(phase) = self.timeline.phases.last_mut() {
            if now.requested > phase.peak.requested {
                phase.peak_event = Some(at);
            }
            phase.peak.raise_to(&now);
        }
        if now.requested > self.timeline.peak.requested {
            self.timeline.peak_event = Some(at);
        }
        self.timeline.peak.raise_to(&now);
        self.note_reserved(at, reserved);
    }

    fn note_reserved(&mut self, at: usize, reserved: Bytes) {
        let before = self.timeline.reserved.last().map_or(Bytes::ZERO, |last| last.1);
        if reserved != before {
            self.timeline.reserved.push((at, reserved));
        }
    }

    fn begin_phase(&mut self, id: PhaseId) {
        let now = Ledger::now(&self.allocator);
        if let Some(phase) = self.timeline.phases.last_mut() {
            phase.end = now;
        }
        self.timeline.phases.push(PhaseLedger { phase: id, peak: now, peak_event: None, end: now });
    }

    fn fail(&mut self, at: usize, requested: Bytes, exhausted: Exhausted) {
        self.count(at);
        let now = Ledger::now(&self.allocator);
        let total = self.capacity.total.unwrap_or_default();
        let used = self.capacity.taken.checked_add(now.reserved).unwrap_or(total);
        self.timeline.oom = Some(Oom {
            event: at,
            requested,
            tried: Bytes::new(exhausted.tried),
            free: total.saturating_sub(used),
            total,
            allocated: now.allocated,
            reserved: now.reserved,
        });
    }

    fn finish(mut self) -> Timeline {
        let now = Ledger::now(&self.allocator);
        if let Some(phase) = self.timeline.phases.last_mut() {
            phase.end = now;
        }
        self.timeline.end = now;
        self.timeline.retries = self.allocator.retries();
        self.timeline.device_allocs = self.allocator.device_allocs();
        self.timeline
    }
}
