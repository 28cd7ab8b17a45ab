use crate::{
    Allocation, AllocationId, Allocations, Category, ContextTable, Event, OomEvent, OomId, Phase, PhaseId,
    PhaseKind, Recording, Segment, SegmentId, Segments, TensorInfo,
};

/// Where a trace comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Simulated from a job.
    #[default]
    Predicted,
    /// Recorded by PyTorch (`torch.cuda.memory._record_memory_history`).
    Recorded,
    /// Real PyTorch on a virtual GPU.
    Rehearsed,
    /// Live counters.
    Captured,
}

/// An ordered list of allocation events with the tables they refer to.
///
/// ```
/// use brimful_trace::{Allocation, Event, Origin, Trace};
/// use brimful_units::Bytes;
/// let mut trace = Trace::new(Origin::Predicted);
/// let block = trace.alloc(Allocation { bytes: Bytes::mib(2), ..Allocation::default() });
/// trace.free(block);
/// assert_eq!(trace.events().last(), Some(Event::Free(block)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Where it comes from.
    pub origin: Origin,
    /// Names, stacks and owners.
    pub contexts: ContextTable,
    /// Every block.
    pub allocations: Allocations,
    /// Every segment that was recorded; none in a predicted trace.
    pub segments: Segments,
    /// The `PYTORCH_CUDA_ALLOC_CONF` that a prediction was asked for; empty for the defaults. A recording has its own.
    pub conf: String,
    /// What a recording knows beyond its events; `None` for a predicted trace.
    pub recording: Option<Recording>,
    kinds: Vec<u8>,
    subjects: Vec<u32>,
    phases: Vec<Phase>,
    ooms: Vec<OomEvent>,
    /// By allocation; shorter than the allocations where the last have no tensor.
    tensors: Vec<Option<TensorInfo>>,
}

impl Trace {
    /// A trace without events.
    pub fn new(origin: Origin) -> Self {
        Trace { origin, ..Trace::default() }
    }

    /// Makes room for so many more events and allocations.
    pub fn reserve(&mut self, events: usize, allocations: usize) {
        self.kinds.reserve(events);
        self.subjects.reserve(events);
        self.allocations.reserve(allocations);
    }

    /// Appends an event.
    #[inline]
    pub fn push(&mut self, event: Event) {
        let (kind, subject) = event.pack();
        self.kinds.push(kind);
        self.subjects.push(subject);
    }

    /// Appends the birth of a block.
    pub fn alloc(&mut self, row: Allocation) -> AllocationId {
        let id = self.allocations.push(row);
        self.push(Event::Alloc(id));
        id
    }

    /// Appends the death of a block.
    pub fn free(&mut self, id: AllocationId) {
        self.push(Event::Free(id));
    }

    /// Appends the begin of a phase.
    pub fn begin_phase(&mut self, kind: PhaseKind, name: &str) -> PhaseId {
        let name = self.contexts.intern(name);
        self.phases.push(Phase { kind, name });
        let id = PhaseId(self.phases.len() as u32 - 1);
        self.push(Event::Phase(id));
        id
    }

    /// Appends a segment event's row and returns its id; push the event yourself.
    pub fn segment(&mut self, row: Segment) -> SegmentId {
        self.segments.push(row)
    }

    /// Appends a failed request.
    pub fn oom(&mut self, row: OomEvent) -> OomId {
        self.ooms.push(row);
        let id = OomId(self.ooms.len() as u32 - 1);
        self.push(Event::Oom(id));
        id
    }

    /// Says which tensor a block holds.
    pub fn describe(&mut self, id: AllocationId, tensor: TensorInfo) {
        let at = id.index();
        if self.tensors.len() <= at {
            self.tensors.resize(at + 1, None);
        }
        self.tensors[at] = Some(tensor);
    }

    /// The number of events.
    #[inline]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The event at a position.
    ///
    /// # Panics
    /// Where the position is past the end.
    #[inline]
    pub fn event(&self, at: usize) -> Event {
        // Only packed events are stored, so this never falls back.
        Event::unpack(self.kinds[at], self.subjects[at]).unwrap_or(Event::Remark)
    }

    /// The events in order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = Event> + ExactSizeIterator + '_ {
        (0..self.len()).map(|at| self.event(at))
    }

    /// The row of a phase.
    ///
    /// # Panics
    /// Where the id is of another trace; the same holds for the other rows.
    pub fn phase(&self, id: PhaseId) -> Phase {
        self.phases[id.index()]
    }

    /// Every phase in order.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// The row of a failed request.
    pub fn oom_row(&self, id: OomId) -> OomEvent {
        self.ooms[id.index()]
    }

    /// Every failed request in order.
    pub fn ooms(&self) -> &[OomEvent] {
        &self.ooms
    }

    /// The tensor in a block; `None` for a kernel's own buffer and where it is not known.
    pub fn tensor(&self, id: AllocationId) -> Option<&TensorInfo> {
        self.tensors.get(id.index())?.as_ref()
    }

    /// Says what a block is for.
    pub fn categorize(&mut self, id: AllocationId, category: Category) {
        self.allocations.set_category(id, category);
    }
}
