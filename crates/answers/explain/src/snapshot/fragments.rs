//! Fragmentation: free memory that cannot serve a request, and the blocks that pin it.

use brimful_replay::LayoutBlock;
use brimful_trace::{BlockState, Trace};
use brimful_units::Bytes;

use super::held::{Held, held};
use super::purpose::Purpose;

/// A segment that a few blocks keep from the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Its address.
    pub address: u64,
    /// Its size.
    pub bytes: Bytes,
    /// What of it is free.
    pub stranded: Bytes,
    /// How many blocks are in it.
    pub blocks: u64,
    /// The largest of them.
    pub pins: Vec<Held>,
}

/// Where free memory is, at an instant. All of it is reserved and not active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// The event after which this holds.
    pub event: Option<usize>,
    /// Free in segments with blocks in them: it can serve smaller requests only.
    pub stranded: Bytes,
    /// Free segments: `empty_cache()` or a retry gives them back to the device.
    pub releasable: Bytes,
    /// The largest free piece.
    pub largest_free: Bytes,
    /// The largest free piece beside live blocks.
    pub largest_stranded: Bytes,
    /// How many free pieces there are in segments with blocks in them.
    pub pieces: u64,
    /// Handed out beyond what was asked for.
    pub rounding: Bytes,
    /// Given back, but waiting for another stream.
    pub pending: Bytes,
    /// Free in the private pools of CUDA graphs and `MemPool`s.
    pub private_free: Bytes,
    /// Free memory of streams other than the one that holds most.
    pub other_streams_free: Bytes,
    /// The segments with most free memory in them.
    pub pinned: Vec<Pinned>,
}

/// Finds what is stranded, and by whom; the `most` worst segments by name.
pub fn fragmentation(
    trace: &Trace,
    blocks: &[LayoutBlock],
    purposes: &[Purpose],
    event: Option<usize>,
    most: usize,
) -> Fragmentation {
    let mut found = Fragmentation { event, ..Fragmentation::default() };
    let mut free_by_lane: Vec<Bytes> = Vec::new();
    let mut active_by_lane: Vec<Bytes> = Vec::new();
    let mut segments: Vec<(Bytes, &[LayoutBlock])> = Vec::new();
    for segment in blocks.chunk_by(|a, b| a.segment == b.segment && a.address + a.bytes.get() == b.address) {
        let free: Bytes = segment.iter().filter(|block| is_free(block)).map(|block| block.bytes).sum();
        let lane = segment[0].lane.index();
        for lanes in [&mut free_by_lane, &mut active_by_lane] {
            lanes.resize(lanes.len().max(lane + 1), Bytes::ZERO);
        }
        free_by_lane[lane] += free;
        active_by_lane[lane] += segment.iter().filter(|block| !is_free(block)).map(|block| block.bytes).sum();
        if segment.iter().all(is_free) {
            found.releasable += free;
        } else {
            found.stranded += free;
            let pieces = segment.iter().filter(|block| is_free(block)).map(|block| block.bytes);
            found.largest_stranded = pieces.fold(found.largest_stranded, Bytes::max);
            found.pieces += segment.iter().filter(|block| is_free(block)).count() as u64;
            segments.push((free, segment));
        }
        for block in segment {
            count(&mut found, trace, block);
        }
    }
    let lanes = trace.recording.as_ref().map_or(&[][..], |recording| &recording.lanes);
    let main = (0..active_by_lane.len()).max_by_key(|lane| active_by_lane[*lane]);
    for (lane, free) in free_by_lane.iter().enumerate() {
        match lanes.get(lane).is_some_and(brimful_trace::Lane::is_private) {
            true => found.private_free += *free,
            false if Some(lane) != main => found.other_streams_free += *free,
            false => {}
        }
    }
    segments.sort_by_key(|(free, segment)| (std::cmp::Reverse(*free), segment[0].address));
    let worst = segments.into_iter().take(most).filter(|(free, _)| *free > Bytes::ZERO);
    found.pinned = worst.map(|(free, segment)| pinned(trace, free, segment, purposes)).collect();
    found
}

fn is_free(block: &LayoutBlock) -> bool {
    block.state == BlockState::Inactive
}

fn count(found: &mut Fragmentation, trace: &Trace, block: &LayoutBlock) {
    match block.state {
        BlockState::Inactive => found.largest_free = found.largest_free.max(block.bytes),
        BlockState::PendingFree => found.pending += block.bytes,
        BlockState::Allocated => {
            let requested = block.allocation.map_or(block.bytes, |id| trace.allocations.bytes(id));
            found.rounding += block.bytes.saturating_sub(requested);
        }
    }
}

/// How many pins of a segment are named.
const PINS: usize = 3;

fn pinned(trace: &Trace, stranded: Bytes, segment: &[LayoutBlock], purposes: &[Purpose]) -> Pinned {
    let mut ids: Vec<_> = segment.iter().filter_map(|block| block.allocation).collect();
    let blocks = ids.len() as u64;
    ids.sort_by_key(|id| (std::cmp::Reverse(trace.allocations.bytes(*id)), id.0));
    Pinned {
        address: segment[0].address,
        bytes: segment.iter().map(|block| block.bytes).sum(),
        stranded,
        blocks,
        pins: ids.into_iter().take(PINS).map(|id| held(trace, id, purposes)).collect(),
    }
}
