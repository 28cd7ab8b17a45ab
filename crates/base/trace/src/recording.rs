use brimful_units::Bytes;

use crate::{AllocationId, ContextId, LaneId};

/// A stream and the pool it allocates from: free memory never crosses from one lane to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The `cudaStream_t` as recorded; 0 is the default stream.
    pub stream: i64,
    /// The private pool (CUDA graphs, `torch.cuda.MemPool`); `(0, 0)` is the default pool.
    pub pool: (u64, u64),
}

impl Lane {
    /// Whether only a graph or a `MemPool` may use this memory.
    pub const fn is_private(&self) -> bool {
        self.pool.0 != 0 || self.pool.1 != 0
    }

    /// Whether the pool was made by the capture of a graph, and not by the program (`MemPool::graph_pool_handle`).
    pub const fn is_of_capture(&self) -> bool {
        self.pool.0 != 0
    }
}

/// What a block was at the end of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BlockState {
    /// Handed out.
    Allocated,
    /// Given back, but another stream may still use it.
    PendingFree,
    /// Free.
    #[default]
    Inactive,
}

/// A segment at the end of a recording; for an expandable one, a contiguous mapped range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalSegment {
    /// Its address on the device.
    pub address: u64,
    /// Its size.
    pub bytes: Bytes,
    /// The lane it belongs to.
    pub lane: LaneId,
    /// Whether it serves requests of up to 1 MiB.
    pub small: bool,
    /// Whether pages can be mapped into it.
    pub expandable: bool,
    /// Its blocks, as a range of [`Recording::blocks`].
    pub blocks: std::ops::Range<u32>,
    /// Who caused it.
    pub context: ContextId,
}

/// A block at the end of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// Its address on the device.
    pub address: u64,
    /// Its size (ledger: allocated).
    pub bytes: Bytes,
    /// The size that was asked for; meaningless where the block is inactive.
    pub requested: Bytes,
    /// What it is.
    pub state: BlockState,
    /// Its row among the trace's allocations; `None` where it is inactive.
    pub allocation: Option<AllocationId>,
}

/// A named range of the program began or ended (`external_annotations`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, such as `Optimizer.step#AdamW.step`.
    pub name: String,
    /// Whether it begins here.
    pub begins: bool,
    /// The first event that is not before it.
    pub event: usize,
}

/// What a recording knows beyond its events: the memory at its end, and when and where each event was.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// `PYTORCH_CUDA_ALLOC_CONF` as it was set; empty for the defaults.
    pub conf: String,
    /// The lanes; a [`LaneId`] is a position in this list.
    pub lanes: Vec<Lane>,
    /// The segments at the end, by address.
    pub segments: Vec<FinalSegment>,
    /// Their blocks.
    pub blocks: Vec<FinalBlock>,
    /// Named ranges, in order.
    pub annotations: Vec<Annotation>,
    /// Who was running, by event: the stack that freed, too.
    pub sites: Vec<ContextId>,
    /// Microseconds since the event before, by event; empty where no time was recorded.
    pub pauses: Vec<u32>,
    /// The first event's time in microseconds since 1970.
    pub started: u64,
    /// Whether memory was there before the first event: the ring wrapped, or the recording began late.
    pub begins_late: bool,
}

impl Recording {
    /// Bytes in segments at the end (ledger: reserved).
    pub fn reserved(&self) -> Bytes {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The blocks of a segment.
    pub fn blocks_of(&self, segment: &FinalSegment) -> &[FinalBlock] {
        self.blocks.get(segment.blocks.start as usize..segment.blocks.end as usize).unwrap_or(&[])
    }

    /// The first event at or after a time (microseconds since 1970).
    pub fn events_at(&self, times: impl Iterator<Item = u64>) -> Vec<usize> {
        let (mut at, mut now) = (0, self.started);
        let find = |time| {
            while at < self.pauses.len() && now < time {
                at += 1;
                now += self.pauses.get(at).copied().map_or(0, u64::from);
            }
            at
        };
        times.map(find).collect()
    }
}
