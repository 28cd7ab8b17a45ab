//! Memory as a recording shows it: ranges by address, and the free ones in the order of best fit.

use std::collections::BTreeMap;

use brimful_trace::{AllocationId, BlockState, LaneId, Recording};

use crate::driver::Driver;
use crate::free::{FreeKey, FreeList};
use crate::places::{NONE, Placed, Places, Range, Slot};
use crate::ties::{Counter, Ties};

/// Address space behind the last mapped page of an expandable segment, until an event shows its end.
const UNKNOWN_SPACE: u64 = 1 << 46;
/// Expandable segments that cannot be distinguished share a number by lane and pool; the others have their own.
const SHARED_NUMBERS: u32 = 1 << 17;

/// Memory by address, with its free part in the order of best fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    places: Places,
    /// Where each block is, by allocation; out of date where it was given back.
    of_block: Vec<Slot>,
    /// Of the large pool and of the small one.
    free: [FreeList; 2],
    /// Numbers that were given to segments.
    segments: u32,
    counter: Counter,
    /// The numbers of expandable segments by where they are known to begin, and the reverse.
    spaces: BTreeMap<u64, u32>,
    starts: BTreeMap<u32, u64>,
    /// How long they are, where that is known.
    pub space: Option<u64>,
    /// From the beginning of one to its last page, at most.
    pub longest_space: u64,
    pub reserved: u64,
    pub allocated: u64,
    /// Allocated, or waiting for another stream.
    pub active: u64,
    /// Asked for by what is active.
    pub requested: u64,
}

impl Shadow {
    /// The memory at the end of a recording.
    pub fn at_the_end(recording: &Recording) -> Shadow {
        let mut shadow = Shadow::default();
        for segment in &recording.segments {
            let (lane, small) = (segment.lane, segment.small);
            let number = if segment.expandable { shared_number(lane, small) } else { shadow.new_number() };
            for block in recording.blocks_of(segment) {
                let active = block.state != BlockState::Inactive;
                shadow.insert(
                    block.address,
                    Range {
                        size: block.bytes.get(),
                        state: block.state,
                        requested: if active { block.requested.get() } else { 0 },
                        lane,
                        small,
                        expandable: segment.expandable,
                        segment: number,
                        counter: 0,
                        block: block.allocation,
                    },
                );
            }
        }
        shadow
    }

    /// Numbers what is there before the first event: in the order of addresses, which on Linux is the reverse of the order in
    /// which the driver gave it out. A recording does not show that order.
    pub fn begin_counting(&mut self, ties: Ties, driver: Driver) {
        self.counter = Counter::new(ties);
        let mut slots: Vec<Slot> = self.places.iter().map(|(slot, _)| slot).collect();
        if driver == Driver::Linux {
            slots.reverse();
        }
        let mut last = None;
        let mut counter = 0;
        for slot in slots {
            let range = self.places.at(slot).range;
            if last != Some(range.segment) && !range.expandable {
                counter = self.counter.of_segment();
            }
            last = Some(range.segment);
            let of_segment = if range.expandable { 0 } else { counter };
            let counter = self.counter.of_block(of_segment);
            // The lists of free ranges are ordered by the counter.
            if range.is_free() {
                self.unlist(slot);
            }
            self.places.at_mut(slot).range.counter = counter;
            if range.is_free() {
                self.list(slot);
            }
        }
    }

    fn new_number(&mut self) -> u32 {
        self.segments += 1;
        SHARED_NUMBERS + self.segments
    }

    /// A free range of a segment of cudaMalloc.
    pub fn segment(&mut self, lane: LaneId, size: u64, small: bool) -> Range {
        let segment = self.new_number();
        let counter = self.counter.of_segment();
        Range { counter, ..free_range(lane, size, small, false, segment) }
    }

    /// Free pages of an expandable segment, of which it is not known which.
    pub fn some_pages(lane: LaneId, size: u64, small: bool) -> Range {
        free_range(lane, size, small, true, shared_number(lane, small))
    }

    /// Free pages mapped at an address, as part of the expandable segment there.
    ///
    /// Pages are mapped from the start of unmapped space on (`map_block`), which begins behind a mapped page of the
    /// same segment, or where the segment begins. So pages that do not touch others begin a segment; another one
    /// may end right before them.
    pub fn pages(&mut self, address: u64, lane: LaneId, size: u64, small: bool) -> Range {
        let before = address.checked_sub(1).and_then(|before| self.places.last_until(before));
        let next = before.map_or_else(|| self.first(), |before| Places::some(self.places.at(before).next));
        let same_pool = |placed: &&Placed| {
            placed.range.expandable && (placed.range.lane, placed.range.small) == (lane, small)
        };
        let continues = |before: &&Placed| {
            before.end() == address && self.end_of_space(before.range.segment) != Some(address)
        };
        let before = before.map(|slot| self.places.at(slot)).filter(same_pool).filter(continues);
        let shared = shared_number(lane, small);
        let number = |placed: &Placed| placed.range.segment;
        let next = next
            .map(|slot| self.places.at(slot))
            .filter(same_pool)
            .filter(|next| next.range.segment == shared);
        let known = self.spaces.get(&address).copied();
        let (before, next) = (before.map(number), next.map(number));
        let segment = known.or(before).or(next).unwrap_or_else(|| {
            let number = self.new_number();
            self.spaces.insert(address, number);
            self.starts.insert(number, address);
            number
        });
        if let Some(start) = self.starts.get(&segment) {
            self.longest_space = self.longest_space.max(address + size - start);
        }
        let counter = self.counter.of_block(0);
        Range { counter, ..free_range(lane, size, small, true, segment) }
    }

    /// Takes unmapped pages away; false where there are none. A segment without pages is gone.
    pub fn unmap(&mut self, address: u64, size: u64) -> bool {
        let Some(gone) = self.carve(address, size) else { return false };
        let before = self.places.last_until(address);
        let next = before.map_or_else(|| self.first(), |before| Places::some(self.places.at(before).next));
        let remains = |slot: &Slot| self.places.at(*slot).range.segment == gone.segment;
        if !before.iter().chain(&next).any(remains)
            && let Some(start) = self.starts.remove(&gone.segment)
        {
            self.spaces.remove(&start);
        }
        true
    }

    fn first(&self) -> Option<Slot> {
        self.places.iter().next().map(|(slot, _)| slot)
    }

    /// The range that begins at an address.
    pub fn find(&mut self, address: u64) -> Option<Slot> {
        self.places.last_until(address).filter(|slot| self.places.at(*slot).address == address)
    }

    /// Where a block is; `None` where it was given back.
    #[inline]
    pub fn find_block(&self, id: AllocationId) -> Option<Slot> {
        let slot = *self.of_block.get(id.index())?;
        (slot != NONE && self.places.at(slot).range.block == Some(id)).then_some(slot)
    }

    /// The range in a slot.
    #[inline]
    pub fn at(&self, slot: Slot) -> &Placed {
        self.places.at(slot)
    }

    /// Every range, by address.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Placed)> {
        self.places.iter()
    }

    /// The last range that begins before an address.
    pub fn before(&mut self, address: u64) -> Option<Placed> {
        let slot = self.places.last_until(address.checked_sub(1)?)?;
        Some(*self.places.at(slot))
    }

    /// The range that holds an address.
    pub fn holding(&mut self, address: u64) -> Option<Placed> {
        let slot = self.places.last_until(address)?;
        let placed = *self.places.at(slot);
        (address < placed.end()).then_some(placed)
    }

    /// Whether anything is in a range.
    pub fn is_taken(&mut self, address: u64, size: u64) -> bool {
        let end = address.saturating_add(size);
        let last = end.checked_sub(1).and_then(|last| self.places.last_until(last));
        last.is_some_and(|slot| self.places.at(slot).end() > address)
    }

    /// Puts a range where nothing is.
    pub fn insert(&mut self, address: u64, range: Range) {
        let slot = self.places.insert(address, range);
        self.reserved += range.size;
        match range.state {
            BlockState::Inactive => self.list(slot),
            state => {
                self.active += range.size;
                self.requested += range.requested;
                self.allocated += if state == BlockState::Allocated { range.size } else { 0 };
            }
        }
        if let Some(id) = range.block {
            self.put_block(id, slot);
        }
    }

    fn put_block(&mut self, id: AllocationId, slot: Slot) {
        let at = id.index();
        if self.of_block.len() <= at {
            self.of_block.resize(at + 1, NONE);
        }
        self.of_block[at] = slot;
    }

    /// Takes a range away.
    pub fn remove(&mut self, address: u64) -> Option<Range> {
        let slot = self.find(address)?;
        let range = self.places.at(slot).range;
        self.reserved -= range.size;
        match range.state {
            BlockState::Inactive => self.unlist(slot),
            _ => self.uncount(&range),
        }
        self.places.at_mut(slot).range.block = None;
        self.places.remove(slot);
        Some(range)
    }

    /// What is no longer handed out.
    fn uncount(&mut self, block: &Range) {
        self.active -= block.size;
        self.requested -= block.requested;
        self.allocated -= if block.state == BlockState::Allocated { block.size } else { 0 };
    }

    fn list(&mut self, slot: Slot) {
        let (key, small) = self.key(slot);
        self.free[usize::from(small)].insert(key);
    }

    fn unlist(&mut self, slot: Slot) {
        let (key, small) = self.key(slot);
        self.free[usize::from(small)].remove(&key);
    }

    fn key(&self, slot: Slot) -> (FreeKey, bool) {
        let Placed { address, range, .. } = self.places.at(slot);
        let Range { lane, size, counter, .. } = *range;
        (FreeKey { lane, size, counter, address: *address, id: slot }, range.small)
    }

    /// Makes a block of the low end of a free range; the rest stays free. False where it is too small.
    pub fn occupy(&mut self, slot: Slot, size: u64, requested: u64, block: AllocationId) -> bool {
        let Placed { range: free, address, .. } = *self.places.at(slot);
        if !free.is_free() || free.size < size {
            return false;
        }
        self.unlist(slot);
        // Where nothing is split off, the block stays the object that it was.
        let counter = if size < free.size { self.counter.of_block(free.counter) } else { free.counter };
        self.places.at_mut(slot).range =
            Range { size, requested, state: BlockState::Allocated, block: Some(block), counter, ..free };
        self.put_block(block, slot);
        self.active += size;
        self.allocated += size;
        self.requested += requested;
        let rest = Range { size: free.size - size, ..free };
        if rest.size > 0 {
            let rest = self.places.insert_behind(slot, address + size, rest);
            self.list(rest);
        }
        true
    }

    /// Makes a block free and merges it with its free neighbours.
    pub fn release(&mut self, mut slot: Slot) {
        let Placed { range: block, previous, next, .. } = *self.places.at(slot);
        if block.is_free() {
            self.unlist(slot);
        } else {
            self.uncount(&block);
        }
        self.places.at_mut(slot).range = block.freed();
        if self.joins(slot, next) {
            self.unlist(next);
            self.merge(slot, next);
        }
        if self.joins(previous, slot) {
            self.unlist(previous);
            self.merge(previous, slot);
            // PyTorch keeps the object that was freed, and deletes its neighbour's.
            self.places.at_mut(previous).range.counter = block.counter;
            slot = previous;
        }
        self.list(slot);
    }

    /// Whether a range and the next are free memory of one segment, and touch.
    fn joins(&self, first: Slot, second: Slot) -> bool {
        if first == NONE || second == NONE {
            return false;
        }
        let (first, second) = (self.places.at(first), self.places.at(second));
        let free = first.range.is_free() && second.range.is_free();
        free && first.range.segment == second.range.segment && first.end() == second.address
    }

    fn merge(&mut self, first: Slot, second: Slot) {
        let size = self.places.at(second).range.size;
        self.places.remove(second);
        self.places.at_mut(first).range.size += size;
    }

    /// Puts a free range and merges it with its free neighbours.
    pub fn insert_merged(&mut self, address: u64, range: Range) {
        self.insert(address, range);
        if let Some(slot) = self.find(address) {
            self.release(slot);
        }
    }

    /// Cuts `[address, address + size)` out of the free range around it; the rest stays free.
    /// `None` where there is no such free range.
    pub fn carve(&mut self, address: u64, size: u64) -> Option<Range> {
        let Placed { address: start, range: around, .. } = self.holding(address)?;
        let end = start + around.size;
        if !around.is_free() || address + size > end {
            return None;
        }
        self.remove(start);
        if start < address {
            self.insert(start, Range { size: address - start, ..around });
        }
        if address + size < end {
            self.insert(address + size, Range { size: end - address - size, ..around });
        }
        Some(Range { size, ..around })
    }

    /// Moves the end of a block into the free range behind it; false where that is not free, or too small.
    pub fn shift(&mut self, block: u64, free: u64, more: u64) -> bool {
        let same =
            |a: &Range, b: &Range| a.segment == b.segment && !a.is_free() && b.is_free() && b.size > more;
        let (Some(first), Some(second)) = (self.find(block), self.find(free)) else {
            return false;
        };
        if more == 0
            || !same(&self.at(first).range, &self.at(second).range)
            || self.carve(free, more).is_none()
        {
            return false;
        }
        if let Some(range) = self.remove(block) {
            self.insert(block, Range { size: range.size + more, ..range });
        }
        true
    }

    /// Makes an allocated block wait for another stream, or the reverse.
    pub fn set_pending(&mut self, slot: Slot, pending: bool) {
        let range = &mut self.places.at_mut(slot).range;
        if range.is_free() {
            return;
        }
        let (was, size) = (range.state == BlockState::PendingFree, range.size);
        range.state = if pending { BlockState::PendingFree } else { BlockState::Allocated };
        match (was, pending) {
            (false, true) => self.allocated -= size,
            (true, false) => self.allocated += size,
            _ => {}
        }
    }

    /// Free ranges of a lane and pool that are large enough, in the order of best fit.
    pub fn fitting(&self, lane: LaneId, small: bool, size: u64) -> impl Iterator<Item = Slot> {
        self.free[usize::from(small)].fitting(lane, size).map(|key| key.id)
    }

    /// What a free range could grow to: itself and the unmapped space behind it.
    pub fn reach(&self, slot: Slot) -> u64 {
        let placed = self.places.at(slot);
        let segment = placed.range.segment;
        let next = Places::some(placed.next).map(|next| self.places.at(next));
        let next = next.filter(|next| next.range.segment == segment).map(|next| next.address);
        let end = next.or_else(|| self.end_of_space(segment));
        placed.range.size + end.map_or(UNKNOWN_SPACE, |end| end.saturating_sub(placed.end()))
    }

    fn end_of_space(&self, segment: u32) -> Option<u64> {
        Some(self.starts.get(&segment)? + self.space?)
    }

    /// Whether what a free range could grow to depends on how long segments are.
    pub fn ends_its_space(&self, slot: Slot) -> bool {
        let placed = self.places.at(slot);
        let next = Places::some(placed.next).map(|next| self.places.at(next).range.segment);
        placed.range.expandable && next != Some(placed.range.segment)
    }
}

/// Expandable segments of a lane and pool, where it is not known which.
fn shared_number(lane: LaneId, small: bool) -> u32 {
    u32::from(lane.0) << 1 | u32::from(small)
}

fn free_range(lane: LaneId, size: u64, small: bool, expandable: bool, segment: u32) -> Range {
    Range {
        size,
        state: BlockState::Inactive,
        requested: 0,
        lane,
        small,
        expandable,
        segment,
        counter: 0,
        block: None,
    }
}
