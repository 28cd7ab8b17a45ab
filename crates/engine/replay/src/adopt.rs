//! The memory that a recording found when it began, as the allocator's own state.

use brimful_trace::{AllocationId, BlockState, Trace};

use crate::allocator::{Allocator, Handle};
use crate::blocks::{Block, NONE};
use crate::config::AllocatorConfig;
use crate::shadow::{Shadow, Stretch};
use crate::start::rebuild;

/// The settings that a recording was made with, as far as it names them; the defaults where they
/// cannot be read.
pub fn recorded_config(trace: &Trace) -> AllocatorConfig {
    let conf = trace.recording.as_ref().map_or("", |recording| &recording.conf);
    conf.parse().unwrap_or_default()
}

impl Allocator {
    /// Takes over the memory at the start of a recording; returns the blocks in it.
    ///
    /// Segments of cudaMalloc are taken over as they are, under any settings: they were there.
    /// Expandable segments are filled anew, since their unmapped space is not recorded.
    pub(crate) fn adopt(&mut self, trace: &Trace, config: &AllocatorConfig) -> Vec<(AllocationId, Handle)> {
        let recorded = recorded_config(trace);
        let (start, _) = rebuild(trace, &recorded);
        let same_kind = !recorded.expandable_segments && !config.expandable_segments;
        let mut adopted = Vec::new();
        let mut last: Option<(u32, u32, u64)> = None;
        for (address, stretch) in &start.stretches {
            if !same_kind || stretch.expandable {
                if let Some(block) = stretch.block
                    && let Ok(handle) = self.malloc(stretch.requested, stretch.lane)
                {
                    adopted.push((block, handle));
                }
                continue;
            }
            let previous =
                last.filter(|last| last.0 == stretch.segment && last.2 == *address).map(|last| last.1);
            let id = self.adopt_stretch(*address, stretch, previous);
            last = Some((stretch.segment, id, address + stretch.size));
            if let Some(block) = stretch.block {
                adopted.push((block, self.handle(id)));
            }
        }
        self.begin_addresses_after(&start);
        for (_, handle) in adopted.iter().filter(|(block, _)| is_pending(trace, &start, *block)) {
            self.request_free(*handle);
        }
        adopted
    }

    fn adopt_stretch(&mut self, address: u64, stretch: &Stretch, previous: Option<u32>) -> u32 {
        let allocated = !stretch.is_free();
        let id = self.blocks.insert(Block {
            address,
            size: stretch.size,
            requested: stretch.requested,
            stream: stretch.lane,
            small: stretch.small,
            allocated,
            pending: false,
            mapped: true,
            expandable: false,
            previous: NONE,
            next: NONE,
            freed_at: 0,
            serial: 0,
        });
        match previous {
            Some(previous) => self.blocks.link_after(id, previous),
            None => self.segments += 1,
        }
        self.take_over(stretch.size, allocated.then_some(stretch.requested));
        if !allocated {
            let key = self.blocks.key(id);
            self.pools[usize::from(!stretch.small)].free.insert(key);
        }
        id
    }
}

fn is_pending(trace: &Trace, start: &Shadow, block: AllocationId) -> bool {
    let address = trace.allocations.get(block).address.unwrap_or(0);
    start.stretches.get(&address).is_some_and(|stretch| stretch.state == BlockState::PendingFree)
}
