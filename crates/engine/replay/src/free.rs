//! Free memory in the order of best fit.

use brimful_trace::LaneId;

/// A free range's place in the order of best fit: by lane, size, counter, and address.
///
/// What the counter counts depends on the version ([`crate::Ties`]); it is 0 wherever the address alone decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FreeKey {
    pub lane: LaneId,
    pub size: u64,
    pub counter: u32,
    pub address: u64,
    /// The number that the owner of the list gives the range.
    pub id: u32,
}

/// Free ranges by lane, then size, counter, and address.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreeList {
    lanes: Vec<Bins>,
}

impl FreeList {
    /// Adds a free range.
    pub fn insert(&mut self, key: FreeKey) {
        let at = key.lane.index();
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Bins::default);
        }
        self.lanes[at].insert(Free::of(&key));
    }

    /// Removes a free range; does nothing if it is not in the list.
    pub fn remove(&mut self, key: &FreeKey) {
        if let Some(free) = self.lanes.get_mut(key.lane.index()) {
            free.remove(&Free::of(key));
        }
    }

    /// Takes the smallest range of at least this size, if `will_do` accepts its size.
    pub fn take_smallest(&mut self, lane: LaneId, size: u64, will_do: impl Fn(u64) -> bool) -> Option<u32> {
        self.lanes.get_mut(lane.index())?.take_smallest(size, will_do)
    }

    /// The ranges of at least this size, the smallest first.
    pub fn fitting(&self, lane: LaneId, size: u64) -> impl Iterator<Item = FreeKey> {
        let free = self.lanes.get(lane.index());
        free.into_iter().flat_map(move |free| free.fitting(size)).map(move |free| free.key(lane))
    }

    /// Every free range, lane by lane, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = FreeKey> {
        let lanes = self.lanes.iter().zip((0..).map(LaneId));
        lanes.flat_map(|(free, lane)| free.fitting(0).map(move |free| free.key(lane)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Free {
    size: u64,
    counter: u32,
    address: u64,
    id: u32,
}

impl Free {
    fn of(key: &FreeKey) -> Free {
        Free { size: key.size, counter: key.counter, address: key.address, id: key.id }
    }

    fn key(self, lane: LaneId) -> FreeKey {
        FreeKey { lane, size: self.size, counter: self.counter, address: self.address, id: self.id }
    }

    fn place(&self) -> (u64, u32, u64) {
        (self.size, self.counter, self.address)
    }
}

/// An octave of sizes has two to the power of this many bins.
const SPLITS: u32 = 4;
/// A lane with no more free ranges than this needs one bin only.
const FEW: usize = 32;
/// Bins that one word of the map stands for.
const WORD: usize = 64;

/// The free ranges of a lane, in bins by size: a sixteenth of an octave each (two-level segregated fit, Masmano
/// et al. 2004), sorted within. There are few in a bin, and the map of those that hold any leads from one to the next.
#[derive(Clone, Debug, Default)]
struct Bins {
    bins: Vec<Vec<Free>>,
    used: Vec<u64>,
    many: bool,
}

impl Bins {
    /// The bin of a size. It rises with the size.
    fn of(size: u64) -> usize {
        let units = (size / crate::sizes::MIN_BLOCK).max(1);
        let octave = units.ilog2();
        if octave < SPLITS {
            return units as usize;
        }
        let split = (units >> (octave - SPLITS)) as usize & ((1 << SPLITS) - 1);
        (((octave - SPLITS + 1) as usize) << SPLITS) | split
    }

    fn bin(&self, size: u64) -> usize {
        if self.many { Bins::of(size) } else { 0 }
    }

    fn insert(&mut self, free: Free) {
        if !self.many && self.bins.first().is_some_and(|few| few.len() == FEW) {
            let few = std::mem::take(self).bins.into_iter().flatten();
            self.many = true;
            few.for_each(|free| self.insert(free));
        }
        let at = self.bin(free.size);
        if self.bins.len() <= at {
            self.bins.resize_with(at + 1, Vec::new);
            self.used.resize(at / WORD + 1, 0);
        }
        let bin = &mut self.bins[at];
        bin.insert(bin.partition_point(|other| other.place() < free.place()), free);
        self.used[at / WORD] |= 1 << (at % WORD);
    }

    fn remove(&mut self, free: &Free) {
        let at = self.bin(free.size);
        let Some(bin) = self.bins.get_mut(at) else { return };
        if let Ok(place) = bin.binary_search_by_key(&free.place(), Free::place) {
            self.take(at, place);
        }
    }

    fn take(&mut self, bin: usize, place: usize) -> Free {
        let free = self.bins[bin].remove(place);
        if self.bins[bin].is_empty() {
            self.used[bin / WORD] &= !(1 << (bin % WORD));
        }
        free
    }

    fn take_smallest(&mut self, size: u64, will_do: impl Fn(u64) -> bool) -> Option<u32> {
        let mut at = self.bin(size);
        let mut place = self.bins.get(at)?.partition_point(|free| free.size < size);
        if place == self.bins[at].len() {
            (at, place) = (self.next_used(at + 1)?, 0);
        }
        will_do(self.bins[at][place].size).then(|| self.take(at, place).id)
    }

    fn fitting(&self, size: u64) -> impl Iterator<Item = Free> {
        let first = self.bin(size);
        let bin = self.bins.get(first).map_or(&[][..], Vec::as_slice);
        let in_first = bin[bin.partition_point(|free| free.size < size)..].iter();
        let bins = std::iter::successors(self.next_used(first + 1), |at| self.next_used(at + 1));
        in_first.chain(bins.flat_map(|at| &self.bins[at])).copied()
    }

    /// The first bin from one on that holds any.
    fn next_used(&self, from: usize) -> Option<usize> {
        let mut word = self.used.get(from / WORD)? & (u64::MAX << (from % WORD));
        let mut at = from / WORD;
        while word == 0 {
            at += 1;
            word = *self.used.get(at)?;
        }
        Some(at * WORD + word.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn bins_rise_with_the_size() {
        let sizes = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) + 512, (1 << bit) | (1 << bit >> 1)]);
        let mut sizes: Vec<u64> = sizes.chain([0, u64::MAX]).collect();
        sizes.sort_unstable();
        assert!(sizes.is_sorted_by_key(|size| Bins::of(*size)));
        assert!(Bins::of(u64::MAX) < 1024);
    }

    fn at_least(lane: LaneId, size: u64) -> FreeKey {
        FreeKey { lane, size, counter: 0, address: 0, id: 0 }
    }

    /// Against a sorted set, in an arbitrary but fixed order of insertions, removals and searches.
    #[test]
    fn the_order_is_that_of_best_fit() {
        let (mut list, mut set) = (FreeList::default(), BTreeSet::new());
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let lane = LaneId(random(3) as u16);
            let magnitude = random(20);
            let size = 512 * (1 + random(1 << magnitude));
            let address = 512 * random(40);
            let counter = random(3) as u32;
            let key = FreeKey { lane, size, counter, address, id: address as u32 };
            if random(2) == 0 {
                if set.insert(key) {
                    list.insert(key);
                }
            } else if let Some(key) = set.range(at_least(lane, size)..).next().copied() {
                set.remove(&key);
                if random(2) == 0 {
                    list.remove(&key);
                } else {
                    assert_eq!(
                        list.take_smallest(key.lane, key.size, |found| found == key.size),
                        Some(key.id)
                    );
                }
            }
            let wanted = set.range(at_least(lane, size)..at_least(LaneId(lane.0 + 1), 0));
            assert!(list.fitting(lane, size).take(5).eq(wanted.take(5).copied()));
        }
        assert!(list.iter().eq(set.iter().copied()));
        assert!(set.len() > 100);
    }
}
