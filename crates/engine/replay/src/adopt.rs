//! The memory that a recording found when it began, as the allocator's own state.

use std::collections::BTreeMap;

use brimful_trace::{AllocationId, BlockState, Trace};

use crate::allocator::{Allocator, Handle};
use crate::blocks::{Block, BlockId, NONE};
use crate::config::AllocatorConfig;
use crate::driver::Driver;
use crate::infer::recorded_config;
use crate::places::Range;
use crate::shadow::Shadow;
use crate::start::rebuild;

impl Allocator {
    /// Takes over the memory at the start of a recording; returns the blocks in it.
    ///
    /// Under settings of the recording's kind of segments they are taken over as they are: they were
    /// there. Under the other kind, the blocks of the start are asked for anew, in the order of addresses.
    pub(crate) fn adopt(&mut self, trace: &Trace, config: &AllocatorConfig) -> Vec<(AllocationId, Handle)> {
        let (start, _) = rebuild(trace, &recorded_config(trace));
        let mut adopted = Vec::new();
        let mut segments: BTreeMap<u32, Vec<(u64, Range)>> = BTreeMap::new();
        for (_, placed) in start.iter() {
            segments.entry(placed.range.segment).or_default().push((placed.address, placed.range));
        }
        self.begin_addresses_after(&start);
        self.begin_driver_at(&start);
        let kept = |segment: &Vec<(u64, Range)>| {
            segment[0].1.expandable == config.expandable_segments && span(segment) < WIDEST
        };
        let (same, other): (Vec<_>, Vec<_>) = segments.into_values().partition(kept);
        for segment in in_order_of_creation(same, config.driver.unwrap_or_default()) {
            self.adopt_segment(&segment, &mut adopted);
        }
        for (_, range) in other.into_iter().flatten() {
            if let Some(block) = range.block
                && let Ok(handle) = self.malloc(range.requested, range.lane)
            {
                adopted.push((block, handle));
            }
        }
        for (_, handle) in adopted.iter().filter(|(block, _)| is_pending(&start, *block)) {
            self.request_free(*handle);
        }
        adopted
    }

    /// The ranges of a segment, in the order of addresses. An expandable one moves to addresses of its
    /// own, where it can grow; gaps between mapped ranges stay unmapped.
    fn adopt_segment(&mut self, segment: &[(u64, Range)], adopted: &mut Vec<(AllocationId, Handle)>) {
        let Some(((first, front), (_, back))) = segment.first().zip(segment.last()) else { return };
        let span = span(segment);
        let space = if front.expandable { self.space(front.small).max(span) } else { span };
        let base =
            if front.expandable { self.reserve_addresses(space, self.page(front.small)) } else { *first };
        let counter = if front.expandable { self.counter.of_block(0) } else { self.counter.of_segment() };
        if !front.expandable
            && let Some(addresses) = &mut self.addresses
        {
            addresses.place(base, span);
        }
        let (mut previous, mut end) = (None, base);
        for (address, range) in segment {
            let address = base + (address - first);
            previous = self.adopt_gap(previous, end, (address, counter), range);
            let id = self.adopt_range((address, counter), range, previous);
            adopted.extend(range.block.map(|block| (block, self.handle(id))));
            (previous, end) = (Some(id), address + range.size);
        }
        self.adopt_gap(previous, end, (base + space, counter), back);
        self.segments += 1;
    }

    /// Unmapped space between two ranges, or behind the last; returns the block before what comes next.
    fn adopt_gap(
        &mut self,
        previous: Option<BlockId>,
        from: u64,
        (to, counter): (u64, u32),
        like: &Range,
    ) -> Option<BlockId> {
        if to <= from {
            return previous;
        }
        let free = Range { size: to - from, requested: 0, state: BlockState::Inactive, block: None, ..*like };
        let id = self.insert_adopted((from, counter), &free, previous, false);
        self.pools[usize::from(!like.small)].unmapped.insert((like.lane, from, id));
        Some(id)
    }

    fn adopt_range(&mut self, at: (u64, u32), range: &Range, previous: Option<BlockId>) -> BlockId {
        let id = self.insert_adopted(at, range, previous, true);
        let allocated = !range.is_free();
        self.take_over(range.size, allocated.then_some(range.requested));
        if !allocated {
            let key = self.blocks.key(id);
            self.pools[usize::from(!range.small)].free.insert(key);
        }
        id
    }

    /// Adds a block at an address, in a segment with this counter.
    fn insert_adopted(
        &mut self,
        (address, counter): (u64, u32),
        range: &Range,
        previous: Option<BlockId>,
        mapped: bool,
    ) -> BlockId {
        let counter = self.counter.of_block(counter);
        let id = self.blocks.insert(Block {
            address,
            size: range.size,
            requested: range.requested,
            lane: range.lane,
            small: range.small,
            allocated: !range.is_free(),
            pending: false,
            mapped,
            expandable: range.expandable,
            previous: NONE,
            next: NONE,
            freed_at: 0,
            counter,
            serial: 0,
        });
        if let Some(previous) = previous {
            self.blocks.link_after(id, previous);
        }
        id
    }
}

type Segment = Vec<(u64, Range)>;

/// Segments that were there before a recording, in the order in which the driver most likely placed them.
fn in_order_of_creation(mut segments: Vec<Segment>, driver: Driver) -> Vec<Segment> {
    segments.sort_by_key(|segment| segment.first().map(|(address, _)| *address));
    if driver == Driver::Linux {
        segments.reverse();
    }
    segments
}

/// A segment's ranges further apart than this are no segment's: 1 PiB.
const WIDEST: u64 = 1 << 50;

/// From the first byte of a segment to behind its last.
fn span(segment: &[(u64, Range)]) -> u64 {
    let ends = segment.first().zip(segment.last());
    ends.map_or(0, |(first, last)| last.0.saturating_add(last.1.size) - first.0)
}

fn is_pending(start: &Shadow, block: AllocationId) -> bool {
    let slot = start.find_block(block);
    slot.is_some_and(|slot| start.at(slot).range.state == BlockState::PendingFree)
}
