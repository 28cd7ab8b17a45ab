//! Which backend computes which node, and what is copied between them; ggml/src/ggml-backend.cpp, v0.5.0.

use std::collections::{BTreeMap, HashMap};

use super::allocator::{self, Placed};
use super::fusion;
use super::graph::Graph;
use super::support;
use super::tensor::{Id, MOST_SOURCES, Op, Sources, Tensor};

/// Copies of each input for pipeline parallelism (`GGML_SCHED_MAX_COPIES`).
const PIPELINE_COPIES: usize = 4;

/// The backends: GPUs in their order, and the CPU behind them.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Compute capability × 100 of each GPU.
    pub capabilities: Vec<u32>,
    /// Are the layers of several GPUs computed as a pipeline?
    pub pipeline: bool,
    /// Are large batches computed on a GPU even if the weight lies in host memory?
    pub offload_ops: bool,
}

impl Machine {
    pub(crate) fn gpus(&self) -> usize {
        self.capabilities.len()
    }

    /// The number of the CPU's backend.
    pub fn cpu(&self) -> usize {
        self.gpus()
    }

    /// The compute capability of a backend; `None` for the CPU.
    pub fn capability(&self, backend: usize) -> Option<u32> {
        self.capabilities.get(backend).copied()
    }

    fn copies(&self) -> usize {
        if self.pipeline { PIPELINE_COPIES } else { 1 }
    }

    pub(crate) fn runs(&self, graph: &Graph, tensor: &Tensor, backend: usize) -> bool {
        match self.capability(backend) {
            Some(capability) => support::cuda_runs(graph, tensor, backend, self.gpus(), capability),
            None => true,
        }
    }
}

/// A graph that was split over the backends.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Bytes of each backend's compute buffer; the CPU's is last.
    pub bytes: Vec<u64>,
    /// Number of splits.
    pub splits: usize,
    /// Number of nodes before the scheduler added its own.
    pub nodes: usize,
    /// The backend of each tensor.
    pub backends: Vec<Option<usize>>,
}

/// Nodes of one backend that follow each other.
#[derive(Debug)]
struct Split {
    backend: usize,
    start: usize,
    end: usize,
    inputs: Vec<Id>,
}

struct Scheduler<'a> {
    graph: &'a mut Graph,
    machine: &'a Machine,
    backends: Vec<Option<usize>>,
    splits: Vec<Split>,
    /// Copies of a tensor on a backend.
    copies: HashMap<(Id, usize), Vec<Id>>,
    /// Inputs of the graph that have copies for the pipeline, in the order in which they were found.
    graph_inputs: Vec<Id>,
}

/// Splits the graph over the backends and places its tensors.
pub(crate) fn schedule(graph: &mut Graph, machine: &Machine) -> Schedule {
    let mut backends = vec![None; graph.tensors.len()];
    for (id, backend) in &graph.pinned {
        backends[id.index()] = Some(*backend);
    }
    let mut scheduler = Scheduler {
        graph,
        machine,
        backends,
        splits: Vec::new(),
        copies: HashMap::new(),
        graph_inputs: Vec::new(),
    };
    scheduler.assign();
    scheduler.split();
    let nodes = scheduler.graph.nodes.len();
    let (leafs, placed) = scheduler.ordered();
    Schedule {
        bytes: allocator::sizes(scheduler.graph, machine, &leafs, &placed),
        splits: scheduler.splits.len(),
        nodes,
        backends: scheduler.backends,
    }
}

impl Scheduler<'_> {
    fn backend(&self, id: Id) -> Option<usize> {
        self.backends.get(id.index()).copied().flatten()
    }

    /// The backend in whose memory the tensor, or the one that it is a view of, lies; if that backend runs `op`.
    fn home(&self, id: Id, op: &Tensor) -> Option<usize> {
        let tensor = self.graph.get(id);
        let home = tensor.view.map_or(tensor.home, |(of, _)| self.graph.get(of).home)?;
        self.machine.runs(self.graph, op, home).then_some(home)
    }

    /// The backend that a tensor has by itself (`ggml_backend_sched_backend_id_from_cur`).
    fn own(&self, id: Id) -> Option<usize> {
        let tensor = self.graph.get(id);
        if let Some(home) = self.home(id, tensor) {
            return Some(home);
        }
        if tensor.input {
            return Some(self.machine.cpu());
        }
        // The frequencies of RoPE and the sinks of attention are too small to decide.
        if matches!(tensor.op, Op::Rope | Op::FlashAttention) {
            return None;
        }
        let weight = tensor.src.as_slice().iter().copied().find(|source| self.graph.get(*source).weight)?;
        let home = self.home(weight, tensor);
        if self.machine.offload_ops && home == Some(self.machine.cpu()) && support::offloads(tensor) {
            let gpu = (0..self.machine.gpus()).find(|gpu| self.machine.runs(self.graph, tensor, *gpu));
            return gpu.or(home);
        }
        home
    }

    fn assign(&mut self) {
        for order in [self.graph.leafs.clone(), self.graph.nodes.clone()] {
            for id in order {
                if self.backend(id).is_none() {
                    self.backends[id.index()] = self.own(id);
                }
            }
        }
        // GPUs spread first, down and then up, and then what is left.
        self.spread(false, true);
        self.spread(true, true);
        self.spread(false, false);
        self.spread(true, false);
        self.best_by_inputs();
        self.rest();
    }

    /// Gives nodes the backend of their neighbour. `gpus`: the CPU does not spread.
    fn spread(&mut self, up: bool, gpus: bool) {
        let mut current = None;
        for step in 0..self.graph.nodes.len() {
            let index = if up { self.graph.nodes.len() - 1 - step } else { step };
            let id = self.graph.nodes[index];
            if self.graph.get(id).op.is_view() {
                continue;
            }
            match (self.backend(id), current) {
                (Some(backend), _) => {
                    current = Some(backend).filter(|backend| !gpus || *backend != self.machine.cpu())
                }
                (None, Some(backend)) if self.machine.runs(self.graph, self.graph.get(id), backend) => {
                    self.backends[id.index()] = Some(backend);
                }
                _ => {}
            }
        }
    }

    /// Is the memory of a tensor one that the backend can use?
    fn usable(&self, id: Id, backend: usize) -> bool {
        let tensor = self.graph.get(id);
        let root = tensor.view.map(|(of, _)| of);
        let home = root.map_or(tensor.home, |root| self.graph.get(root).home);
        let at = home.or(self.backend(id)).or(root.and_then(|root| self.backend(root)));
        at == Some(backend)
    }

    /// Nodes that no neighbour could give a backend take the one that can use the most of their sources.
    fn best_by_inputs(&mut self) {
        for id in self.graph.nodes.clone() {
            let tensor = *self.graph.get(id);
            if tensor.op.is_view() || self.backend(id).is_some() {
                continue;
            }
            let mut best: Option<(usize, usize)> = None;
            for backend in 0..=self.machine.cpu() {
                if self.machine.runs(self.graph, &tensor, backend) {
                    let usable =
                        tensor.src.as_slice().iter().filter(|source| self.usable(**source, backend)).count();
                    if best.is_none_or(|(_, most)| usable > most) {
                        best = Some((backend, usable));
                    }
                }
            }
            self.backends[id.index()] = best.map(|(backend, _)| backend);
        }
    }

    /// Views take the backend of what they look at, and sources without one that of their reader.
    fn rest(&mut self) {
        for id in self.graph.nodes.clone() {
            let tensor = *self.graph.get(id);
            if self.backend(id).is_none() {
                self.backends[id.index()] = tensor.view.and_then(|(of, _)| self.backend(of));
            }
            let own = self.backend(id);
            for source in tensor.src.as_slice() {
                if self.backend(*source).is_none() {
                    let of = self.graph.get(*source).view.map(|(of, _)| of);
                    self.backends[source.index()] = of.map_or(own, |of| self.backend(of));
                }
            }
            if self.backend(id).is_none() {
                let first =
                    (0..=self.machine.cpu()).find(|backend| self.machine.runs(self.graph, &tensor, *backend));
                self.backends[id.index()] = first;
            }
        }
    }

    fn split(&mut self) {
        let nodes = self.graph.nodes.clone();
        let Some(first) = nodes.iter().position(|id| !self.graph.get(*id).op.is_view()) else { return };
        let backend = self.backend(nodes[first]).unwrap_or(self.machine.cpu());
        let mut split = Split { backend, start: 0, end: 0, inputs: Vec::new() };
        for (index, id) in nodes.iter().enumerate().skip(first) {
            if self.graph.get(*id).op.is_view() {
                continue;
            }
            let backend = self.backend(*id).unwrap_or(self.machine.cpu());
            if backend != split.backend || (!split.inputs.is_empty() && self.reads_far_weight(*id, backend)) {
                let next = Split { backend, start: index, end: 0, inputs: Vec::new() };
                let done = std::mem::replace(&mut split, next);
                self.splits.push(Split { end: index, ..done });
            }
            self.copy_sources(*id, &mut split);
        }
        self.splits.push(Split { end: nodes.len(), ..split });
    }

    /// A weight from another memory begins a split, so that the memory of the one before is free again.
    fn reads_far_weight(&self, id: Id, backend: usize) -> bool {
        self.graph.get(id).src.as_slice().iter().any(|source| {
            self.graph.get(*source).weight
                && self.backend(*source) != Some(backend)
                && !self.usable(*source, backend)
        })
    }

    /// Replaces the sources that the split's backend cannot read by copies.
    fn copy_sources(&mut self, id: Id, split: &mut Split) {
        let mut sources = self.graph.get(id).src;
        for source in sources.as_mut_slice() {
            let at = self.backend(*source);
            if self.graph.get(*source).input && self.machine.copies() > 1 {
                self.copy_for_pipeline(*source, at.unwrap_or(self.machine.cpu()));
            }
            if at == Some(split.backend) || self.usable(*source, split.backend) {
                continue;
            }
            let key = (*source, split.backend);
            if !self.copies.contains_key(&key) {
                let several = self.machine.copies() > 1;
                let made = (0..self.machine.copies())
                    .map(|_| self.duplicate(*source, split.backend, several))
                    .collect();
                self.copies.insert(key, made);
                split.inputs.push(*source);
            }
            if let Some(copy) = self.copies.get(&key).and_then(|made| made.first()) {
                *source = *copy;
            }
        }
        self.graph.get_mut(id).src = sources;
    }

    fn copy_for_pipeline(&mut self, source: Id, backend: usize) {
        let key = (source, backend);
        if self.copies.contains_key(&key) {
            return;
        }
        // The tensor itself is the current copy. None of them may be overwritten.
        let mut made = vec![source];
        self.graph.get_mut(source).output = true;
        made.extend((1..self.machine.copies()).map(|_| self.duplicate(source, backend, true)));
        self.copies.insert(key, made);
        self.graph_inputs.push(source);
    }

    /// A tensor with the same layout on a backend. `kept`: its memory is never reused.
    fn duplicate(&mut self, of: Id, backend: usize, kept: bool) -> Id {
        let tensor = *self.graph.get(of);
        let id = self.graph.add(Tensor {
            op: Op::None,
            src: Sources::NONE,
            view: None,
            home: None,
            weight: false,
            input: kept,
            output: kept,
            ..tensor
        });
        self.backends.push(Some(backend));
        id
    }

    /// A node without an op that holds `kept` alive until it is passed.
    fn holder(&mut self, kept: &[Id]) -> Id {
        let first = kept.first().copied().unwrap_or(Id(0));
        let tensor = *self.graph.get(first);
        let view = Some(tensor.view.unwrap_or((first, 0)));
        let id = self.graph.add(Tensor {
            op: Op::None,
            src: Sources::of(kept),
            view,
            home: None,
            weight: false,
            input: false,
            output: false,
            ..tensor
        });
        self.backends.push(None);
        id
    }

    /// Leafs and nodes in the allocator's order, with the copies and holders that the scheduler adds.
    fn ordered(&mut self) -> (Vec<Placed>, Vec<Placed>) {
        let kept = self.kept();
        let nodes = self.graph.nodes.clone();
        let mut placed = Vec::with_capacity(nodes.len() * 2);
        for index in 0..self.splits.len() {
            let (backend, range) =
                (self.splits[index].backend, self.splits[index].start..self.splits[index].end);
            for input in self.splits[index].inputs.clone() {
                let holder = self.holder(&[input]);
                placed.push((holder, self.backend(input).unwrap_or(self.machine.cpu())));
                if let Some(copy) = self.copies.get(&(input, backend)).and_then(|made| made.first()) {
                    placed.push((*copy, backend));
                }
            }
            for id in nodes.get(range).unwrap_or_default() {
                placed.push((*id, self.backend(*id).unwrap_or(self.machine.cpu())));
                for group in kept.get(id).map_or(&[][..], Vec::as_slice).chunks(MOST_SOURCES) {
                    placed.push((self.holder(group), backend));
                }
            }
        }
        (self.ordered_leafs(), placed)
    }

    /// What CUDA's fused kernels keep alive longer, by the node until which they do.
    fn kept(&self) -> BTreeMap<Id, Vec<Id>> {
        let mut kept = BTreeMap::new();
        for split in &self.splits {
            if split.backend < self.machine.gpus() {
                let nodes = self.graph.nodes.get(split.start..split.end).unwrap_or_default();
                fusion::keep(self.graph, nodes, &mut kept);
            }
        }
        kept
    }

    fn ordered_leafs(&self) -> Vec<Placed> {
        let mut leafs = Vec::new();
        if self.machine.copies() > 1 {
            for input in &self.graph_inputs {
                let backend = self.backend(*input).unwrap_or(self.machine.cpu());
                let made = self.copies.get(&(*input, backend)).map_or(&[][..], Vec::as_slice);
                leafs.extend(made.iter().map(|copy| (*copy, backend)));
            }
            for split in &self.splits {
                for input in &split.inputs {
                    let made = self.copies.get(&(*input, split.backend)).map_or(&[][..], Vec::as_slice);
                    leafs.extend(made.iter().map(|copy| (*copy, split.backend)));
                }
            }
        }
        leafs.extend(
            self.graph.leafs.iter().map(|leaf| (*leaf, self.backend(*leaf).unwrap_or(self.machine.cpu()))),
        );
        leafs
    }
}
