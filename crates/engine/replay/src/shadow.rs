//! Memory as a recording shows it: stretches by address, and the free ones in the order of best fit.

use std::collections::{BTreeMap, BTreeSet};

use brimful_trace::{AllocationId, BlockState, Recording};

/// Address space behind the last mapped page of an expandable segment; its end is not recorded.
const UNKNOWN_SPACE: u64 = 1 << 46;
/// Segments of expandable memory share a number by lane and pool; those of cudaMalloc follow.
const EXPANDABLE_NUMBERS: u32 = 1 << 17;

/// A stretch of memory with one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub size: u64,
    pub state: BlockState,
    pub requested: u64,
    pub lane: u16,
    pub small: bool,
    pub expandable: bool,
    /// Stretches merge only within a segment.
    pub segment: u32,
    /// The block that is there; `None` for free memory.
    pub block: Option<AllocationId>,
}

impl Stretch {
    pub fn is_free(&self) -> bool {
        self.state == BlockState::Inactive
    }

    fn freed(self) -> Stretch {
        Stretch { state: BlockState::Inactive, requested: 0, block: None, ..self }
    }
}

/// The order of best fit: lane, pool, size, address.
type Key = (u16, bool, u64, u64);

/// Memory by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    pub stretches: BTreeMap<u64, Stretch>,
    free: BTreeSet<Key>,
    segments: u32,
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
            let number = shadow.number(lane, small, segment.expandable);
            for block in recording.blocks_of(segment) {
                let active = block.state != BlockState::Inactive;
                shadow.insert(
                    block.address,
                    Stretch {
                        size: block.bytes.get(),
                        state: block.state,
                        requested: if active { block.requested.get() } else { 0 },
                        lane,
                        small,
                        expandable: segment.expandable,
                        segment: number,
                        block: block.allocation,
                    },
                );
            }
        }
        shadow
    }

    fn number(&mut self, lane: u16, small: bool, expandable: bool) -> u32 {
        if expandable {
            return u32::from(lane) << 1 | u32::from(small);
        }
        self.segments += 1;
        EXPANDABLE_NUMBERS + self.segments
    }

    /// A free stretch of a new segment, or of pages mapped into one.
    pub fn segment(&mut self, lane: u16, size: u64, small: bool, expandable: bool) -> Stretch {
        let segment = self.number(lane, small, expandable);
        let state = BlockState::Inactive;
        Stretch { size, state, requested: 0, lane, small, expandable, segment, block: None }
    }

    /// Puts a stretch where nothing is.
    pub fn insert(&mut self, address: u64, stretch: Stretch) {
        self.reserved += stretch.size;
        match stretch.state {
            BlockState::Inactive => {
                self.free.insert((stretch.lane, stretch.small, stretch.size, address));
            }
            state => {
                self.active += stretch.size;
                self.requested += stretch.requested;
                self.allocated += if state == BlockState::Allocated { stretch.size } else { 0 };
            }
        }
        self.stretches.insert(address, stretch);
    }

    /// Takes a stretch away.
    pub fn remove(&mut self, address: u64) -> Option<Stretch> {
        let stretch = self.stretches.remove(&address)?;
        self.reserved -= stretch.size;
        match stretch.state {
            BlockState::Inactive => {
                self.free.remove(&(stretch.lane, stretch.small, stretch.size, address));
            }
            state => {
                self.active -= stretch.size;
                self.requested -= stretch.requested;
                self.allocated -= if state == BlockState::Allocated { stretch.size } else { 0 };
            }
        }
        Some(stretch)
    }

    /// The stretch that holds an address, and where it begins.
    pub fn holding(&self, address: u64) -> Option<(u64, &Stretch)> {
        let (start, stretch) = self.stretches.range(..=address).next_back()?;
        (address < start + stretch.size).then_some((*start, stretch))
    }

    fn key(address: u64, stretch: &Stretch) -> Key {
        (stretch.lane, stretch.small, stretch.size, address)
    }

    /// Makes a block of the low end of the free stretch at an address; the rest stays free. False where
    /// there is no such stretch.
    pub fn occupy(&mut self, address: u64, size: u64, requested: u64, block: AllocationId) -> bool {
        let Some(stretch) = self.stretches.get_mut(&address).filter(|s| s.is_free() && s.size >= size) else {
            return false;
        };
        let free = *stretch;
        *stretch = Stretch { size, requested, state: BlockState::Allocated, block: Some(block), ..free };
        self.free.remove(&Shadow::key(address, &free));
        self.active += size;
        self.allocated += size;
        self.requested += requested;
        let rest = Stretch { size: free.size - size, ..free };
        if rest.size > 0 {
            self.free.insert(Shadow::key(address + size, &rest));
            self.stretches.insert(address + size, rest);
        }
        true
    }

    /// Makes a block free and merges it with its free neighbours; false where there is none.
    pub fn release(&mut self, address: u64) -> bool {
        let Some(block) = self.stretches.get(&address).copied() else { return false };
        if !block.is_free() {
            self.active -= block.size;
            self.requested -= block.requested;
            self.allocated -= if block.state == BlockState::Allocated { block.size } else { 0 };
        }
        let joins = |other: &Stretch| other.is_free() && other.segment == block.segment;
        let mut merged = block.freed();
        let next = address + block.size;
        if let Some(other) = self.stretches.get(&next).copied().filter(joins) {
            self.free.remove(&Shadow::key(next, &other));
            self.stretches.remove(&next);
            merged.size += other.size;
        }
        let before = self.stretches.range_mut(..address).next_back();
        if let Some((start, other)) =
            before.filter(|(at, other)| **at + other.size == address && joins(other))
        {
            let start = *start;
            self.free.remove(&Shadow::key(start, other));
            other.size += merged.size;
            self.free.insert(Shadow::key(start, other));
            self.stretches.remove(&address);
            return true;
        }
        self.free.insert(Shadow::key(address, &merged));
        self.stretches.insert(address, merged);
        true
    }

    /// Puts a free stretch and merges it with its free neighbours; returns where it begins then.
    pub fn insert_merged(&mut self, address: u64, stretch: Stretch) -> u64 {
        let (mut start, mut merged) = (address, stretch);
        let joins = |other: &Stretch| other.is_free() && other.segment == stretch.segment;
        if let Some((before, other)) = self.stretches.range(..address).next_back().map(|(a, s)| (*a, *s))
            && before + other.size == address
            && joins(&other)
        {
            self.remove(before);
            start = before;
            merged.size += other.size;
        }
        let end = address + stretch.size;
        if let Some(other) = self.stretches.get(&end).copied()
            && joins(&other)
        {
            self.remove(end);
            merged.size += other.size;
        }
        self.insert(start, merged);
        start
    }

    /// Cuts `[address, address + size)` out of the free stretch around it; the rest stays free.
    /// `None` where there is no such free stretch.
    pub fn carve(&mut self, address: u64, size: u64) -> Option<Stretch> {
        let (start, around) = self.holding(address).map(|(start, stretch)| (start, *stretch))?;
        let end = start + around.size;
        if !around.is_free() || address + size > end {
            return None;
        }
        self.remove(start);
        if start < address {
            self.insert(start, Stretch { size: address - start, ..around });
        }
        if address + size < end {
            self.insert(address + size, Stretch { size: end - address - size, ..around });
        }
        Some(Stretch { size, ..around })
    }

    /// Moves the end of a block into the free stretch behind it; false where that is not free, or too small.
    pub fn shift(&mut self, block: u64, free: u64, more: u64) -> bool {
        let same =
            |a: &Stretch, b: &Stretch| a.segment == b.segment && !a.is_free() && b.is_free() && b.size > more;
        let (Some(first), Some(second)) = (self.stretches.get(&block), self.stretches.get(&free)) else {
            return false;
        };
        if more == 0 || !same(first, second) || self.carve(free, more).is_none() {
            return false;
        }
        if let Some(stretch) = self.remove(block) {
            self.insert(block, Stretch { size: stretch.size + more, ..stretch });
        }
        true
    }

    /// Makes an allocated block wait for another stream, or the reverse.
    pub fn set_pending(&mut self, address: u64, pending: bool) {
        let Some(stretch) = self.stretches.get_mut(&address).filter(|stretch| !stretch.is_free()) else {
            return;
        };
        let was = stretch.state == BlockState::PendingFree;
        stretch.state = if pending { BlockState::PendingFree } else { BlockState::Allocated };
        match (was, pending) {
            (false, true) => self.allocated -= stretch.size,
            (true, false) => self.allocated += stretch.size,
            _ => {}
        }
    }

    /// Free stretches of a lane and pool that are large enough, in the order of best fit.
    pub fn fitting(&self, lane: u16, small: bool, size: u64) -> impl Iterator<Item = (u64, &Stretch)> {
        let keys = self.free.range((lane, small, size, 0)..=(lane, small, u64::MAX, u64::MAX));
        keys.filter_map(|key| Some((key.3, self.stretches.get(&key.3)?)))
    }

    /// What a free stretch could grow to: itself and the unmapped space behind it.
    pub fn reach(&self, address: u64, stretch: &Stretch) -> u64 {
        let end = address + stretch.size;
        let next = self.stretches.range(end..).next().filter(|(_, next)| next.segment == stretch.segment);
        stretch.size + next.map_or(UNKNOWN_SPACE, |(start, _)| start - end)
    }
}
