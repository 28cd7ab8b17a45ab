//! The imagined GPU: it allocates blocks, writes the trace, and knows the op, the module and the stream that allocate.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use brimful_devices::Processor;
use brimful_trace::{
    Allocation, AllocationId, Category, Context, Event, LaneId, Origin, PhaseKind, StrId, TensorInfo, Trace,
};
use brimful_units::{Bytes, Dtype, Shape};
use rustc_hash::FxHashMap;

use crate::StepError;
use crate::autocast::Autocast;
use crate::autograd::SavedTensorHooks;
use crate::rules::{CublasWorkspace, TorchRules};
use crate::tensor::Tensor;

/// A run with more allocations would need gigabytes and minutes to simulate.
const MOST_ALLOCATIONS: usize = 1 << 24;

/// The stream that PyTorch runs on if the program opens no other.
pub(crate) const DEFAULT_STREAM: u16 = 0;

/// A handle to the imagined GPU and to the state that PyTorch keeps per thread.
#[derive(Clone)]
pub(crate) struct Device(Rc<State>);

struct State {
    properties: Processor,
    rules: TorchRules,
    /// The threads and streams that hold a cuBLAS workspace.
    workspaces: RefCell<Vec<(Thread, u16)>>,
    trace: RefCell<Trace>,
    /// The first thing that makes the run's result void.
    fault: RefCell<Option<StepError>>,
    scope: Cell<Scope>,
    /// The current stream (`torch.cuda.current_stream()`), as the trace numbers streams.
    stream: Cell<u16>,
    op_names: RefCell<FxHashMap<*const u8, StrId>>,
    grad_enabled: Cell<bool>,
    next_sequence: Cell<u64>,
    autocast: RefCell<Option<Autocast>>,
    hooks: RefCell<Vec<SavedTensorHooks>>,
    /// A recomputation has all that it needs: the rest of it allocates nothing.
    stopped: Cell<bool>,
    /// The run is over: what the program frees from now on is not part of it.
    ended: Cell<bool>,
    /// What is called around the model's layers.
    units: RefCell<Option<Rc<dyn Units>>>,
}

/// What is called around each layer that gradient checkpointing may wrap, outside of the checkpoint: transformers 5.23
/// checkpoints `forward`, and so hooks do not run again in the backward.
pub(crate) trait Units {
    /// Before the call: what the layer is given in the place of these tensors.
    fn enter(&self, layer: &str, inputs: Vec<Tensor>) -> Vec<Tensor>;

    /// After the call, which has returned these tensors.
    fn leave(&self, layer: &str, outputs: &[Tensor]);
}

/// What allocations are made by at this moment.
#[derive(Clone, Copy, Default)]
struct Scope {
    module: StrId,
    op: StrId,
    node: StrId,
    /// A module runs inside the backward: gradient checkpointing.
    recomputing: bool,
    in_backward: bool,
}

/// A host thread that launches kernels: the program's, or the autograd engine's for this GPU.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Program,
    Engine,
}

/// Ends the innermost scope when dropped.
pub(crate) struct ScopeGuard {
    device: Device,
    before: Scope,
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        self.device.0.scope.set(self.before);
    }
}

/// Sets a flag back when dropped.
pub(crate) struct GradModeGuard {
    device: Device,
    before: bool,
}

impl Drop for GradModeGuard {
    fn drop(&mut self) {
        self.device.0.grad_enabled.set(self.before);
    }
}

/// Goes back to the stream before when dropped.
pub(crate) struct StreamGuard {
    device: Device,
    before: u16,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.device.0.stream.set(self.before);
    }
}

impl Device {
    /// A GPU with an empty trace.
    pub fn new(properties: Processor, rules: TorchRules) -> Self {
        Device(Rc::new(State {
            properties,
            rules,
            workspaces: RefCell::default(),
            trace: RefCell::new(Trace::new(Origin::Predicted)),
            fault: RefCell::new(None),
            scope: Cell::new(Scope::default()),
            stream: Cell::new(DEFAULT_STREAM),
            op_names: RefCell::new(FxHashMap::default()),
            grad_enabled: Cell::new(true),
            next_sequence: Cell::new(0),
            autocast: RefCell::new(None),
            hooks: RefCell::new(Vec::new()),
            stopped: Cell::new(false),
            ended: Cell::new(false),
            units: RefCell::new(None),
        }))
    }

    /// What the kernels' own buffers depend on.
    pub fn properties(&self) -> Processor {
        self.0.properties
    }

    /// What depends on the version of torch.
    pub fn rules(&self) -> &TorchRules {
        &self.0.rules
    }

    /// The workspace of a cuBLAS call.
    pub fn cublas_workspace(&self) {
        let bytes = self.rules().cublas_workspace_bytes(self.properties().compute_capability);
        match self.rules().cublas_workspace {
            CublasWorkspace::Call { .. } => self.kernel_buffer(bytes.get()),
            CublasWorkspace::Held => self.hold_workspace(bytes),
        }
    }

    /// The workspace of a cuBLASLt call.
    pub fn cublaslt_workspace(&self) {
        match self.rules().cublas_workspace {
            CublasWorkspace::Call { lt } => self.kernel_buffer(lt.get()),
            CublasWorkspace::Held => self.cublas_workspace(),
        }
    }

    /// Takes a workspace unless this thread and stream have one; nobody gives it back.
    fn hold_workspace(&self, bytes: Bytes) {
        let thread = if self.0.scope.get().in_backward { Thread::Engine } else { Thread::Program };
        let key = (thread, self.0.stream.get());
        if self.0.workspaces.borrow().contains(&key) || self.0.stopped.get() {
            return;
        }
        self.alloc(bytes, Category::KernelBuffer);
        self.0.workspaces.borrow_mut().push(key);
    }

    /// Takes the trace out, unless the run failed.
    pub fn finish(&self) -> Result<Trace, StepError> {
        match self.0.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(self.0.trace.take()),
        }
    }

    /// Voids the run; it goes on without allocating, and loops look at [`Device::failed`].
    pub fn fail(&self, fault: StepError) {
        self.0.fault.borrow_mut().get_or_insert(fault);
        self.0.stopped.set(true);
    }

    /// Whether the run is void.
    pub fn failed(&self) -> bool {
        self.0.fault.borrow().is_some()
    }

    /// Allocates a block for a tensor; `None` for an empty one, which PyTorch gives no memory.
    pub fn alloc_tensor(&self, shape: &Shape, dtype: Dtype) -> Option<AllocationId> {
        let bytes = self.bytes_of(shape, dtype);
        let id = self.alloc(bytes, Category::Unknown)?;
        let tensor = TensorInfo { shape: shape.clone(), dtype };
        self.0.trace.borrow_mut().describe(id, tensor);
        Some(id)
    }

    /// A kernel's own buffer of `bytes` bytes, for as long as the kernel runs.
    pub fn kernel_buffer(&self, bytes: u64) {
        if let Some(id) = self.alloc(Bytes::new(bytes), Category::KernelBuffer) {
            self.free(id);
        }
    }

    /// A kernel's own buffer of `bytes` bytes that lives until the guard is dropped.
    pub fn hold_kernel_buffer(&self, bytes: u64) -> KernelBuffer {
        KernelBuffer { device: self.clone(), block: self.alloc(Bytes::new(bytes), Category::KernelBuffer) }
    }

    fn bytes_of(&self, shape: &Shape, dtype: Dtype) -> Bytes {
        shape.bytes(dtype).unwrap_or_else(|_| {
            self.fail(StepError::TooLarge);
            Bytes::ZERO
        })
    }

    /// `a * b`; an overflow voids the run instead of wrapping.
    pub fn mul(&self, a: u64, b: u64) -> u64 {
        a.checked_mul(b).unwrap_or_else(|| {
            self.fail(StepError::TooLarge);
            0
        })
    }

    fn alloc(&self, bytes: Bytes, category: Category) -> Option<AllocationId> {
        if bytes == Bytes::ZERO || self.0.stopped.get() {
            return None;
        }
        if self.0.trace.borrow().allocations.len() >= MOST_ALLOCATIONS {
            self.fail(StepError::TooLong);
            return None;
        }
        let scope = self.0.scope.get();
        let mut trace = self.0.trace.borrow_mut();
        let context = trace.contexts.context(Context {
            module: scope.module,
            op: scope.op,
            node: scope.node,
            ..Context::default()
        });
        let category = match category {
            Category::Unknown if scope.recomputing => Category::Recompute,
            other => other,
        };
        Some(trace.alloc(Allocation {
            bytes,
            category,
            context,
            // A predicted trace has one pool, and so a lane for each stream.
            lane: LaneId(self.0.stream.get()),
            ..Allocation::default()
        }))
    }

    /// Frees a block. After [`Device::end`] nothing is recorded.
    pub fn free(&self, id: AllocationId) {
        if !self.0.ended.get() {
            self.0.trace.borrow_mut().free(id);
        }
    }

    /// Ends the recording: the model is still alive, as at the end of a script's loop.
    pub fn end(&self) {
        self.0.ended.set(true);
    }

    /// What a block is for.
    pub fn category(&self, id: AllocationId) -> Category {
        self.0.trace.borrow().allocations.category(id)
    }

    /// Shape and dtype of every block in memory that is for `category`, in the order in which they were made.
    pub fn held(&self, category: Category) -> Vec<TensorInfo> {
        let trace = self.0.trace.borrow();
        let mut held: BTreeMap<AllocationId, TensorInfo> = BTreeMap::new();
        for event in trace.events() {
            match event {
                Event::Alloc(id) if trace.allocations.category(id) == category => {
                    held.extend(trace.tensor(id).map(|tensor| (id, tensor.clone())));
                }
                Event::Free(id) => drop(held.remove(&id)),
                _ => {}
            }
        }
        held.into_values().collect()
    }

    /// Sets what a block is for.
    pub fn categorize(&self, id: AllocationId, category: Category) {
        self.0.trace.borrow_mut().categorize(id, category);
    }

    /// Ends the phase before and begins another.
    pub fn begin_phase(&self, kind: PhaseKind, name: &str) {
        self.0.trace.borrow_mut().begin_phase(kind, name);
    }

    /// `torch.cuda.empty_cache()`.
    pub fn empty_cache(&self) {
        self.0.trace.borrow_mut().push(Event::EmptyCache);
    }

    fn intern(&self, text: &str) -> StrId {
        self.0.trace.borrow_mut().contexts.intern(text)
    }

    /// Names are static: their address finds them faster than their text.
    fn intern_static(&self, text: &'static str) -> StrId {
        let found = self.0.op_names.borrow().get(&text.as_ptr()).copied();
        found.unwrap_or_else(|| {
            let id = self.intern(text);
            self.0.op_names.borrow_mut().insert(text.as_ptr(), id);
            id
        })
    }

    fn enter(&self, change: impl FnOnce(&mut Scope)) -> ScopeGuard {
        let before = self.0.scope.get();
        let mut scope = before;
        change(&mut scope);
        self.0.scope.set(scope);
        ScopeGuard { device: self.clone(), before }
    }

    /// Allocations belong to this op until the guard is dropped; of nested ops the innermost.
    pub fn op(&self, name: &'static str) -> ScopeGuard {
        let op = self.intern_static(name);
        self.enter(|scope| scope.op = op)
    }

    /// Allocations belong to this module until the guard is dropped.
    pub fn module(&self, path: &Rc<str>) -> ScopeGuard {
        let module = self.intern(path);
        self.enter(|scope| {
            scope.module = module;
            scope.recomputing = scope.in_backward;
        })
    }

    /// `with torch.cuda.stream(…)`: allocations belong to this stream until the guard is dropped. A block stays with the
    /// stream that it was allocated on.
    pub fn stream(&self, stream: u16) -> StreamGuard {
        let before = self.0.stream.replace(stream);
        StreamGuard { device: self.clone(), before }
    }

    /// Whether a backward runs.
    pub fn in_backward(&self) -> bool {
        self.0.scope.get().in_backward
    }

    /// What is called around the model's layers, if anything is.
    pub fn units(&self) -> Option<Rc<dyn Units>> {
        self.0.units.borrow().clone()
    }

    /// Has this called around the model's layers from now on.
    pub fn set_units(&self, units: Option<Rc<dyn Units>>) {
        drop(self.0.units.replace(units));
    }

    /// The module whose forward runs; none for a block that runs again in the backward.
    pub fn current_module(&self) -> StrId {
        let scope = self.0.scope.get();
        if scope.in_backward { StrId::default() } else { scope.module }
    }

    /// Runs an autograd node in the name of the module whose forward made it.
    pub fn node(&self, name: &'static str, module: StrId) -> ScopeGuard {
        let node = self.intern_static(name);
        self.enter(|scope| {
            scope.node = node;
            scope.op = node;
            scope.module = module;
            scope.in_backward = true;
            scope.recomputing = false;
        })
    }

    /// From here to [`Device::resume`] nothing is allocated: where Python raises to leave a
    /// recomputation early, the rest of the block runs without effect.
    pub fn stop(&self) {
        self.0.stopped.set(true);
    }

    /// Whether a recomputation has ended early, or the run is void.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.get()
    }

    /// Allocates again, unless the run is void.
    pub fn resume(&self) {
        self.0.stopped.set(self.failed());
    }

    /// `torch.is_grad_enabled()`.
    pub fn grad_enabled(&self) -> bool {
        self.0.grad_enabled.get()
    }

    /// `torch.set_grad_enabled(enabled)` until the guard is dropped.
    pub fn set_grad_enabled(&self, enabled: bool) -> GradModeGuard {
        let before = self.0.grad_enabled.replace(enabled);
        GradModeGuard { device: self.clone(), before }
    }

    /// The number of the next autograd node: later nodes run earlier in the backward.
    pub fn next_sequence(&self) -> u64 {
        let number = self.0.next_sequence.get();
        self.0.next_sequence.set(number + 1);
        number
    }

    /// The open autocast region, innermost.
    pub fn autocast(&self) -> &RefCell<Option<Autocast>> {
        &self.0.autocast
    }

    /// The stack of saved-tensor hooks; the last is the one that is called.
    pub fn hooks(&self) -> &RefCell<Vec<SavedTensorHooks>> {
        &self.0.hooks
    }
}

/// A kernel's buffer that outlives one call; freed when dropped.
pub(crate) struct KernelBuffer {
    device: Device,
    block: Option<AllocationId>,
}

impl Drop for KernelBuffer {
    fn drop(&mut self) {
        if let Some(id) = self.block.take() {
            self.device.free(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Device {
        /// An A100.
        pub fn for_tests() -> Device {
            Device::new(
                Processor { compute_capability: (8, 0), multiprocessors: 108 },
                TorchRules::of(brimful_jobs::TorchRules::V2_15, brimful_jobs::CudnnRules::V9_26),
            )
        }
    }

    #[test]
    fn allocations_carry_the_stream_whose_guard_is_innermost() {
        let device = Device::for_tests();
        let _outer = device.stream(DEFAULT_STREAM);
        device.kernel_buffer(1);
        {
            let _inner = device.stream(7);
            device.kernel_buffer(2);
        }
        device.kernel_buffer(3);
        let trace = device.finish().unwrap();
        let streams: Vec<u16> = trace.allocations.ids().map(|id| trace.allocations.get(id).lane.0).collect();
        assert_eq!(streams, [0, 7, 0]);
    }
}
