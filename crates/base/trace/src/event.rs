/// A row of the allocations table: one block from its birth to its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId(pub u32);

impl AllocationId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A row of the segments table: memory that the allocator took from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u32);

impl SegmentId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A row of the phases table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhaseId(pub u32);

impl PhaseId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A row of the table of failed requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OomId(pub u32);

impl OomId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A lane, by its position in [`crate::Recording::lanes`]. A prediction has one lane, the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u16);

impl LaneId {
    /// The position in the list of lanes.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One thing that happened to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block was handed out.
    Alloc(AllocationId),
    /// A block was given back and is reusable at once.
    Free(AllocationId),
    /// A block was given back, but another stream may still use it.
    FreeRequested(AllocationId),
    /// A block whose free was requested became reusable.
    FreeCompleted(AllocationId),
    /// The allocator took a segment from the device.
    SegmentAlloc(SegmentId),
    /// The allocator returned a segment to the device.
    SegmentFree(SegmentId),
    /// Pages were mapped into an expandable segment.
    SegmentMap(SegmentId),
    /// Pages were unmapped from an expandable segment.
    SegmentUnmap(SegmentId),
    /// A request failed.
    Oom(OomId),
    /// The program called `torch.cuda.empty_cache()`.
    EmptyCache,
    /// A phase began.
    Phase(PhaseId),
    /// Something was recorded that does not touch memory, such as the taking of a snapshot.
    Remark,
}

impl Event {
    /// The column form: kind and subject.
    pub(crate) const fn pack(self) -> (u8, u32) {
        match self {
            Event::Alloc(id) => (0, id.0),
            Event::Free(id) => (1, id.0),
            Event::FreeRequested(id) => (2, id.0),
            Event::FreeCompleted(id) => (3, id.0),
            Event::SegmentAlloc(id) => (4, id.0),
            Event::SegmentFree(id) => (5, id.0),
            Event::SegmentMap(id) => (6, id.0),
            Event::SegmentUnmap(id) => (7, id.0),
            Event::Oom(id) => (8, id.0),
            Event::EmptyCache => (9, 0),
            Event::Phase(id) => (10, id.0),
            Event::Remark => (11, 0),
        }
    }

    /// The inverse of [`Event::pack`]; `None` for an unknown kind.
    pub(crate) const fn unpack(kind: u8, subject: u32) -> Option<Event> {
        Some(match kind {
            0 => Event::Alloc(AllocationId(subject)),
            1 => Event::Free(AllocationId(subject)),
            2 => Event::FreeRequested(AllocationId(subject)),
            3 => Event::FreeCompleted(AllocationId(subject)),
            4 => Event::SegmentAlloc(SegmentId(subject)),
            5 => Event::SegmentFree(SegmentId(subject)),
            6 => Event::SegmentMap(SegmentId(subject)),
            7 => Event::SegmentUnmap(SegmentId(subject)),
            8 => Event::Oom(OomId(subject)),
            9 => Event::EmptyCache,
            10 => Event::Phase(PhaseId(subject)),
            11 => Event::Remark,
            _ => return None,
        })
    }
}
