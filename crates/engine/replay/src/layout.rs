//! Layout mode: follows a recording address by address, and checks that every block was placed where
//! the rules of the allocator say and that the memory at the end is the recorded one.

use std::collections::BTreeMap;

use brimful_trace::{AllocationId, BlockState, Event, LaneId, Recording, SegmentId, Trace};
use brimful_units::Bytes;

use crate::config::AllocatorConfig;
use crate::ledger::Ledger;
use crate::places::{Placed, Range, Slot};
use crate::shadow::Shadow;
use crate::sizes::{MIN_BLOCK, SMALL_SIZE};
use crate::start::rebuild;
use crate::ties::Ties;

/// Something that is not as the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The position of the event in the trace; its length where the end differs.
    pub event: usize,
    /// What differs.
    pub kind: MismatchKind,
    /// The address that was recorded.
    pub found: u64,
    /// The address that the rules give, where they give one.
    pub expected: Option<u64>,
}

/// In what a recording differs from the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MismatchKind {
    /// A block was placed elsewhere.
    Placement,
    /// A block was placed where the replay has no free memory.
    Occupied,
    /// The device was asked though a free block fitted.
    Needless,
    /// The device was asked for another size.
    SegmentSize,
    /// A block, segment or page was given back that the replay does not have.
    Unknown,
    /// The memory at the end is not the recorded one.
    End,
}

/// What could not be checked, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unverified {
    /// Requests that went to the device after other streams' blocks came free in the middle of it.
    pub after_late_frees: u64,
    /// Frees that waited for another stream: when they complete is the GPU's doing, taken as recorded.
    pub cross_stream_frees: u64,
    /// Blocks that were there at the start whose rounding the recording does not show.
    pub rounding_at_start: u64,
    /// The address space of an expandable segment, nine eighths of the device, if placements show it: it is not
    /// recorded.
    pub address_space: Option<Bytes>,
    /// Whether the end could not be compared, since the file was cut off or holds no segments.
    pub end: bool,
    /// Whether the start could not be rebuilt.
    pub start: bool,
}

/// What following a recording showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The largest amounts, each at its own time.
    pub peak: Ledger,
    /// The largest amount allocated or waiting for another stream.
    pub peak_active: Bytes,
    /// The event at which most was requested; `None` where that was at the start.
    pub peak_event: Option<usize>,
    /// The event at which most was reserved.
    pub reserved_event: Option<usize>,
    /// What was there before the first event.
    pub start: Ledger,
    /// What was there after the last.
    pub end: Ledger,
    /// Placements that were checked.
    pub checked: u64,
    /// How many differ, and the first of them.
    pub mismatches: u64,
    /// The first mismatch.
    pub first_mismatch: Option<Mismatch>,
    /// What decides between equal blocks: what the settings say, or else what the placements show.
    pub ties: Ties,
    /// What could not be checked.
    pub unverified: Unverified,
}

impl Followed {
    /// Whether every block is where the rules say, and the end is the recorded one. Where no placement was recorded, nothing
    /// shows that they are.
    pub fn is_faithful(&self) -> bool {
        self.checked > 0 && self.mismatches == 0 && !self.unverified.end && !self.unverified.start
    }
}

/// A block or free range at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutBlock {
    /// Its address.
    pub address: u64,
    /// Its size.
    pub bytes: Bytes,
    /// What it is.
    pub state: BlockState,
    /// The block's row; `None` for free memory.
    pub allocation: Option<AllocationId>,
    /// The lane it belongs to.
    pub lane: LaneId,
    /// Whether it is of the pool for requests of up to 1 MiB.
    pub small: bool,
    /// Whether pages are mapped and unmapped here.
    pub expandable: bool,
    /// The segment's number: free memory merges only within one.
    pub segment: u32,
}

/// In what the length of expandable segments may be wrong, at the first mismatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    TooLong,
    TooShort,
}

/// What the device gave for the request that is being served.
struct DeviceRequest {
    address: u64,
    size: u64,
}

pub(crate) struct Follower<'a> {
    trace: &'a Trace,
    config: &'a AllocatorConfig,
    pub shadow: Shadow,
    pub followed: Followed,
    device_request: Option<DeviceRequest>,
    /// Which blocks were there before the first event.
    at_start: Vec<bool>,
    late_frees: bool,
    at: usize,
    /// Where the next block or failure is.
    request_at: Option<usize>,
    pub doubt: Option<Doubt>,
    /// Where cached memory was given back directly before.
    released_at: Option<usize>,
    nothing: Recording,
}

impl<'a> Follower<'a> {
    /// A follower before the first event, with the memory that the recording found.
    pub fn new(trace: &'a Trace, config: &'a AllocatorConfig) -> Follower<'a> {
        Follower::from_start(trace, config, rebuild(trace, config))
    }

    /// A follower of the memory that [`rebuild`] found, which is the same for every order of equal blocks.
    pub fn from_start(
        trace: &'a Trace,
        config: &'a AllocatorConfig,
        (mut shadow, sure): (Shadow, bool),
    ) -> Follower<'a> {
        shadow.begin_counting(config.ties.unwrap_or_default(), config.driver.unwrap_or_default());
        let mut at_start = Vec::new();
        if shadow.iter().next().is_some() {
            at_start.resize(trace.allocations.len(), false);
            for id in shadow.iter().filter_map(|(_, placed)| placed.range.block) {
                at_start[id.index()] = true;
            }
        }
        let mut follower = Follower {
            trace,
            config,
            shadow,
            followed: Followed::default(),
            device_request: None,
            at_start,
            late_frees: false,
            at: 0,
            request_at: None,
            doubt: None,
            released_at: None,
            nothing: Recording::default(),
        };
        follower.followed.ties = config.ties.unwrap_or_default();
        follower.followed.unverified.start = !sure;
        follower.followed.start = follower.ledger();
        follower.followed.peak = follower.followed.start;
        follower.followed.peak_active = Bytes::new(follower.shadow.active);
        follower
    }

    /// Follows the events up to a position.
    pub fn advance(&mut self, until: usize) {
        while self.at < until {
            self.step(self.trace.event(self.at));
            self.at += 1;
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger {
            requested: Bytes::new(self.shadow.requested),
            allocated: Bytes::new(self.shadow.allocated),
            reserved: Bytes::new(self.shadow.reserved),
        }
    }

    /// Every block and free range at this moment, by address.
    pub fn blocks(&self) -> Vec<LayoutBlock> {
        let block = |(_, Placed { address, range, .. }): (Slot, &Placed)| LayoutBlock {
            address: *address,
            bytes: Bytes::new(range.size),
            state: range.state,
            allocation: range.block,
            lane: range.lane,
            small: range.small,
            expandable: range.expandable,
            segment: range.segment,
        };
        self.shadow.iter().map(block).collect()
    }

    /// Compares the memory with the recorded end.
    pub fn finish(mut self) -> Followed {
        self.followed.end = self.ledger();
        self.compare_end();
        self.followed
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Alloc(id) => self.alloc(id),
            Event::FreeRequested(id) => self.free_requested(id),
            Event::FreeCompleted(id) | Event::Free(id) => self.free_completed(id),
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => self.device_gives(id, event),
            Event::SegmentFree(id) => self.segment_free(id),
            Event::SegmentUnmap(id) => self.unmap(id),
            Event::Oom(_) => self.device_request = None,
            Event::EmptyCache | Event::Phase(_) | Event::Remark => {}
        }
    }

    fn address(&self, id: AllocationId) -> u64 {
        self.trace.allocations.get(id).address.unwrap_or(0)
    }

    fn alloc(&mut self, id: AllocationId) {
        let row = self.trace.allocations.get(id);
        let (address, requested) = (self.address(id), row.bytes.get());
        let rounded = self.config.round_size(requested);
        let small = rounded <= SMALL_SIZE;
        self.followed.checked += 1;
        let free = match self.device_request.take() {
            Some(device_request) => {
                self.check_from_device(&device_request, address, rounded);
                None
            }
            None => self.check_choice(row.lane, small, rounded, address),
        };
        self.late_frees = false;
        self.place(id, free, address, requested, rounded, small);
        self.raise();
    }

    /// The free range that the rules choose; `None` where it is not at the address that was recorded.
    fn check_choice(&mut self, lane: LaneId, small: bool, rounded: u64, address: u64) -> Option<Slot> {
        let expected = self.expected(lane, small, rounded, Some(address));
        let expected = expected.or_else(|| self.grown(lane, small, rounded));
        let found = expected.filter(|slot| self.shadow.at(*slot).address == address);
        match expected {
            _ if found.is_some() => {}
            None if self.late_frees => self.followed.unverified.after_late_frees += 1,
            _ => {
                self.doubt_space(expected);
                let expected = expected.map(|slot| self.shadow.at(slot).address);
                self.mismatch(MismatchKind::Placement, address, expected);
            }
        }
        found
    }

    /// What the rules choose for a request; `found` is where the recording has it, `None` for a new segment.
    ///
    /// A block of the start may be larger than its request shows: up to 1 MiB is not split off. Where the
    /// choice differs for that reason alone, the block is as large as it must be.
    fn expected(&mut self, lane: LaneId, small: bool, rounded: u64, found: Option<u64>) -> Option<Slot> {
        let mut choice = self.choice(lane, small, rounded);
        let mut learned = 0;
        while let Some(other) = choice.filter(|slot| Some(self.shadow.at(*slot).address) != found) {
            let Placed { address, range: Range { size, .. }, .. } = *self.shadow.at(other);
            // If the recorded place is inside of the range, the block before it reaches up to there. If not, it leaves too
            // little for the request.
            let inside = found.and_then(|found| found.checked_sub(address)).filter(|offset| *offset < size);
            let more = inside.unwrap_or((size + MIN_BLOCK).saturating_sub(rounded));
            if !self.round_up_start(address, more) {
                break;
            }
            learned += 1;
            choice = self.choice(lane, small, rounded);
        }
        if let Some(found) = found.filter(|_| choice.is_none())
            && let Some(start) = self.shadow.holding(found).map(|placed| placed.address)
            && found > start
            && self.round_up_start(start, found - start)
        {
            learned += 1;
            choice = self.choice(lane, small, rounded);
        }
        self.followed.unverified.rounding_at_start += learned;
        choice
    }

    /// At the first mismatch: segments may have less address space than was taken for granted, so that another block
    /// was preferred, which cannot grow so far; or more.
    fn doubt_space(&mut self, expected: Option<Slot>) {
        if !self.config.expandable_segments || self.followed.mismatches > 0 {
            return;
        }
        let ends_its_space = expected.is_some_and(|slot| self.shadow.ends_its_space(slot));
        self.doubt = Some(if ends_its_space { Doubt::TooShort } else { Doubt::TooLong });
    }

    /// Makes the block of the start before a free range larger, at the cost of the range.
    fn round_up_start(&mut self, free: u64, more: u64) -> bool {
        if self.at_start.is_empty() {
            return false;
        }
        let before = self.shadow.before(free);
        let Some(Placed { address: at, range: block, .. }) = before else { return false };
        let of_the_start =
            block.block.is_some_and(|id| self.at_start.get(id.index()).copied().unwrap_or(false));
        let unsplit =
            block.size + more - self.config.round_size(block.requested).min(block.size) <= SMALL_SIZE;
        let adjacent = at + block.size == free && !block.small && !block.expandable;
        of_the_start && unsplit && adjacent && self.shadow.shift(at, free, more)
    }

    fn check_from_device(&mut self, device_request: &DeviceRequest, address: u64, rounded: u64) {
        let Some(Placed { address: start, range, .. }) = self.shadow.holding(device_request.address) else {
            return;
        };
        if start != address {
            self.mismatch(MismatchKind::Placement, address, Some(start));
        } else if !range.expandable && device_request.size != self.config.segment_size(rounded) {
            self.mismatch(MismatchKind::SegmentSize, address, None);
        }
    }

    /// `get_free_block`: the smallest that fits, and among equals the first by [`Ties`].
    fn choice(&self, lane: LaneId, small: bool, rounded: u64) -> Option<Slot> {
        let mut fitting = self.shadow.fitting(lane, small, rounded);
        let expandable = |slot: Slot| self.shadow.at(slot).range.expandable;
        let mut best = fitting.next()?;
        if self.config.expandable_segments {
            for next in fitting {
                if !expandable(best) || self.shadow.reach(next) >= self.shadow.reach(best) {
                    break;
                }
                best = next;
            }
        } else if expandable(best) {
            best = fitting.find(|slot| !expandable(*slot))?;
        }
        self.config.may_take(self.shadow.at(best).range.size, rounded).then_some(best)
    }

    /// `find_expandable_block` where nothing need be mapped: the first free block before unmapped space that
    /// is large enough. It is taken even where the cache would not give it, since it is oversize.
    fn grown(&self, lane: LaneId, small: bool, rounded: u64) -> Option<Slot> {
        if !self.config.expandable_segments {
            return None;
        }
        let own = |range: &Range| range.expandable && (range.lane, range.small) == (lane, small);
        let mut blocks =
            self.shadow.iter().filter(|(_, placed)| own(&placed.range) && placed.range.is_free());
        let before_space = |(slot, placed): &(Slot, &Placed)| {
            let reach = self.shadow.reach(*slot);
            reach > placed.range.size && reach >= rounded
        };
        blocks.find(before_space).filter(|(_, placed)| placed.range.size >= rounded).map(|(slot, _)| slot)
    }

    fn place(
        &mut self,
        id: AllocationId,
        free: Option<Slot>,
        address: u64,
        requested: u64,
        rounded: u64,
        small: bool,
    ) {
        let free = free.or_else(|| self.shadow.find(address));
        let Some(slot) = free.filter(|slot| self.shadow.at(*slot).range.is_free()) else {
            return self.place_as_recorded(id, address, requested, rounded);
        };
        let free = self.shadow.at(slot).range;
        if free.size < rounded {
            return self.mismatch(MismatchKind::Occupied, address, None);
        }
        let expandable = free.expandable && self.config.expandable_segments;
        let split = self.config.should_split(free.size, rounded, small, expandable);
        let size = if split { rounded } else { free.size };
        self.shadow.occupy(slot, size, requested, id);
    }

    /// The recording is right where it differs from the replay: the block goes where it was.
    fn place_as_recorded(&mut self, id: AllocationId, address: u64, requested: u64, rounded: u64) {
        let fits = self
            .shadow
            .holding(address)
            .is_some_and(|free| free.range.is_free() && address.saturating_add(rounded) <= free.end());
        match fits.then(|| self.shadow.carve(address, rounded)).flatten() {
            Some(free) => {
                let state = BlockState::Allocated;
                self.shadow.insert(address, Range { state, requested, block: Some(id), ..free });
            }
            None => self.mismatch(MismatchKind::Occupied, address, None),
        }
    }

    fn free_requested(&mut self, id: AllocationId) {
        // Most blocks come free at once: then the completion does all.
        if self.at + 1 < self.trace.len() && self.trace.event(self.at + 1) == Event::FreeCompleted(id) {
            return;
        }
        let Some(slot) = self.shadow.find_block(id) else {
            return self.mismatch(MismatchKind::Unknown, self.address(id), None);
        };
        self.shadow.set_pending(slot, true);
        self.followed.unverified.cross_stream_frees += 1;
    }

    fn free_completed(&mut self, id: AllocationId) {
        let Some(slot) = self.shadow.find_block(id) else {
            return self.mismatch(MismatchKind::Unknown, self.address(id), None);
        };
        self.shadow.release(slot);
        let at_once = self.at > 0 && self.trace.event(self.at - 1) == Event::FreeRequested(id);
        if !at_once {
            self.late_frees = true;
        }
    }

    /// The rounded size that the device is asked for: of the next block or failure in the trace.
    fn next_request(&mut self) -> u64 {
        if self.request_at.is_none_or(|at| at < self.at) {
            let ends = |at: &usize| matches!(self.trace.event(*at), Event::Alloc(_) | Event::Oom(_));
            let end = self.trace.len();
            self.request_at = Some((self.at..end).find(ends).unwrap_or(end));
        }
        let at = self.request_at.filter(|at| *at < self.trace.len());
        match at.map(|at| self.trace.event(at)) {
            Some(Event::Alloc(id)) => self.config.round_size(self.trace.allocations.bytes(id).get()),
            Some(Event::Oom(id)) => self.trace.oom_row(id).tried.get(),
            _ => u64::MAX,
        }
    }

    fn device_gives(&mut self, id: SegmentId, event: Event) {
        let row = self.trace.segments.get(id);
        let (address, size) = (row.address, row.bytes.get());
        let rounded = self.next_request();
        let small = rounded <= SMALL_SIZE;
        if self.device_request.is_none()
            && !self.is_retrying()
            && let Some(expected) = self.expected(row.lane, small, rounded, None)
        {
            if self.late_frees {
                self.followed.unverified.after_late_frees += 1;
            } else {
                self.doubt_space(Some(expected));
                self.mismatch(MismatchKind::Needless, address, Some(self.shadow.at(expected).address));
            }
        }
        if self.shadow.is_taken(address, size) {
            return self.mismatch(MismatchKind::Occupied, address, None);
        }
        let range = match event {
            Event::SegmentMap(_) => self.shadow.pages(address, row.lane, size, small),
            _ => self.shadow.segment(row.lane, size, small),
        };
        self.shadow.insert_merged(address, range);
        self.device_request = Some(DeviceRequest { address, size });
        self.raise();
    }

    /// Whether cached memory was given back to make room for the request that is being served: what remained of it
    /// is not searched again (`malloc` goes on with `alloc_block`).
    fn is_retrying(&self) -> bool {
        let site = |at: usize| self.trace.recording.as_ref().and_then(|recording| recording.sites.get(at));
        self.released_at.is_some_and(|at| at + 1 == self.at && site(at) == site(self.at))
    }

    fn segment_free(&mut self, id: SegmentId) {
        self.released_at = Some(self.at);
        let row = self.trace.segments.get(id);
        let whole = self.shadow.find(row.address).map(|slot| self.shadow.at(slot).range);
        if whole.is_none_or(|range| !range.is_free() || range.size != row.bytes.get()) {
            return self.mismatch(MismatchKind::Unknown, row.address, None);
        }
        self.shadow.remove(row.address);
    }

    fn unmap(&mut self, id: SegmentId) {
        self.released_at = Some(self.at);
        let row = self.trace.segments.get(id);
        if !self.shadow.unmap(row.address, row.bytes.get()) {
            self.mismatch(MismatchKind::Unknown, row.address, None);
        }
    }

    fn raise(&mut self) {
        let now = self.ledger();
        if now.requested > self.followed.peak.requested {
            self.followed.peak_event = Some(self.at);
        }
        if now.reserved > self.followed.peak.reserved {
            self.followed.reserved_event = Some(self.at);
        }
        self.followed.peak.raise_to(&now);
        self.followed.peak_active = self.followed.peak_active.max(Bytes::new(self.shadow.active));
    }

    fn mismatch(&mut self, kind: MismatchKind, found: u64, expected: Option<u64>) {
        self.followed.mismatches += 1;
        let event = self.at;
        self.followed.first_mismatch.get_or_insert(Mismatch { event, kind, found, expected });
    }

    /// Every block of the recorded end, and nothing else.
    fn compare_end(&mut self) {
        let recording = self.trace.recording.as_ref().unwrap_or(&self.nothing);
        if recording.segments.is_empty() && self.shadow.reserved > 0 {
            self.followed.unverified.end = true;
            return;
        }
        let recorded = Shadow::at_the_end(recording);
        let mut recorded: BTreeMap<u64, &Range> =
            recorded.iter().map(|(_, placed)| (placed.address, &placed.range)).collect();
        let differs = |mine: &Range, theirs: &Range| {
            (mine.size, mine.state, mine.requested) != (theirs.size, theirs.state, theirs.requested)
        };
        let mut wrong = Vec::new();
        for (_, mine) in self.shadow.iter() {
            let theirs = recorded.remove(&mine.address);
            if theirs.is_none_or(|theirs| differs(&mine.range, theirs)) {
                wrong.push(mine.address);
            }
        }
        wrong.extend(recorded.keys());
        for address in wrong {
            self.mismatch(MismatchKind::End, address, None);
        }
    }
}
