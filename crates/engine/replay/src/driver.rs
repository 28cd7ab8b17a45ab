//! Where the driver places what `cudaMalloc` returns, as 70 recordings of Linux and 19 of Windows and WSL show it
//! (`fixtures/addresses`). PyTorch's choice between equal blocks depends on it up to torch 2.11.
//!
//! The virtual GPU, which has no dependency, compiles this file too: `src/device/addresses.rs` there is a link to it.

use std::collections::BTreeMap;

/// The granularity of `cudaMalloc` in bytes.
const GRANULE: u64 = 2 << 20;
/// On Linux the driver takes address space in multiples of this many bytes.
const CHUNK: u64 = 32 << 20;

/// The system under the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Linux: new chunks come below the old ones; the room that is left in chunks is used from the lowest address up.
    #[default]
    Linux,
    /// Windows and WSL: the lowest room that is large enough.
    Windows,
}

/// Address space that the driver takes as a whole.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    bytes: u64,
    /// Bytes of it that are in use.
    used: u64,
}

/// The addresses that a driver hands out to one process for one GPU.
#[derive(Clone, Debug)]
pub struct Addresses {
    driver: Driver,
    start: u64,
    /// On Linux, the lowest address that was ever used.
    front: u64,
    /// By their first address. On Windows all of the space is one chunk.
    chunks: BTreeMap<u64, Chunk>,
    /// Room inside of chunks: first address and bytes.
    gaps: BTreeMap<u64, u64>,
    /// Space that chunks gave back: first address and bytes.
    holes: BTreeMap<u64, u64>,
}

impl Addresses {
    /// Addresses from `start` to `end`, of which none is in use.
    pub fn new(driver: Driver, start: u64, end: u64) -> Addresses {
        let (start, end) = (start.next_multiple_of(GRANULE), end / GRANULE * GRANULE);
        let mut addresses = Addresses {
            driver,
            start,
            front: end,
            chunks: BTreeMap::new(),
            gaps: BTreeMap::new(),
            holes: BTreeMap::new(),
        };
        if driver == Driver::Windows && start < end {
            addresses.chunks.insert(start, Chunk { bytes: end - start, used: 0 });
            addresses.gaps.insert(start, end - start);
        }
        addresses
    }

    /// Places a segment of so many bytes; `None` if there is no room.
    pub fn take(&mut self, bytes: u64) -> Option<u64> {
        let bytes = bytes.max(1).checked_next_multiple_of(GRANULE)?;
        let address = self.find(bytes)?;
        self.place(address, bytes);
        Some(address)
    }

    /// Where a segment would be placed.
    fn find(&self, bytes: u64) -> Option<u64> {
        // First fit, not best fit: a small segment can take the low end of a large gap.
        if let Some((address, _)) = self.gaps.iter().find(|(_, gap)| **gap >= bytes) {
            return Some(*address);
        }
        if self.driver == Driver::Windows {
            return None;
        }
        let chunk = bytes.checked_next_multiple_of(CHUNK)?;
        // Linux's mmap searches from the top, and the driver aligns what it gets.
        let below = |end: u64, start: u64| (end / CHUNK * CHUNK).checked_sub(chunk).filter(|at| *at >= start);
        let in_hole = self.holes.iter().rev().find_map(|(start, bytes)| below(start + bytes, *start));
        in_hole.or_else(|| below(self.front, self.start))
    }

    /// Notes that a segment is at an address, which need not be where the driver would have placed it.
    pub fn place(&mut self, address: u64, bytes: u64) {
        let bytes = bytes.max(1).next_multiple_of(GRANULE);
        let end = address.saturating_add(bytes);
        self.use_gap(address, end);
        self.cut_holes(address, end);
        let after = self.chunks.range(address.saturating_add(1)..).next().map_or(u64::MAX, |(at, _)| *at);
        let around = self.chunks.range_mut(..=address).next_back();
        let Some((base, chunk)) = around.filter(|(at, chunk)| address < **at + chunk.bytes) else {
            return self.place_chunk(address, end);
        };
        chunk.used += bytes;
        let (from, last) = (*base, *base + chunk.bytes);
        if end > last {
            // It was larger than was known. It still ends before the next one.
            let last = from + (end - from).next_multiple_of(CHUNK);
            let last = last.min(after).max(end);
            chunk.bytes = last - from;
            self.cut_holes(end, last);
            self.leave_gap(end, last);
        }
    }

    /// Takes a new chunk around a segment. It ends before other chunks.
    fn place_chunk(&mut self, address: u64, end: u64) {
        let before = self.chunks.range(..address).next_back().map_or(0, |(at, chunk)| at + chunk.bytes);
        let after = self.chunks.range(address..).next().map_or(u64::MAX, |(at, _)| *at);
        let base = (address / CHUNK * CHUNK).max(before);
        let last = end.checked_next_multiple_of(CHUNK).unwrap_or(end).min(after).max(end);
        self.chunks.insert(base, Chunk { bytes: last - base, used: end - address });
        self.cut_holes(base, last);
        self.leave_gap(base, address);
        self.leave_gap(end, last);
        self.front = self.front.min(base);
    }

    fn leave_gap(&mut self, from: u64, to: u64) {
        if from < to {
            self.gaps.insert(from, to - from);
        }
    }

    fn use_gap(&mut self, address: u64, end: u64) {
        let gap = self.gaps.range(..=address).next_back().map(|(at, bytes)| (*at, at + bytes));
        if let Some((from, to)) = gap.filter(|(_, to)| address < *to) {
            self.gaps.remove(&from);
            self.leave_gap(from, address);
            self.leave_gap(end, to);
        }
    }

    /// Removes a range from the holes.
    fn cut_holes(&mut self, from: u64, to: u64) {
        let touched = self.holes.range(..to).filter(|(at, bytes)| **at + **bytes > from);
        let touched: Vec<(u64, u64)> = touched.map(|(at, bytes)| (*at, at + bytes)).collect();
        for (start, end) in touched {
            self.holes.remove(&start);
            if start < from {
                self.holes.insert(start, from - start);
            }
            if end > to {
                self.holes.insert(to, end - to);
            }
        }
    }

    /// Frees the segment at an address. A chunk without segments goes back as a whole.
    pub fn give_back(&mut self, address: u64, bytes: u64) {
        let bytes = bytes.max(1).next_multiple_of(GRANULE);
        let Some((base, chunk)) = self.chunks.range_mut(..=address).next_back() else { return };
        let (base, last) = (*base, *base + chunk.bytes);
        chunk.used = chunk.used.saturating_sub(bytes);
        if chunk.used == 0 && self.driver == Driver::Linux {
            self.chunks.remove(&base);
            let gone: Vec<u64> = self.gaps.range(base..last).map(|(at, _)| *at).collect();
            for at in gone {
                self.gaps.remove(&at);
            }
            return join(&mut self.holes, base, last, (0, u64::MAX));
        }
        // Room of one chunk never joins that of the next.
        join(&mut self.gaps, address, address + bytes, (base, last));
    }
}

/// Adds a range to others and joins it with those that it touches, if they lie within bounds.
fn join(ranges: &mut BTreeMap<u64, u64>, mut from: u64, mut to: u64, bounds: (u64, u64)) {
    let before = ranges.range(bounds.0..from).next_back().map(|(at, bytes)| (*at, at + bytes));
    if let Some((start, _)) = before.filter(|(_, end)| *end == from) {
        ranges.remove(&start);
        from = start;
    }
    if to < bounds.1
        && let Some(bytes) = ranges.remove(&to)
    {
        to += bytes;
    }
    ranges.insert(from, to - from);
}
