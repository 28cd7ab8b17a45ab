use std::collections::BTreeSet;

use brimful_trace::{Lane, LaneId};

use crate::blocks::{Block, BlockId, Blocks, NONE, Pool};
use crate::config::AllocatorConfig;
use crate::driver::{Addresses, Driver};
use crate::shadow::Shadow;
use crate::sizes::SMALL_SIZE;
use crate::ties::{Counter, Ties};

/// A block that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    block: BlockId,
    serial: u32,
}

/// The request could not be served, after every retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// What the allocator asked of the device, in bytes: PyTorch prints this as "Tried to allocate".
    pub tried: u64,
}

/// Granularity of cudaMalloc: segments start at multiples of this.
const DEVICE_GRANULARITY: u64 = 2 << 20;
/// Recorded memory that ends above this leaves no room behind it: new segments then come before it.
const HIGHEST_START: u64 = 1 << 62;

/// PyTorch's native CUDA caching allocator for one device
/// (`DeviceCachingAllocator` in c10/cuda/CUDACachingAllocator.cpp).
pub struct Allocator {
    pub(crate) config: AllocatorConfig,
    pub(crate) blocks: Blocks,
    pub(crate) pools: [Pool; 2],
    /// Bytes the device gives this process; `None` for no end.
    pub(crate) capacity: Option<u64>,
    /// Bytes of the device as a whole; `None` for no end.
    pub(crate) device_total: Option<u64>,
    /// Bytes the process may reserve (`set_per_process_memory_fraction`).
    pub(crate) limit: Option<u64>,
    /// The next address of what needs no driver's order.
    next_address: u64,
    /// The driver's addresses, if they decide between equal blocks.
    pub(crate) addresses: Option<Addresses>,
    pub(crate) counter: Counter,
    pub(crate) reserved: u64,
    /// Most that was reserved since this was last asked for.
    most_reserved: u64,
    allocated: u64,
    requested: u64,
    retries: u64,
    device_allocs: u64,
    pub(crate) segments: u64,
    /// Blocks that wait for other streams; those that came free meanwhile stay listed.
    pending: Vec<Handle>,
    lanes: Vec<Lane>,
    /// Streams of private pools that are not used any more.
    let_go: BTreeSet<LaneId>,
}

impl Allocator {
    /// An allocator over so many bytes of device memory.
    pub fn new(config: AllocatorConfig, capacity: Option<u64>, device_total: Option<u64>) -> Allocator {
        let limit = config
            .per_process_memory_fraction
            .zip(device_total)
            .filter(|(fraction, _)| *fraction < 1.0)
            .map(|(fraction, total)| (fraction * total as f64).round() as u64);
        let ties = config.ties.unwrap_or_default();
        // Where a counter decides between equal blocks, no answer depends on addresses.
        let addresses = (ties == Ties::Address)
            .then(|| Addresses::new(config.driver.unwrap_or_default(), DEVICE_GRANULARITY, HIGHEST_START));
        Allocator {
            config,
            blocks: Blocks::default(),
            pools: [Pool::default(), Pool::default()],
            capacity,
            device_total,
            limit,
            next_address: DEVICE_GRANULARITY,
            addresses,
            counter: Counter::new(ties),
            reserved: 0,
            most_reserved: 0,
            allocated: 0,
            requested: 0,
            retries: 0,
            device_allocs: 0,
            segments: 0,
            pending: Vec::new(),
            lanes: Vec::new(),
            let_go: BTreeSet::new(),
        }
    }

    /// Bytes in segments (ledger: reserved).
    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    /// The most that was reserved since the last call. A request can pass more than it leaves: pages are mapped
    /// for it step by step, and those of the first steps are given back where a later one fails.
    pub(crate) fn take_most_reserved(&mut self) -> u64 {
        std::mem::replace(&mut self.most_reserved, self.reserved).max(self.reserved)
    }

    pub(crate) fn reserve(&mut self, bytes: u64) {
        self.reserved += bytes;
        self.most_reserved = self.most_reserved.max(self.reserved);
    }

    /// Bytes in blocks that are handed out (ledger: allocated).
    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Bytes that were asked for and are handed out (ledger: requested).
    pub fn requested(&self) -> u64 {
        self.requested
    }

    /// How often cached memory was returned to make room (`num_alloc_retries`).
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// How often memory was taken from the device (`num_device_alloc`).
    pub fn device_allocs(&self) -> u64 {
        self.device_allocs
    }

    /// Segments held now.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// Address and size of a block that was handed out, in bytes.
    pub fn block(&self, handle: Handle) -> (u64, u64) {
        let block = self.blocks.get(handle.block);
        (block.address, block.size)
    }

    /// Hands out a block (`malloc`).
    ///
    /// # Errors
    /// [`Exhausted`] where neither the cache nor the device can serve the request.
    pub fn malloc(&mut self, requested: u64, lane: LaneId) -> Result<Handle, Exhausted> {
        let rounded = self.config.round_size(requested);
        let segment = self.config.segment_size(rounded);
        let small = rounded <= SMALL_SIZE;
        let block = self
            .take_free(small, lane, rounded)
            .or_else(|| self.block_from_device(small, lane, rounded, segment))
            .ok_or(Exhausted { tried: segment })?;
        let block = self.hand_out(block, rounded, requested);
        Ok(self.handle(block))
    }

    fn block_from_device(
        &mut self,
        small: bool,
        lane: LaneId,
        rounded: u64,
        segment: u64,
    ) -> Option<BlockId> {
        if self.limit.is_some() && self.config.garbage_collection_threshold > 0.0 {
            self.collect_garbage();
        }
        if self.is_rejected(segment) {
            return None;
        }
        if let Some(block) = self.new_block(small, lane, rounded, segment) {
            return Some(block);
        }
        if self.release_available(small, lane, rounded)
            && let Some(block) = self.new_block(small, lane, rounded, segment)
        {
            return Some(block);
        }
        // While a graph is captured, nothing may be given back.
        if self.lane(lane).is_of_capture() {
            return None;
        }
        self.release_all();
        self.retries += 1;
        self.new_block(small, lane, rounded, segment)
    }

    /// `throw_on_cudamalloc_oom`: a segment that the device as a whole has no room for is not even asked for, and
    /// nothing is given back for it. A limit of the process, where there is one, comes first.
    fn is_rejected(&self, segment: u64) -> bool {
        let beyond = |total: u64| self.reserved.saturating_add(segment) > total;
        self.config.throw_on_cudamalloc_oom && self.limit.is_none() && self.device_total.is_some_and(beyond)
    }

    pub(crate) fn handle(&self, block: BlockId) -> Handle {
        Handle { block, serial: self.blocks.get(block).serial }
    }

    /// Whether the handle's block is still handed out: a retry frees what waits for other streams.
    fn is_current(&self, handle: Handle) -> bool {
        let block = self.blocks.get(handle.block);
        block.serial == handle.serial && block.allocated
    }

    /// Gives a block back that another stream may still use; it is reusable after [`Self::free`].
    pub fn request_free(&mut self, handle: Handle) {
        if !self.is_current(handle) {
            return;
        }
        let block = self.blocks.get_mut(handle.block);
        if !block.pending {
            block.pending = true;
            self.allocated -= block.size;
            self.pending.push(handle);
        }
    }

    /// Gives a block back (`free`), reusable at once.
    pub fn free(&mut self, handle: Handle) {
        if !self.is_current(handle) {
            return;
        }
        let block = self.blocks.get_mut(handle.block);
        self.allocated -= if block.pending { 0 } else { block.size };
        self.requested -= block.requested;
        block.allocated = false;
        block.requested = 0;
        if std::mem::take(&mut block.pending) && self.pending.last() == Some(&handle) {
            self.pending.pop();
        }
        self.return_to_pool(handle.block);
    }

    /// `torch.cuda.empty_cache()`: every free segment goes back to the device.
    pub fn empty_cache(&mut self) {
        self.release_all();
    }

    /// `free_block`: merges with free neighbours and joins the pool.
    pub(crate) fn return_to_pool(&mut self, id: BlockId) {
        let pool = usize::from(!self.blocks.get(id).small);
        for neighbour in [self.blocks.get(id).previous, self.blocks.get(id).next] {
            if self.blocks.is_free_mapped(neighbour) {
                let key = self.blocks.key(neighbour);
                self.pools[pool].free.remove(&key);
                self.blocks.absorb(id, neighbour);
            }
        }
        let requests = self.pools[pool].requests;
        self.blocks.get_mut(id).freed_at = requests;
        let key = self.blocks.key(id);
        self.pools[pool].free.insert(key);
    }

    /// `get_free_block`: the smallest that fits, and among equals the first by [`Ties`].
    fn take_free(&mut self, small: bool, lane: LaneId, rounded: u64) -> Option<BlockId> {
        let collecting = self.limit.is_some() && self.config.garbage_collection_threshold > 0.0;
        let counted = collecting && !self.is_private(lane);
        let pool = &mut self.pools[usize::from(!small)];
        pool.requests += u64::from(counted);
        if !self.config.expandable_segments {
            return pool.free.take_smallest(lane, rounded, |size| self.config.may_take(size, rounded));
        }
        let mut candidates = pool.free.fitting(lane, rounded);
        let mut best = candidates.next()?;
        // Prefer a block that cannot grow into unmapped space behind it.
        let reach = |id: BlockId| reach_of(&self.blocks, id);
        for next in candidates.by_ref() {
            if !self.blocks.get(best.id).expandable || reach(next.id) >= reach(best.id) {
                break;
            }
            best = next;
        }
        if !self.config.may_take(best.size, rounded) {
            return None;
        }
        drop(candidates);
        pool.free.remove(&best);
        Some(best.id)
    }

    /// `alloc_block`: takes a segment from the device, where it fits.
    fn new_block(&mut self, small: bool, lane: LaneId, rounded: u64, segment: u64) -> Option<BlockId> {
        if self.limit.is_some_and(|limit| self.reserved.saturating_add(segment) > limit) {
            return None;
        }
        if self.config.expandable_segments {
            return self.new_expandable_block(small, lane, rounded);
        }
        if !self.device_has(segment) {
            return None;
        }
        self.device_allocs += 1;
        self.segments += 1;
        self.reserve(segment);
        let placed = self.addresses.as_mut().and_then(|addresses| addresses.take(segment));
        let address = placed.unwrap_or_else(|| self.reserve_addresses(segment, DEVICE_GRANULARITY));
        let counter = self.counter.of_segment();
        Some(self.blocks.insert(Block {
            address,
            size: segment,
            requested: 0,
            lane,
            small,
            allocated: false,
            pending: false,
            mapped: true,
            expandable: false,
            previous: NONE,
            next: NONE,
            freed_at: 0,
            counter,
            serial: 0,
        }))
    }

    pub(crate) fn device_has(&self, bytes: u64) -> bool {
        let whole = bytes.checked_next_multiple_of(DEVICE_GRANULARITY).unwrap_or(u64::MAX);
        self.capacity.is_none_or(|capacity| self.reserved.saturating_add(whole) <= capacity)
    }

    /// Addresses rise monotonically, as a fresh process sees them.
    pub(crate) fn reserve_addresses(&mut self, bytes: u64, alignment: u64) -> u64 {
        let address = self.next_address.checked_next_multiple_of(alignment).unwrap_or(self.next_address);
        self.next_address = address.saturating_add(bytes.next_multiple_of(DEVICE_GRANULARITY));
        address
    }

    /// Counts memory that was there before.
    pub(crate) fn take_over(&mut self, size: u64, requested: Option<u64>) {
        self.reserve(size);
        if let Some(requested) = requested {
            self.allocated += size;
            self.requested += requested;
        }
    }

    /// New segments come behind everything that is there.
    pub(crate) fn begin_addresses_after(&mut self, start: &Shadow) {
        let end = start.iter().last().map_or(0, |(_, placed)| placed.end());
        if end < HIGHEST_START {
            self.next_address = self.next_address.max(end.next_multiple_of(DEVICE_GRANULARITY));
        }
    }

    /// On Windows the driver fills its space from the lowest address that it has used.
    pub(crate) fn begin_driver_at(&mut self, start: &Shadow) {
        if self.addresses.is_some()
            && self.config.driver == Some(Driver::Windows)
            && let Some((_, lowest)) = start.iter().next()
        {
            self.addresses = Some(Addresses::new(Driver::Windows, lowest.address, u64::MAX));
        }
    }

    pub(crate) fn count_device_alloc(&mut self) {
        self.device_allocs += 1;
    }

    /// `alloc_found_block`: splits off the low end where the rest is worth keeping.
    fn hand_out(&mut self, found: BlockId, rounded: u64, requested: u64) -> BlockId {
        let block = self.blocks.get(found);
        let (small, expandable) = (block.small, block.expandable && self.config.expandable_segments);
        let mut id = found;
        if self.config.should_split(block.size, rounded, small, expandable) {
            // The low end is the new object; the rest stays the object that it was.
            let counter = self.counter.of_block(block.counter);
            let front = Block { size: rounded, counter, previous: NONE, next: NONE, ..block.clone() };
            id = self.blocks.insert(front);
            self.blocks.link_before(id, found);
            let rest = self.blocks.get_mut(found);
            rest.address += rounded;
            rest.size -= rounded;
            let key = self.blocks.key(found);
            self.pools[usize::from(!small)].free.insert(key);
        }
        let block = self.blocks.get_mut(id);
        block.allocated = true;
        block.requested = requested;
        self.allocated += block.size;
        self.requested += requested;
        id
    }

    /// `release_available_cached_blocks`: oversize segments of this lane, enough for the request.
    fn release_available(&mut self, small: bool, lane: LaneId, rounded: u64) -> bool {
        let limit = self.config.max_split_size;
        if limit == u64::MAX {
            return false;
        }
        let wanted = rounded.max(limit);
        let pool = &self.pools[usize::from(!small)];
        let fits = pool.free.fitting(lane, wanted).next();
        if let Some(key) = fits {
            let whole = self.is_plain_segment(key.id);
            if whole {
                self.release_segment(key.id);
            }
            return whole;
        }
        let oversize: Vec<BlockId> = pool
            .free
            .fitting(lane, limit)
            .map(|key| key.id)
            .filter(|id| self.is_plain_segment(*id))
            .collect();
        let mut released = 0u64;
        for id in oversize.into_iter().rev() {
            if released >= wanted {
                break;
            }
            released += self.blocks.get(id).size;
            self.release_segment(id);
        }
        released >= wanted
    }

    /// Whether a block is a segment of cudaMalloc. One that was taken over from a recording may have been split
    /// under other settings.
    fn is_plain_segment(&self, id: BlockId) -> bool {
        self.blocks.is_whole_segment(id) && !self.blocks.get(id).expandable
    }

    /// `release_cached_blocks`: waits for the other streams; the large pool first, then the small one.
    fn release_all(&mut self) {
        for handle in std::mem::take(&mut self.pending) {
            if self.blocks.get(handle.block).pending {
                self.free(handle);
            }
        }
        self.release_free(|allocator, lane| !allocator.is_private(lane) || allocator.let_go.contains(&lane));
    }

    /// Gives back what a private pool has free.
    pub(crate) fn empty_pool(&mut self, lanes: &[LaneId]) {
        self.release_free(|_, lane| lanes.contains(&lane));
    }

    /// Memory of CUDA graphs and `MemPool`s stays with them as long as they are there.
    fn release_free(&mut self, of: impl Fn(&Allocator, LaneId) -> bool) {
        for pool in [1, 0] {
            let free = self.pools[pool].free.iter().filter(|key| of(self, key.lane));
            let free: Vec<BlockId> = free.map(|key| key.id).collect();
            let (expandable, plain): (Vec<_>, Vec<_>) =
                free.into_iter().partition(|id| self.blocks.get(*id).expandable);
            for id in plain {
                if self.blocks.is_whole_segment(id) {
                    self.release_segment(id);
                }
            }
            expandable.into_iter().for_each(|id| self.unmap(id));
        }
    }

    fn is_private(&self, lane: LaneId) -> bool {
        self.lane(lane).is_private()
    }

    fn lane(&self, lane: LaneId) -> Lane {
        self.lanes.get(lane.index()).copied().unwrap_or_default()
    }

    /// The private pool of these streams is not used any more: its memory is released as other memory is
    /// (`releasePool`).
    pub fn let_go(&mut self, lanes: Vec<LaneId>) {
        self.let_go.extend(lanes);
    }

    /// Says what the streams stand for.
    pub fn set_lanes(&mut self, lanes: &[Lane]) {
        self.lanes = lanes.to_vec();
    }

    /// `garbage_collect_cached_blocks`: older than average, until enough is returned. Private pools keep theirs.
    fn collect_garbage(&mut self) {
        let Some(limit) = self.limit else { return };
        let threshold = (self.config.garbage_collection_threshold * limit as f64) as u64;
        let target = self.reserved.saturating_sub(threshold);
        let mut reclaimed = 0;
        while self.reserved > threshold && reclaimed < target {
            let requests = self.pools[1].requests;
            let mut whole: Vec<BlockId> = self.pools[1].free.iter().map(|key| key.id).collect();
            whole.retain(|id| self.is_plain_segment(*id) && !self.is_private(self.blocks.get(*id).lane));
            let age = |id: &BlockId| requests - self.blocks.get(*id).freed_at;
            let total: u64 = whole.iter().map(age).sum();
            let count = whole.len() as u64;
            // At least the average age, which is a fraction.
            let old: Vec<BlockId> = whole.iter().copied().filter(|id| age(id) * count >= total).collect();
            if old.is_empty() {
                return;
            }
            for id in old {
                reclaimed += self.blocks.get(id).size;
                self.release_segment(id);
            }
        }
    }

    fn release_segment(&mut self, id: BlockId) {
        let key = self.blocks.key(id);
        let block = self.blocks.get(id);
        let (address, size) = (block.address, block.size);
        if let Some(addresses) = &mut self.addresses {
            addresses.give_back(address, size);
        }
        self.reserved -= size;
        self.segments -= 1;
        let pool = usize::from(!block.small);
        self.pools[pool].free.remove(&key);
        self.blocks.remove(id);
    }
}

/// What a free block could grow to: itself and the unmapped space behind it.
fn reach_of(blocks: &Blocks, id: BlockId) -> u64 {
    let block = blocks.get(id);
    let behind = if block.next == NONE { None } else { Some(blocks.get(block.next)) };
    block.size + behind.filter(|next| !next.mapped).map_or(0, |next| next.size)
}
