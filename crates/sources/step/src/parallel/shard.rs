//! A parameter of which each rank keeps a part (torch/distributed/fsdp/_fully_shard/_fsdp_param.py, torch 2.15).

use std::cell::RefCell;
use std::rc::Rc;

use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use crate::StepError;
use crate::device::Device;
use crate::nn::Parameter;
use crate::ops;
use crate::tensor::{GradDtype, Tensor, contiguous_strides};

/// `FSDPParam`. Parameters are split by their rows, and rank 0 has as many as any other.
pub(super) struct ShardedParameter {
    parameter: Rc<Parameter>,
    /// This rank's rows.
    local: Tensor,
    /// The shape of the whole.
    shape: Shape,
    compute_dtype: Dtype,
    /// The dtype in which gradients of the whole are added up.
    grad_dtype: Dtype,
    /// The whole, which has memory only while it is needed; `None` before it was gathered for the first time.
    whole: RefCell<Option<Tensor>>,
}

impl ShardedParameter {
    /// `_init_sharded_param`. The caller drops the original by [`ShardedParameter::to_sharded`].
    pub fn new(
        device: &Device,
        parameter: Rc<Parameter>,
        world: u64,
        param_dtype: Option<Dtype>,
        reduce_dtype: Option<Dtype>,
    ) -> ShardedParameter {
        let original = parameter.tensor();
        let (shape, dtype) = (original.shape().clone(), original.dtype());
        let mut rows = shape.clone();
        if shape.rank() == 0 {
            device.fail(StepError::Unsupported {
                key: "parallel.shard",
                value: "fsdp2".to_owned(),
                cure: "torch refuses it: a parameter of the model is a single number, which has no rows to split",
            });
        } else {
            rows[0] = shape[0].div_ceil(world);
        }
        let local = ops::new_tensor(device, "zeros", rows, dtype);
        local.categorize(Category::Parameter);
        if parameter.requires_grad() {
            local.require_grad();
        }
        ShardedParameter {
            parameter,
            local,
            shape,
            compute_dtype: param_dtype.unwrap_or(dtype),
            grad_dtype: reduce_dtype.unwrap_or(dtype),
            whole: RefCell::default(),
        }
    }

    /// The elements of each rank's part; the last ranks' are filled up.
    pub fn part(&self) -> u64 {
        self.local.numel()
    }

    /// Whether the last ranks have fewer rows.
    pub fn is_uneven(&self, world: u64) -> bool {
        self.shape.dims().first().is_some_and(|rows| !rows.is_multiple_of(world))
    }

    /// The part's bytes in the dtype of computation.
    pub fn part_bytes(&self) -> u64 {
        Shape::from([self.part()]).bytes(self.compute_dtype).map_or(u64::MAX, |bytes| bytes.get())
    }

    /// The dtype in which the part is kept.
    pub fn dtype(&self) -> Dtype {
        self.local.dtype()
    }

    /// The dtype of the whole.
    pub fn compute_dtype(&self) -> Dtype {
        self.compute_dtype
    }

    /// Whether the whole has another dtype than the part.
    pub fn is_converted(&self) -> bool {
        self.compute_dtype != self.dtype()
    }

    /// Whether the parameter is trained.
    pub fn is_trained(&self) -> bool {
        self.parameter.requires_grad()
    }

    /// `init_all_gather_outputs` and `alloc_all_gather_outputs`: memory for the whole, filled up to equal parts.
    pub fn allocate(&self, device: &Device, world: u64) {
        let numel = device.mul(self.part(), world);
        let mut whole = self.whole.borrow_mut();
        if let Some(whole) = &*whole {
            let _op = device.op("resize_");
            whole.alloc_storage(numel);
            whole.categorize(Category::Parameter);
            return;
        }
        let flat = ops::new_tensor(device, "empty", [numel], self.compute_dtype);
        flat.categorize(Category::Parameter);
        let made = flat.unsafe_view_as(self.shape.clone(), contiguous_strides(&self.shape));
        if self.is_trained() {
            made.require_grad();
            made.set_grad_dtype(GradDtype::Given(self.grad_dtype));
        }
        *whole = Some(made);
    }

    /// The modules have the whole.
    pub fn to_unsharded(&self) {
        if let Some(whole) = &*self.whole.borrow() {
            self.parameter.register(whole.clone());
        }
    }

    /// The modules and the optimizer have the part, and the whole has no memory.
    pub fn to_sharded(&self) {
        self.parameter.register(self.local.clone());
        if let Some(whole) = &*self.whole.borrow() {
            whole.free_storage();
        }
    }

    /// Whether gradients are added up in a wider dtype than that of computation.
    fn is_widened(&self) -> bool {
        self.is_trained() && self.grad_dtype.size() > self.compute_dtype.size()
    }

    /// `_set_unsharded_grad_dtypes(defer_upcast=True)`: the copy into the reduction's input converts the gradient.
    pub fn defer_upcast(&self, reduces: bool) {
        if let Some(whole) = &*self.whole.borrow()
            && self.is_widened()
            && (reduces || whole.has_grad())
        {
            whole.set_grad_dtype(GradDtype::Any);
        }
    }

    /// `_set_unsharded_grad_dtypes(defer_upcast=False)`: a gradient that stays is converted now.
    pub fn upcast(&self) {
        let whole = self.whole.borrow();
        let Some(whole) = whole.as_ref().filter(|_| self.is_widened()) else { return };
        if let Some(grad) = whole.grad().filter(|grad| grad.dtype() != self.grad_dtype) {
            let wider = ops::to(grad, self.grad_dtype);
            wider.categorize(Category::Gradient);
            whole.set_grad(Some(wider));
        }
        whole.set_grad_dtype(GradDtype::Given(self.grad_dtype));
    }

    /// Takes the gradient of the whole.
    pub fn take_grad(&self) -> Option<Tensor> {
        let whole = self.whole.borrow();
        let whole = whole.as_ref()?;
        let grad = whole.grad();
        whole.set_grad(None);
        grad
    }

    /// Adds a reduced gradient, which is a view into the unit's, to that of the part.
    pub fn add_grad(&self, reduced: &Tensor) {
        if !self.local.has_grad() {
            let shape = self.local.shape().clone();
            let strides = contiguous_strides(&shape);
            self.local.set_grad(Some(reduced.unsafe_view_as(shape, strides)));
        }
    }
}
