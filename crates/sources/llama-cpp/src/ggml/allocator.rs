//! Where the tensors of a graph are placed, and how large the buffers become; ggml/src/ggml-alloc.c, v0.5.0.

use super::graph::Graph;
use super::scheduler::Machine;
use super::support::{CUDA_ALIGNMENT, HOST_ALIGNMENT, cuda_alloc};
use super::tensor::{Id, Op};

/// A free range of a buffer.
#[derive(Debug, Clone, Copy)]
struct Free {
    offset: u64,
    size: u64,
}

/// One backend's buffer as it grows. CUDA and host buffers have no largest size, so there is one chunk.
#[derive(Debug)]
struct Buffer {
    alignment: u64,
    free: Vec<Free>,
    max: u64,
}

impl Buffer {
    fn new(alignment: u64) -> Self {
        Buffer { alignment, free: vec![Free { offset: 0, size: u64::MAX / 2 }], max: 0 }
    }

    fn aligned(&self, size: u64) -> u64 {
        size.checked_next_multiple_of(self.alignment).unwrap_or(u64::MAX / 4)
    }

    /// Best fit among all free blocks but the last, which is the one that grows; ties go to the later block.
    fn alloc(&mut self, size: u64) -> u64 {
        let size = self.aligned(size);
        let last = self.free.len().saturating_sub(1);
        let mut best: Option<(usize, u64)> = None;
        for (index, block) in self.free.iter().enumerate().take(last) {
            if block.size >= size && best.is_none_or(|(_, least)| block.size <= least) {
                best = Some((index, block.size));
            }
        }
        let index = best.map_or(last, |(index, _)| index);
        let Some(block) = self.free.get_mut(index) else { return self.max };
        let offset = block.offset;
        block.offset = offset.saturating_add(size);
        block.size = block.size.saturating_sub(size);
        if block.size == 0 {
            self.free.remove(index);
        }
        self.max = self.max.max(offset.saturating_add(size));
        offset
    }

    /// Joins the range with the first free block that touches it, and that one with its neighbour.
    fn release(&mut self, offset: u64, size: u64) {
        let size = self.aligned(size);
        for index in 0..self.free.len() {
            let block = self.free[index];
            if block.offset.saturating_add(block.size) == offset {
                self.free[index].size = block.size.saturating_add(size);
                self.join(index);
                return;
            }
            if offset.saturating_add(size) == block.offset {
                self.free[index] = Free { offset, size: block.size.saturating_add(size) };
                if index > 0 {
                    self.join(index - 1);
                }
                return;
            }
        }
        let place = self.free.iter().position(|block| block.offset >= offset).unwrap_or(self.free.len());
        self.free.insert(place, Free { offset, size });
    }

    /// Joins a block with the next one if they touch.
    fn join(&mut self, index: usize) {
        let (Some(block), Some(next)) = (self.free.get(index).copied(), self.free.get(index + 1).copied())
        else {
            return;
        };
        if block.offset.saturating_add(block.size) == next.offset {
            self.free[index].size = block.size.saturating_add(next.size);
            self.free.remove(index + 1);
        }
    }
}

/// What the allocator knows of a tensor (`hash_node`).
#[derive(Debug, Clone, Copy, Default)]
struct State {
    children: i32,
    views: i32,
    buffer: usize,
    offset: u64,
    allocated: bool,
}

/// A tensor with the backend that computes it.
pub(super) type Placed = (Id, usize);

struct Allocator<'a> {
    graph: &'a Graph,
    machine: &'a Machine,
    states: Vec<State>,
    buffers: Vec<Buffer>,
}

/// The bytes of each backend's compute buffer for a graph that the scheduler has split.
pub(super) fn sizes(graph: &Graph, machine: &Machine, leafs: &[Placed], nodes: &[Placed]) -> Vec<u64> {
    let gpus = machine.gpus();
    let alignment = |backend| if backend < gpus { CUDA_ALIGNMENT } else { HOST_ALIGNMENT };
    let mut allocator = Allocator {
        graph,
        machine,
        states: vec![State::default(); graph.tensors.len()],
        buffers: (0..=gpus).map(|backend| Buffer::new(alignment(backend))).collect(),
    };
    allocator.run(leafs, nodes);
    allocator.buffers.iter().map(|buffer| buffer.max).collect()
}

impl Allocator<'_> {
    fn run(&mut self, leafs: &[Placed], nodes: &[Placed]) {
        for (leaf, backend) in leafs {
            self.allocate(*leaf, *backend);
        }
        self.count(nodes);
        let graph = self.graph;
        for (node, backend) in nodes {
            let sources = graph.get(*node).src;
            for source in sources.as_slice() {
                self.allocate(*source, *backend);
            }
            self.allocate(*node, *backend);
            for source in sources.as_slice() {
                self.read(*source);
            }
        }
    }

    /// Counts readers and views, and allocates inputs before anything else so that nothing overwrites them.
    fn count(&mut self, nodes: &[Placed]) {
        let graph = self.graph;
        for (node, backend) in nodes {
            let tensor = graph.get(*node);
            // The scheduler adds nodes without an op, which hold tensors alive; they are no views.
            if let (Some((of, _)), true) = (tensor.view, tensor.op != Op::None) {
                self.states[of.index()].views += 1;
            }
            if tensor.input {
                self.allocate(*node, *backend);
            }
            for source in tensor.src.as_slice() {
                self.states[source.index()].children += 1;
                if graph.get(*source).input {
                    self.allocate(*source, *backend);
                }
            }
        }
    }

    fn bytes(&self, id: Id, backend: usize) -> u64 {
        match self.machine.capability(backend) {
            Some(capability) => cuda_alloc(self.graph, id, capability),
            None => self.graph.get(id).bytes(),
        }
    }

    fn allocate(&mut self, id: Id, backend: usize) {
        let tensor = self.graph.get(id);
        if tensor.home.is_some() || tensor.view.is_some() || self.states[id.index()].allocated {
            return;
        }
        self.states[id.index()].allocated = true;
        if tensor.op.in_place() && self.take_over(id) {
            return;
        }
        let bytes = self.bytes(id, backend);
        let Some(buffer) = self.buffers.get_mut(backend) else { return };
        let offset = buffer.alloc(bytes);
        let state = &mut self.states[id.index()];
        (state.buffer, state.offset) = (backend, offset);
    }

    /// Puts the result in the place of a source that nothing else reads.
    fn take_over(&mut self, id: Id) -> bool {
        let graph = self.graph;
        let tensor = graph.get(id);
        for parent_id in tensor.src.as_slice() {
            let parent = graph.get(*parent_id);
            let own = self.states[parent_id.index()];
            // The allocator never marks a view as its own, so a result never takes the place of a view.
            if !own.allocated || parent.output || !tensor.same_layout(parent) {
                continue;
            }
            if own.children != 1 || own.views != 0 {
                continue;
            }
            let state = &mut self.states[id.index()];
            (state.buffer, state.offset) = (own.buffer, own.offset);
            self.states[parent_id.index()].allocated = false;
            self.release_rest(id, *parent_id);
            return true;
        }
        false
    }

    /// Frees what the new tensor leaves over of the memory that it took.
    fn release_rest(&mut self, id: Id, parent: Id) {
        let state = self.states[id.index()];
        let (before, now) = (self.bytes(parent, state.buffer), self.bytes(id, state.buffer));
        let Some(buffer) = self.buffers.get_mut(state.buffer) else { return };
        let (before, now) = (buffer.aligned(before), buffer.aligned(now));
        if before > now {
            buffer.release(state.offset.saturating_add(now), before - now);
        }
    }

    /// A node has read the tensor; frees it, or the tensor that it is a view of, after the last reader.
    fn read(&mut self, id: Id) {
        let state = &mut self.states[id.index()];
        state.children -= 1;
        if state.children != 0 || state.views != 0 {
            return;
        }
        match self.graph.get(id).view {
            Some((of, _)) => {
                let root = &mut self.states[of.index()];
                root.views -= 1;
                if root.views == 0 && root.children == 0 && root.allocated {
                    self.free(of);
                }
            }
            None if state.allocated => self.free(id),
            None => {}
        }
    }

    fn free(&mut self, id: Id) {
        if self.graph.get(id).output {
            return;
        }
        let state = self.states[id.index()];
        let bytes = self.bytes(id, state.buffer);
        if let Some(buffer) = self.buffers.get_mut(state.buffer) {
            buffer.release(state.offset, bytes);
        }
        self.states[id.index()].allocated = false;
    }
}
