use brimful_units::{Bytes, Dtype, Shape};

use crate::{AllocationId, Category, ContextId, LaneId, SegmentId, StrId};

/// A block from its birth to its death.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// The size asked of the allocator (ledger: requested).
    pub bytes: Bytes,
    /// What it is for.
    pub category: Category,
    /// Who asked for it.
    pub context: ContextId,
    /// The lane: the stream and the pool that the block belongs to.
    pub lane: LaneId,
    /// The address on the device, where one was recorded.
    pub address: Option<u64>,
}

/// The allocations of a trace, in columns.
#[derive(Clone, Debug, Default)]
pub struct Allocations {
    bytes: Vec<u64>,
    category: Vec<Category>,
    context: Vec<ContextId>,
    lane: Vec<LaneId>,
    /// Empty for a trace without addresses.
    address: Vec<u64>,
}

impl Allocations {
    /// Makes room for so many more rows with an address.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.bytes.reserve(rows);
        self.category.reserve(rows);
        self.context.reserve(rows);
        self.lane.reserve(rows);
        self.address.reserve(rows);
    }

    /// Adds a row.
    ///
    /// # Panics
    /// Where rows with and without an address are mixed.
    #[inline]
    pub fn push(&mut self, row: Allocation) -> AllocationId {
        let id = AllocationId(self.bytes.len() as u32);
        if let Some(address) = row.address {
            assert_eq!(
                self.address.len(),
                self.bytes.len(),
                "allocations with and without address are mixed"
            );
            self.address.push(address);
        }
        self.bytes.push(row.bytes.get());
        self.category.push(row.category);
        self.context.push(row.context);
        self.lane.push(row.lane);
        id
    }

    /// A row.
    ///
    /// # Panics
    /// Where the id is of another trace; the same holds for the other accessors.
    #[inline]
    pub fn get(&self, id: AllocationId) -> Allocation {
        let at = id.index();
        Allocation {
            bytes: Bytes::new(self.bytes[at]),
            category: self.category[at],
            context: self.context[at],
            lane: self.lane[at],
            address: self.address.get(at).copied(),
        }
    }

    /// The size asked for.
    #[inline]
    pub fn bytes(&self, id: AllocationId) -> Bytes {
        Bytes::new(self.bytes[id.index()])
    }

    /// What the block is for.
    pub fn category(&self, id: AllocationId) -> Category {
        self.category[id.index()]
    }

    /// Says what the block is for.
    pub fn set_category(&mut self, id: AllocationId, category: Category) {
        self.category[id.index()] = category;
    }

    /// Says who asked for the block.
    pub fn set_context(&mut self, id: AllocationId, context: ContextId) {
        self.context[id.index()] = context;
    }

    /// The number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Every id.
    pub fn ids(&self) -> impl Iterator<Item = AllocationId> + use<> {
        (0..self.len() as u32).map(AllocationId)
    }
}

/// Memory that the allocator took from the device (or mapped into an expandable segment).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its size.
    pub bytes: Bytes,
    /// Its address on the device.
    pub address: u64,
    /// The lane it belongs to.
    pub lane: LaneId,
    /// Who caused it.
    pub context: ContextId,
}

/// The segments of a trace.
#[derive(Clone, Debug, Default)]
pub struct Segments(Vec<Segment>);

impl Segments {
    /// Adds a row.
    #[inline]
    pub fn push(&mut self, row: Segment) -> SegmentId {
        self.0.push(row);
        SegmentId(self.0.len() as u32 - 1)
    }

    /// A row.
    ///
    /// # Panics
    /// Where the id is of another trace.
    #[inline]
    pub fn get(&self, id: SegmentId) -> Segment {
        self.0[id.index()]
    }

    /// The number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomEvent {
    /// The bytes that were asked for.
    pub tried: Bytes,
    /// What the device had free, where it is known.
    pub free: Option<Bytes>,
    /// Who asked.
    pub context: ContextId,
    /// The lane it was for.
    pub lane: LaneId,
}

/// The part of a run that a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum PhaseKind {
    Load,
    Data,
    Forward,
    Backward,
    Clip,
    Optimizer,
    ZeroGrad,
    Prefill,
    Decode,
}

impl PhaseKind {
    /// Every kind, in the order of a run.
    pub const ALL: [PhaseKind; 9] = [
        PhaseKind::Load,
        PhaseKind::Data,
        PhaseKind::Forward,
        PhaseKind::Backward,
        PhaseKind::Clip,
        PhaseKind::Optimizer,
        PhaseKind::ZeroGrad,
        PhaseKind::Prefill,
        PhaseKind::Decode,
    ];

    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            PhaseKind::Load => "load",
            PhaseKind::Data => "data",
            PhaseKind::Forward => "forward",
            PhaseKind::Backward => "backward",
            PhaseKind::Clip => "clip",
            PhaseKind::Optimizer => "optimizer",
            PhaseKind::ZeroGrad => "zero_grad",
            PhaseKind::Prefill => "prefill",
            PhaseKind::Decode => "decode",
        }
    }
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Which part of the run it is.
    pub kind: PhaseKind,
    /// Its own name, such as `it1.backward.0`.
    pub name: StrId,
}

/// What is known of the tensor in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its shape at birth.
    pub shape: Shape,
    /// Its dtype.
    pub dtype: Dtype,
}
