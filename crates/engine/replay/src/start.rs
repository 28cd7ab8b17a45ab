//! The memory before the first event of a recording, rebuilt from its end by undoing the events.

use brimful_trace::{AllocationId, BlockState, Event, Recording, SegmentId, Trace};

use crate::config::AllocatorConfig;
use crate::places::{Placed, Range};
use crate::shadow::Shadow;
use crate::sizes::{SMALL_SIZE, is_small_segment};

/// The memory before the first event, and whether every event could be undone.
pub(crate) fn rebuild(trace: &Trace, config: &AllocatorConfig) -> (Shadow, bool) {
    let Some(recording) = trace.recording.as_ref().filter(|recording| recording.begins_late) else {
        return (Shadow::default(), true);
    };
    let mut undo = Undo { trace, config, recording, shadow: Shadow::at_the_end(recording), sure: true };
    for event in trace.events().rev() {
        undo.undo(event);
    }
    undo.absorb_slivers();
    (undo.shadow, undo.sure)
}

struct Undo<'a> {
    trace: &'a Trace,
    config: &'a AllocatorConfig,
    recording: &'a Recording,
    shadow: Shadow,
    sure: bool,
}

impl Undo<'_> {
    fn undo(&mut self, event: Event) {
        let done = match event {
            Event::Alloc(id) => self.undo_alloc(id),
            Event::FreeRequested(id) => self.undo_request(id),
            Event::FreeCompleted(id) | Event::Free(id) => self.undo_free(id),
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => self.undo_segment(id),
            Event::SegmentFree(id) => self.undo_release(id, false),
            Event::SegmentUnmap(id) => self.undo_release(id, true),
            Event::Oom(_) | Event::EmptyCache | Event::Phase(_) | Event::Remark => true,
        };
        self.sure &= done;
    }

    fn address(&self, id: AllocationId) -> u64 {
        self.trace.allocations.get(id).address.unwrap_or(0)
    }

    fn undo_alloc(&mut self, id: AllocationId) -> bool {
        let block = self.shadow.find(self.address(id));
        block.map(|slot| self.shadow.release(slot)).is_some()
    }

    fn undo_request(&mut self, id: AllocationId) -> bool {
        let Some(slot) = self.shadow.find(self.address(id)) else { return false };
        self.shadow.set_pending(slot, false);
        self.shadow.at(slot).range.block == Some(id)
    }

    /// The block is back. It was as large as its rounded request, or larger where the rest was not
    /// worth splitting off: then what follows it in the segment is that rest.
    fn undo_free(&mut self, id: AllocationId) -> bool {
        let row = self.trace.allocations.get(id);
        let (address, requested) = (self.address(id), row.bytes.get());
        let rounded = self.config.round_size(requested);
        let Some(Placed { address: start, range: around, .. }) = self.shadow.holding(address) else {
            return false;
        };
        let room = start + around.size - address;
        if !around.is_free() || room < rounded {
            return false;
        }
        let small = rounded <= SMALL_SIZE;
        let split = self.config.should_split(room, rounded, small, around.expandable);
        let size = if split { rounded } else { room };
        let Some(free) = self.shadow.carve(address, size) else { return false };
        let state = BlockState::PendingFree;
        self.shadow.insert(address, Range { state, requested, block: Some(id), ..free });
        true
    }

    fn undo_segment(&mut self, id: SegmentId) -> bool {
        let row = self.trace.segments.get(id);
        self.shadow.carve(row.address, row.bytes.get()).is_some()
    }

    fn undo_release(&mut self, id: SegmentId, expandable: bool) -> bool {
        let row = self.trace.segments.get(id);
        let (address, size) = (row.address, row.bytes.get());
        let small = if expandable { self.is_small_page(address, size) } else { is_small_segment(size) };
        let range = if expandable {
            Shadow::some_pages(row.lane, size, small)
        } else {
            self.shadow.segment(row.lane, size, small)
        };
        self.shadow.insert_merged(address, range);
        true
    }

    /// Of which pool unmapped pages were: that of the nearest expandable segment of the end.
    fn is_small_page(&self, address: u64, size: u64) -> bool {
        let expandable = self.recording.segments.iter().filter(|segment| segment.expandable);
        let nearest = expandable.min_by_key(|segment| segment.address.abs_diff(address));
        nearest.map_or(!size.is_multiple_of(self.config.large_segment_size), |segment| segment.small)
    }

    /// A free range of up to 1 MiB cannot stand alone in the large pool: it is the unsplit end of the
    /// block before it.
    fn absorb_slivers(&mut self) {
        let sliver =
            |range: &Range| range.is_free() && !range.small && !range.expandable && range.size <= SMALL_SIZE;
        let slivers: Vec<u64> =
            self.shadow.iter().filter(|(_, at)| sliver(&at.range)).map(|(_, at)| at.address).collect();
        for address in slivers {
            let before = self.shadow.before(address);
            if let Some(Placed { address: at, range: block, .. }) =
                before.filter(|before| before.end() == address && !before.range.is_free())
                && let Some(end) = self.shadow.remove(address)
                && end.segment == block.segment
            {
                self.shadow.remove(at);
                self.shadow.insert(at, Range { size: block.size + end.size, ..block });
            }
        }
    }
}
