//! Expandable segments: address space that pages are mapped into (`ExpandableSegment`,
//! `try_allocate_expandable_block`, `map_block`, `unmap_block`).

use crate::allocator::Allocator;
use crate::blocks::{Block, BlockId, NONE};
use crate::sizes::SMALL_SEGMENT;
use brimful_trace::LaneId;

/// Address space of a segment on a device without an end.
const UNLIMITED_SPACE: u64 = 1 << 56;

impl Allocator {
    pub(crate) fn page(&self, small: bool) -> u64 {
        if small { SMALL_SEGMENT } else { self.config.large_segment_size }
    }

    pub(crate) fn new_expandable_block(
        &mut self,
        small: bool,
        lane: LaneId,
        rounded: u64,
    ) -> Option<BlockId> {
        let mut candidate =
            self.expandable_candidate(small, lane, rounded).unwrap_or_else(|| self.new_space(small, lane));
        if !self.blocks.get(candidate).mapped {
            let wanted = self.blocks.get(candidate).size.min(rounded);
            candidate = self.map(candidate, wanted)?;
        }
        while self.blocks.get(candidate).size < rounded {
            let next = self.blocks.get(candidate).next;
            // More than the segment's address space, and so more than the device.
            if next == NONE {
                return None;
            }
            let wanted = (rounded - self.blocks.get(candidate).size).min(self.blocks.get(next).size);
            candidate = self.map(next, wanted)?;
        }
        let key = self.blocks.key(candidate);
        self.pools[usize::from(!small)].free.remove(&key);
        Some(candidate)
    }

    /// `find_expandable_block`: the first run of free and unmapped ranges that is long enough.
    fn expandable_candidate(&self, small: bool, lane: LaneId, rounded: u64) -> Option<BlockId> {
        let pool = &self.pools[usize::from(!small)];
        let usable = |id: BlockId| id != NONE && !self.blocks.get(id).allocated;
        for (_, _, unmapped) in pool.unmapped.iter().filter(|key| key.0 == lane) {
            let before = self.blocks.get(*unmapped).previous;
            let start = if usable(before) { before } else { *unmapped };
            let (mut at, mut run) = (start, 0u64);
            while usable(at) && run < rounded {
                run += self.blocks.get(at).size;
                at = self.blocks.get(at).next;
            }
            if run >= rounded {
                return Some(start);
            }
        }
        None
    }

    /// Address space of a segment: an eighth more than the device has, in whole pages.
    pub(crate) fn space(&self, small: bool) -> u64 {
        let total = self.device_total.unwrap_or(UNLIMITED_SPACE).min(UNLIMITED_SPACE);
        (total + total / 8).next_multiple_of(self.page(small))
    }

    fn new_space(&mut self, small: bool, lane: LaneId) -> BlockId {
        let (page, size) = (self.page(small), self.space(small));
        // Pages are counted from the segment's start: aligning it lets addresses tell them.
        let address = self.reserve_addresses(size, page);
        self.segments += 1;
        let counter = self.counter.of_block(0);
        let id = self.blocks.insert(Block {
            address,
            size,
            requested: 0,
            lane,
            small,
            allocated: false,
            pending: false,
            mapped: false,
            expandable: true,
            previous: NONE,
            next: NONE,
            freed_at: 0,
            counter,
            serial: 0,
        });
        self.pools[usize::from(!small)].unmapped.insert((lane, address, id));
        id
    }

    /// Maps the pages that cover `wanted` bytes from the block's start; the mapped part joins the
    /// free blocks. Fails where the device has not enough.
    fn map(&mut self, id: BlockId, wanted: u64) -> Option<BlockId> {
        let block = self.blocks.get(id);
        let (small, lane, size) = (block.small, block.lane, block.size);
        let got = wanted.next_multiple_of(self.page(small)).min(size);
        if !self.device_has(got) {
            return None;
        }
        let pool = usize::from(!small);
        let address = self.blocks.get(id).address;
        self.pools[pool].unmapped.remove(&(lane, address, id));
        if got < size {
            let counter = self.counter.of_block(self.blocks.get(id).counter);
            let rest = Block {
                counter,
                address: address + got,
                size: size - got,
                previous: NONE,
                next: NONE,
                ..self.blocks.get(id).clone()
            };
            let rest_address = rest.address;
            let rest = self.blocks.insert(rest);
            self.blocks.link_after(rest, id);
            self.pools[pool].unmapped.insert((lane, rest_address, rest));
        }
        let block = self.blocks.get_mut(id);
        block.size = got;
        block.mapped = true;
        self.reserve(got);
        self.count_device_alloc();
        self.return_to_pool(id);
        Some(id)
    }

    /// Returns the whole pages of a free block to the device.
    pub(crate) fn unmap(&mut self, id: BlockId) {
        let block = self.blocks.get(id).clone();
        let page = self.page(block.small);
        let start = block.address.next_multiple_of(page);
        let end = (block.address + block.size) / page * page;
        if start >= end {
            return;
        }
        let pool = usize::from(!block.small);
        let key = self.blocks.key(id);
        self.pools[pool].free.remove(&key);
        self.split_off_ends(id, start, end);
        let middle = self.blocks.get_mut(id);
        middle.mapped = false;
        self.reserved -= end - start;
        for neighbour in [self.blocks.get(id).previous, self.blocks.get(id).next] {
            if neighbour != NONE && !self.blocks.get(neighbour).mapped {
                let other = self.blocks.get(neighbour);
                self.pools[pool].unmapped.remove(&(other.lane, other.address, neighbour));
                self.blocks.absorb(id, neighbour);
            }
        }
        if self.blocks.is_whole_segment(id) {
            self.segments -= 1;
            self.blocks.remove(id);
            return;
        }
        let block = self.blocks.get(id);
        let entry = (block.lane, block.address, id);
        self.pools[pool].unmapped.insert(entry);
    }

    /// What a block has outside of `[start, end)` stays behind as free blocks.
    fn split_off_ends(&mut self, id: BlockId, start: u64, end: u64) {
        let block = self.blocks.get(id).clone();
        let pool = usize::from(!block.small);
        if block.address < start {
            let (size, counter) = (start - block.address, self.counter.of_block(block.counter));
            let sliver = Block { size, counter, previous: NONE, next: NONE, ..block.clone() };
            let sliver = self.blocks.insert(sliver);
            self.blocks.link_before(sliver, id);
            let key = self.blocks.key(sliver);
            self.pools[pool].free.insert(key);
        }
        let block_end = block.address + block.size;
        if end < block_end {
            let (size, counter) = (block_end - end, self.counter.of_block(block.counter));
            let sliver = Block { address: end, size, counter, previous: NONE, next: NONE, ..block };
            let sliver = self.blocks.insert(sliver);
            self.blocks.link_after(sliver, id);
            let key = self.blocks.key(sliver);
            self.pools[pool].free.insert(key);
        }
        let middle = self.blocks.get_mut(id);
        middle.address = start;
        middle.size = end - start;
    }
}
