//! Tensors with a shape, strides, a dtype and a reference count, but no data.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use brimful_trace::{AllocationId, Category};
use brimful_units::{Dtype, Shape};
use smallvec::SmallVec;

use crate::autograd::{AccumulateGrad, Edge, Node, Target};
use crate::device::Device;

/// A block of device memory: its birth allocates, its last drop frees.
pub(crate) struct Storage {
    device: Device,
    /// In a cell, since a storage may give its memory back and take other memory while tensors hold it.
    block: Cell<Option<AllocationId>>,
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.device.free(block);
        }
    }
}

/// A counted reference to a tensor, as Python and C++ hold it.
#[derive(Clone)]
pub(crate) struct Tensor(Rc<TensorImpl>);

/// Fields drop in this order: `TensorImpl::release_resources` frees the autograd metadata before the storage
/// (c10/core/TensorImpl.cpp).
struct TensorImpl {
    gradient_edge: RefCell<GradientEdge>,
    grad: RefCell<Option<Tensor>>,
    storage: Rc<Storage>,
    shape: Shape,
    strides: Shape,
    dtype: Dtype,
    /// A view keeps the tensor alive that it looks into (`DifferentiableViewMeta` in
    /// torch/csrc/autograd/variable.h): its storage therefore counts as shared.
    base: Option<Tensor>,
}

/// What a leaf knows of its place in the graph.
struct Leaf {
    node: Weak<AccumulateGrad>,
    /// What is called after the gradient has come.
    hook: Option<LeafHook>,
    grad_dtype: GradDtype,
}

/// Which dtype the gradient of a leaf has (`grad_dtype`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GradDtype {
    /// That of the leaf.
    Own,
    /// This one; a gradient of another dtype is converted.
    Given(Dtype),
    /// That in which it comes.
    Any,
}

/// A hook on the end of the graph (`register_post_accumulate_grad_hook`, or a post hook of the node).
pub(crate) type LeafHook = Rc<dyn Fn()>;

/// Where the gradient of a tensor goes in the backward.
enum GradientEdge {
    None,
    /// The output of a recorded op.
    Interior(Edge),
    /// A parameter, or another tensor that collects its gradient in `.grad`.
    Leaf(Leaf),
}

/// Row-major strides.
pub(crate) fn contiguous_strides(shape: &Shape) -> Shape {
    let mut strides = Shape::filled(1, shape.rank());
    for at in (0..shape.rank().saturating_sub(1)).rev() {
        strides[at] = strides[at + 1].saturating_mul(shape[at + 1].max(1));
    }
    strides
}

impl Tensor {
    /// A new dense tensor in row-major order.
    pub fn empty(device: &Device, shape: impl Into<Shape>, dtype: Dtype) -> Tensor {
        let shape = shape.into();
        let strides = contiguous_strides(&shape);
        Tensor::empty_strided(device, shape, strides, dtype)
    }

    /// A new dense tensor with the given memory order.
    pub fn empty_strided(device: &Device, shape: Shape, strides: Shape, dtype: Dtype) -> Tensor {
        let block = device.alloc_tensor(&shape, dtype);
        let storage = Rc::new(Storage { device: device.clone(), block: Cell::new(block) });
        Tensor::over(storage, shape, strides, dtype, None)
    }

    fn over(
        storage: Rc<Storage>,
        shape: Shape,
        strides: Shape,
        dtype: Dtype,
        base: Option<Tensor>,
    ) -> Tensor {
        Tensor(Rc::new(TensorImpl {
            storage,
            shape,
            strides,
            dtype,
            base,
            gradient_edge: RefCell::new(GradientEdge::None),
            grad: RefCell::new(None),
        }))
    }

    /// A view with other dimensions; it keeps the viewed tensor alive.
    pub fn view_as(&self, shape: Shape, strides: Shape) -> Tensor {
        let base = self.0.base.clone().unwrap_or_else(|| self.clone());
        Tensor::over(self.0.storage.clone(), shape, strides, self.0.dtype, Some(base))
    }

    /// The same memory under other dimensions, without being a view (`_unsafe_view`).
    pub fn unsafe_view_as(&self, shape: Shape, strides: Shape) -> Tensor {
        Tensor::over(self.0.storage.clone(), shape, strides, self.0.dtype, None)
    }

    /// The same memory, cut off from autograd.
    pub fn detach(&self) -> Tensor {
        self.unsafe_view_as(self.0.shape.clone(), self.0.strides.clone())
    }

    /// A tensor of the same shape, strides and dtype that holds no memory: what stands for an output that an exception
    /// destroyed.
    pub fn without_memory(&self) -> Tensor {
        let storage = Rc::new(Storage { device: self.device().clone(), block: Cell::new(None) });
        Tensor::over(storage, self.0.shape.clone(), self.0.strides.clone(), self.0.dtype, None)
    }

    /// As [`Tensor::detach`], collecting a gradient of its own.
    pub fn detach_requiring_grad(&self, requires_grad: bool) -> Tensor {
        let out = self.detach();
        if requires_grad {
            out.require_grad();
        }
        out
    }

    /// The device that holds the storage.
    pub fn device(&self) -> &Device {
        &self.0.storage.device
    }

    /// The sizes by dimension, in elements.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// The strides by dimension, in elements.
    pub fn strides(&self) -> &Shape {
        &self.0.strides
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.0.dtype
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.shape.rank()
    }

    /// The size of dimension `at`, in elements.
    pub fn dim(&self, at: usize) -> u64 {
        self.0.shape[at]
    }

    /// The size of a dimension counted from the last, which is 0.
    pub fn last(&self, back: usize) -> u64 {
        self.0.shape.last(back)
    }

    /// The number of elements. A product beyond 64 bits voids the run.
    pub fn numel(&self) -> u64 {
        self.0.shape.dims().iter().fold(1, |n, d| self.device().mul(n, *d))
    }

    /// Whether the elements stand in row-major order without gaps. Dimensions of size 1 do not count.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1u64;
        for at in (0..self.rank()).rev() {
            if self.dim(at) != 1 {
                if self.strides()[at] != expected {
                    return false;
                }
                expected = expected.saturating_mul(self.dim(at));
            }
        }
        true
    }

    /// Whether the elements fill their memory without gaps or overlaps, in any order.
    pub fn is_non_overlapping_and_dense(&self) -> bool {
        let mut dims: SmallVec<[(u64, u64); 5]> =
            (0..self.rank()).map(|at| (self.strides()[at], self.dim(at))).filter(|d| d.1 != 1).collect();
        dims.sort_unstable();
        let mut expected = 1u64;
        dims.iter().all(|(stride, size)| {
            let fits = *stride == expected;
            expected = expected.saturating_mul(*size);
            fits
        })
    }

    /// Identity of the tensor object, for autocast's cache.
    pub fn key(&self) -> *const () {
        Rc::as_ptr(&self.0).cast()
    }

    /// Whether it is a view to autograd (`_is_view()`).
    pub fn is_view(&self) -> bool {
        self.0.base.is_some()
    }

    /// The tensor that a view looks into.
    pub fn base(&self) -> Option<&Tensor> {
        self.0.base.as_ref()
    }

    /// Whether nobody else holds the tensor or its memory (`can_accumulate_inplace` in
    /// torch/csrc/autograd/input_buffer.cpp).
    pub fn is_sole_owner(&self) -> bool {
        Rc::strong_count(&self.0) == 1 && Rc::strong_count(&self.0.storage) == 1
    }

    /// The number of holders of the tensor object.
    pub fn use_count(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    /// `requires_grad`.
    pub fn requires_grad(&self) -> bool {
        !matches!(*self.0.gradient_edge.borrow(), GradientEdge::None)
    }

    /// `is_leaf`: no recorded op made it.
    pub fn is_leaf(&self) -> bool {
        !matches!(*self.0.gradient_edge.borrow(), GradientEdge::Interior(_))
    }

    /// Makes a leaf collect its gradient.
    pub fn require_grad(&self) {
        let mut edge = self.0.gradient_edge.borrow_mut();
        if matches!(*edge, GradientEdge::None) {
            *edge = GradientEdge::Leaf(Leaf { node: Weak::new(), hook: None, grad_dtype: GradDtype::Own });
        }
    }

    /// Makes this the `slot`-th output of a recorded op.
    pub fn set_grad_fn(&self, node: Rc<Node>, slot: usize) {
        *self.0.gradient_edge.borrow_mut() =
            GradientEdge::Interior(Edge { target: Target::Node(node), slot });
    }

    /// Where this tensor's gradient goes; `None` where it needs none.
    pub fn edge(&self) -> Option<Edge> {
        let mut edge = self.0.gradient_edge.borrow_mut();
        match &mut *edge {
            GradientEdge::None => None,
            GradientEdge::Interior(edge) => Some(edge.clone()),
            GradientEdge::Leaf(leaf) => {
                let node = leaf.node.upgrade().unwrap_or_else(|| {
                    let node = Rc::new(AccumulateGrad::new(self));
                    leaf.node = Rc::downgrade(&node);
                    node
                });
                Some(Edge { target: Target::Leaf(node), slot: 0 })
            }
        }
    }

    /// Has `hook` called whenever a backward has brought this leaf its gradient.
    pub fn on_gradient(&self, hook: LeafHook) {
        if let GradientEdge::Leaf(leaf) = &mut *self.0.gradient_edge.borrow_mut() {
            leaf.hook = Some(hook);
        }
    }

    /// `tensor.grad_dtype = …` of a leaf.
    pub fn set_grad_dtype(&self, dtype: GradDtype) {
        if let GradientEdge::Leaf(leaf) = &mut *self.0.gradient_edge.borrow_mut() {
            leaf.grad_dtype = dtype;
        }
    }

    /// The dtype to which the gradient of this leaf is converted; `None` if it stays as it comes.
    pub fn grad_dtype(&self) -> Option<Dtype> {
        match &*self.0.gradient_edge.borrow() {
            GradientEdge::Leaf(Leaf { grad_dtype: GradDtype::Given(dtype), .. }) => Some(*dtype),
            GradientEdge::Leaf(Leaf { grad_dtype: GradDtype::Any, .. }) => None,
            _ => Some(self.0.dtype),
        }
    }

    /// Has `hook` called when the gradient of this result of an op has come (`tensor.register_hook`).
    pub fn before_backward(&self, hook: LeafHook) {
        if let GradientEdge::Interior(Edge { target: Target::Node(node), slot }) =
            &*self.0.gradient_edge.borrow()
        {
            node.on_gradient(*slot, hook);
        }
    }

    /// `untyped_storage().resize_(0)`: the memory goes, and whoever holds the tensor holds none.
    pub fn free_storage(&self) {
        if let Some(block) = self.0.storage.block.take() {
            self.device().free(block);
        }
    }

    /// `untyped_storage().resize_(…)` of a tensor without memory, to so many elements.
    pub fn alloc_storage(&self, numel: u64) {
        if self.0.storage.block.get().is_none() {
            let block = self.device().alloc_tensor(&Shape::from([numel]), self.0.dtype);
            self.0.storage.block.set(block);
        }
    }

    /// What is called after a backward has brought this leaf its gradient.
    pub fn gradient_hook(&self) -> Option<LeafHook> {
        match &*self.0.gradient_edge.borrow() {
            GradientEdge::Leaf(leaf) => leaf.hook.clone(),
            GradientEdge::None | GradientEdge::Interior(_) => None,
        }
    }

    /// A reference that does not keep the tensor alive.
    pub(crate) fn downgrade(&self) -> WeakTensor {
        WeakTensor(Rc::downgrade(&self.0))
    }

    /// `grad`.
    pub fn grad(&self) -> Option<Tensor> {
        self.0.grad.borrow().clone()
    }

    /// Whether `grad` is set.
    pub fn has_grad(&self) -> bool {
        self.0.grad.borrow().is_some()
    }

    /// `tensor.grad = grad`.
    pub fn set_grad(&self, grad: Option<Tensor>) {
        let before = self.0.grad.replace(grad);
        // The old gradient is freed only after the cell is no longer borrowed.
        drop(before);
    }

    /// What the tensor's memory is for; `Unknown` if nothing has set it.
    pub fn category(&self) -> Category {
        self.0.storage.block.get().map_or(Category::Unknown, |block| self.device().category(block))
    }

    /// Sets what the tensor's memory is for.
    pub fn categorize(&self, category: Category) {
        if let Some(block) = self.0.storage.block.get() {
            self.device().categorize(block, category);
        }
    }
}

/// A reference that does not keep the tensor alive.
pub(crate) struct WeakTensor(std::rc::Weak<TensorImpl>);

impl WeakTensor {
    /// The tensor, if it is still alive.
    pub fn upgrade(&self) -> Option<Tensor> {
        self.0.upgrade().map(Tensor)
    }
}
