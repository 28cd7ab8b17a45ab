//! `DistributedDataParallel` (torch/nn/parallel/distributed.py) and its reducer (torch/csrc/distributed/c10d/reducer.cpp,
//! torch 2.15): gradients are copied into buckets, and each bucket is reduced as a whole.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use brimful_trace::{Category, TensorInfo};
use brimful_units::{Bytes, Dtype, Shape};

use crate::StepError;
use crate::device::Device;
use crate::models::Model;
use crate::nn::Parameter;
use crate::ops;
use crate::tensor::{Tensor, contiguous_strides};

/// `broadcast_bucket_size`: parameters and buffers go to the other ranks in parts of this many bytes.
const BROADCAST_BUCKET: u64 = 250 * 1024 * 1024;
/// `_DEFAULT_FIRST_BUCKET_BYTES` and `_DEFAULT_BUCKET_CAP_MB`: the first bucket is small, so that its reduction begins early.
const DEFAULT_BUCKETS: [u64; 2] = [1024 * 1024, 25 * 1024 * 1024];

/// A model whose gradients are reduced over all ranks.
pub(crate) struct Ddp {
    device: Device,
    /// Shape and dtype of the model's buffers, which each forward takes from rank 0.
    buffers: Vec<TensorInfo>,
    /// Whether the next forward does so: not after a forward whose gradients stay here.
    sends_buffers: Cell<bool>,
    bucket_cap_bytes: Option<u64>,
    gradient_as_bucket_view: bool,
    /// The parameters that are trained, in the order of the model.
    parameters: Vec<Rc<Parameter>>,
    buckets: RefCell<Vec<Bucket>>,
    /// The parameters in the order in which the last backward that reduces has had their gradients.
    ready: RefCell<Vec<usize>>,
    /// Whether the gradients of the running backward are reduced.
    synchronized: Cell<bool>,
    /// Whether the buckets are in the order in which gradients come.
    rebuilt: Cell<bool>,
}

/// Gradients that are reduced together.
struct Bucket {
    /// The parameters' places.
    members: Vec<usize>,
    gradients: Tensor,
}

impl Ddp {
    /// `DistributedDataParallel(model)`: parameters and buffers come from rank 0, then the buckets are made.
    pub fn around(
        model: &Model,
        device: &Device,
        bucket_cap_bytes: Option<u64>,
        gradient_as_bucket_view: bool,
    ) -> Rc<Ddp> {
        let buffers = device.held(Category::Buffer);
        let of_parameter = |parameter: &Rc<Parameter>| {
            let tensor = parameter.tensor();
            TensorInfo { shape: tensor.shape().clone(), dtype: tensor.dtype() }
        };
        let states: Vec<TensorInfo> =
            model.parameters.iter().map(of_parameter).chain(buffers.iter().cloned()).collect();
        broadcast_coalesced(device, &states);
        let ddp = Rc::new(Ddp {
            device: device.clone(),
            buffers,
            sends_buffers: Cell::new(true),
            bucket_cap_bytes,
            gradient_as_bucket_view,
            parameters: model.trained(),
            buckets: RefCell::default(),
            ready: RefCell::default(),
            synchronized: Cell::new(true),
            rebuilt: Cell::new(false),
        });
        // Until the order of gradients is known, one bucket of each dtype holds them all.
        let every: Vec<usize> = (0..ddp.parameters.len()).collect();
        let whole = assign(&ddp.sizes(&every), &[u64::MAX]);
        ddp.make_buckets(whole);
        for (at, parameter) in ddp.parameters.iter().enumerate() {
            let this = Rc::downgrade(&ddp);
            parameter.tensor().on_gradient(Rc::new(move || {
                if let Some(ddp) = this.upgrade() {
                    ddp.mark_ready(at);
                }
            }));
        }
        ddp
    }

    /// Dtype and bytes of parameters, each with its place.
    fn sizes(&self, places: &[usize]) -> Vec<(usize, Dtype, u64)> {
        let size = |at: &usize| {
            let tensor = self.parameters[*at].tensor();
            (*at, tensor.dtype(), bytes(tensor.shape(), tensor.dtype()))
        };
        places.iter().map(size).collect()
    }

    /// `_pre_forward` and `_post_forward`, between which no memory changes.
    pub fn before_forward(&self, synchronized: bool) {
        self.synchronized.set(synchronized);
        // Only a backward that reduces notes the order, and only the first one's counts.
        let ready = self.ready.take();
        if !ready.is_empty() {
            self.check_reduction(&ready);
            if !self.rebuilt.replace(true) {
                self.rebuild_buckets(&ready);
            }
        }
        if self.sends_buffers.get() && !self.buffers.is_empty() {
            broadcast_coalesced(&self.device, &self.buffers);
        }
        self.sends_buffers.set(synchronized);
    }

    /// `ensure_prior_reduction_finished`: each parameter has had its gradient, once.
    fn check_reduction(&self, ready: &[usize]) {
        let mut sorted = ready.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.parameters.len()) {
            self.device.fail(StepError::Unsupported {
                key: "parallel.shard",
                value: "ddp".to_owned(),
                cure: "torch refuses it: a step leaves a trained parameter without a gradient, or reduces one twice; DDP with \
                       find_unused_parameters = True is not simulated",
            });
        }
    }

    /// `rebuild_buckets`: new buckets in the order in which the first backward had its gradients.
    fn rebuild_buckets(&self, ready: &[usize]) {
        let assigned = match self.bucket_cap_bytes {
            Some(cap) => assign(&self.sizes(ready), &[cap]),
            None => assign(&self.sizes(ready), &DEFAULT_BUCKETS),
        };
        // `sync_bucket_indices`: rank 0 says which parameters go into which bucket.
        let indices = ops::new_tensor(&self.device, "empty", [ready.len() as u64 + 1], Dtype::I32);
        let sizes = ops::new_tensor(&self.device, "empty", [assigned.len() as u64], Dtype::I32);
        drop(sizes);
        drop(indices);
        // `buckets_.clear()`: the old ones go before the new ones come.
        drop(self.buckets.take());
        self.make_buckets(assigned);
    }

    /// `initialize_buckets`.
    fn make_buckets(&self, assigned: Vec<Vec<usize>>) {
        for members in assigned {
            let dtype = members.first().map_or(Dtype::F32, |at| self.parameters[*at].tensor().dtype());
            let numel =
                members.iter().fold(0u64, |n, at| n.saturating_add(self.parameters[*at].tensor().numel()));
            let gradients = ops::new_tensor(&self.device, "empty", [numel], dtype);
            gradients.categorize(Category::Gradient);
            let bucket = Bucket { members, gradients };
            if self.gradient_as_bucket_view {
                bucket.members.iter().for_each(|at| self.view_into(&bucket, *at));
            }
            self.buckets.borrow_mut().push(bucket);
        }
    }

    /// Makes the gradient that a parameter has a view into its bucket.
    fn view_into(&self, bucket: &Bucket, at: usize) {
        let parameter = self.parameters[at].tensor();
        if parameter.has_grad() {
            let shape = parameter.shape().clone();
            let strides = contiguous_strides(&shape);
            // Where in the bucket it is decides nothing.
            parameter.set_grad(Some(bucket.gradients.unsafe_view_as(shape, strides)));
        }
    }

    /// `mark_variable_ready`: the gradient is in its bucket. As a view it is nowhere else.
    fn mark_ready(&self, at: usize) {
        if !self.synchronized.get() {
            return;
        }
        self.ready.borrow_mut().push(at);
        if self.gradient_as_bucket_view {
            let buckets = self.buckets.borrow();
            if let Some(bucket) = buckets.iter().find(|bucket| bucket.members.contains(&at)) {
                self.view_into(bucket, at);
            }
        }
    }
}

fn bytes(shape: &Shape, dtype: Dtype) -> u64 {
    // A parameter that is there has a size in 64 bits.
    shape.bytes(dtype).map_or(u64::MAX, Bytes::get)
}

/// `compute_bucket_assignment_by_size`: tensors of one dtype fill a bucket until it has reached its limit. The limits are those
/// of the first bucket, the second and so on; the last one holds for all others.
fn assign(tensors: &[(usize, Dtype, u64)], limits: &[u64]) -> Vec<Vec<usize>> {
    struct Open {
        dtype: Dtype,
        members: Vec<usize>,
        bytes: u64,
        limit: usize,
    }
    let mut open: Vec<Open> = Vec::new();
    let mut full = Vec::new();
    for (at, dtype, bytes) in tensors {
        let known = open.iter().position(|bucket| bucket.dtype == *dtype);
        let place = known.unwrap_or_else(|| {
            open.push(Open { dtype: *dtype, members: Vec::new(), bytes: 0, limit: 0 });
            open.len() - 1
        });
        let bucket = &mut open[place];
        bucket.members.push(*at);
        bucket.bytes = bucket.bytes.saturating_add(*bytes);
        if bucket.bytes >= limits[bucket.limit] {
            full.push(std::mem::take(&mut bucket.members));
            bucket.bytes = 0;
            bucket.limit = (bucket.limit + 1).min(limits.len() - 1);
        }
    }
    full.extend(open.into_iter().map(|bucket| bucket.members).filter(|members| !members.is_empty()));
    full
}

/// `_broadcast_coalesced`: tensors of one dtype go out together, in a copy in which they lie side by side. Two copies are
/// there at most, of which the older one goes as soon as the second one is on its way.
fn broadcast_coalesced(device: &Device, tensors: &[TensorInfo]) {
    let sizes: Vec<(usize, Dtype, u64)> = tensors
        .iter()
        .enumerate()
        .map(|(at, tensor)| (at, tensor.dtype, bytes(&tensor.shape, tensor.dtype)))
        .collect();
    let mut buckets = assign(&sizes, &[BROADCAST_BUCKET]);
    buckets.sort_by_key(|members| members.first().copied());
    let mut in_flight: VecDeque<Option<Tensor>> = VecDeque::new();
    for members in buckets {
        let numel = members.iter().fold(0u64, |n, at| {
            n.saturating_add(tensors[*at].shape.dims().iter().fold(1, |n: u64, dim| n.saturating_mul(*dim)))
        });
        // One tensor by itself is a view.
        let several = members.len() > 1;
        in_flight
            .push_back(several.then(|| ops::new_tensor(device, "cat", [numel], tensors[members[0]].dtype)));
        if in_flight.len() >= 2 {
            drop(in_flight.pop_front());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_closed_by_the_tensor_that_reaches_its_limit_and_each_dtype_has_its_own() {
        let tensors = [
            (0, Dtype::F32, 60),
            (1, Dtype::F32, 50),
            (2, Dtype::Bf16, 5),
            (3, Dtype::F32, 250),
            (4, Dtype::F32, 1),
        ];
        assert_eq!(assign(&tensors, &[100, 200]), [vec![0, 1], vec![3], vec![4], vec![2]]);
        assert_eq!(assign(&tensors, &[u64::MAX]), [vec![0, 1, 3, 4], vec![2]]);
    }
}
