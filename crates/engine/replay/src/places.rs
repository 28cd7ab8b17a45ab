//! Ranges of memory by address.

use std::collections::BTreeMap;

use brimful_trace::{AllocationId, BlockState, LaneId};

/// A range's place in the arena.
pub(crate) type Slot = u32;

/// Stands for "no neighbour".
pub(crate) const NONE: Slot = Slot::MAX;
/// A search that walks further than this leaves a mark where it ends.
const FAR: usize = 16;

/// A range of memory with one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub size: u64,
    pub state: BlockState,
    pub requested: u64,
    pub lane: LaneId,
    pub small: bool,
    pub expandable: bool,
    /// Ranges merge only within a segment.
    pub segment: u32,
    /// What orders it among free ranges of its size ([`crate::Ties`]).
    pub counter: u32,
    /// The block that is there; `None` for free memory.
    pub block: Option<AllocationId>,
}

impl Range {
    /// Whether no block is here.
    pub fn is_free(&self) -> bool {
        self.state == BlockState::Inactive
    }

    /// The same range as free memory.
    pub fn freed(self) -> Range {
        Range { state: BlockState::Inactive, requested: 0, block: None, ..self }
    }
}

/// A range and its neighbours by address, whether they touch it or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub address: u64,
    pub range: Range,
    pub previous: Slot,
    pub next: Slot,
    marked: bool,
}

impl Placed {
    /// The first address behind the range.
    pub fn end(&self) -> u64 {
        self.address + self.range.size
    }
}

/// A list of ranges, linked by address.
///
/// Nearly every event splits or merges neighbours, which the links lead to. So only some ranges are kept in a
/// tree, as marks: searches begin at the last mark and walk on, and leave marks where they walk far. The first
/// range always has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    arena: Vec<Placed>,
    unused: Vec<Slot>,
    marks: BTreeMap<u64, Slot>,
}

impl Places {
    /// The range in a slot.
    #[inline]
    pub fn at(&self, slot: Slot) -> &Placed {
        &self.arena[slot as usize]
    }

    /// The range in a slot, to be changed.
    #[inline]
    pub fn at_mut(&mut self, slot: Slot) -> &mut Placed {
        &mut self.arena[slot as usize]
    }

    /// A slot, unless it stands for none.
    pub fn some(slot: Slot) -> Option<Slot> {
        (slot != NONE).then_some(slot)
    }

    /// Every range, by address.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Placed)> {
        let first = self.marks.first_key_value().map(|(_, slot)| *slot);
        let slots = std::iter::successors(first, |slot| Places::some(self.at(*slot).next));
        slots.map(|slot| (slot, self.at(slot)))
    }

    /// The last range that begins at an address or before it.
    pub fn last_until(&mut self, address: u64) -> Option<Slot> {
        let mut slot = *self.marks.range(..=address).next_back()?.1;
        let mut steps = 0;
        while let Some(next) =
            Places::some(self.at(slot).next).filter(|next| self.at(*next).address <= address)
        {
            slot = next;
            steps += 1;
        }
        if steps > FAR {
            self.mark(slot);
        }
        Some(slot)
    }

    /// Puts a range where it belongs by address.
    pub fn insert(&mut self, address: u64, range: Range) -> Slot {
        let previous = address.checked_sub(1).and_then(|before| self.last_until(before));
        let slot = self.link(previous.unwrap_or(NONE), address, range);
        self.mark(slot);
        slot
    }

    /// Puts a range directly behind another one.
    pub fn insert_behind(&mut self, previous: Slot, address: u64, range: Range) -> Slot {
        self.link(previous, address, range)
    }

    /// Takes a range away.
    pub fn remove(&mut self, slot: Slot) {
        let gone = *self.at(slot);
        self.join(gone.previous, gone.next);
        if gone.marked && self.marks.get(&gone.address) == Some(&slot) {
            self.marks.remove(&gone.address);
            if gone.next != NONE {
                self.mark(gone.next);
            }
        }
        self.unused.push(slot);
    }

    fn link(&mut self, previous: Slot, address: u64, range: Range) -> Slot {
        let next = match previous {
            NONE => self.marks.first_key_value().map_or(NONE, |(_, slot)| *slot),
            previous => self.at(previous).next,
        };
        let placed = Placed { address, range, previous, next, marked: false };
        let slot = match self.unused.pop() {
            Some(slot) => slot,
            None => {
                self.arena.push(placed);
                self.arena.len() as Slot - 1
            }
        };
        *self.at_mut(slot) = placed;
        self.join(previous, slot);
        self.join(slot, next);
        slot
    }

    fn join(&mut self, first: Slot, second: Slot) {
        if first != NONE {
            self.at_mut(first).next = second;
        }
        if second != NONE {
            self.at_mut(second).previous = first;
        }
    }

    fn mark(&mut self, slot: Slot) {
        let placed = self.at_mut(slot);
        placed.marked = true;
        let address = placed.address;
        self.marks.insert(address, slot);
    }
}
