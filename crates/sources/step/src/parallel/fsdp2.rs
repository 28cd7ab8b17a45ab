//! FSDP2: `fully_shard` of every layer that gradient checkpointing may wrap, and then of the model
//! (torch/distributed/fsdp/_fully_shard, torch 2.15). Each such module is a unit: its parameters are gathered together before
//! it runs, and its gradients are reduced together after its backward.
//!
//! The functions have the names and the order of torch's. Three streams have memory of their own: the program's, that of
//! gathered parameters, and that of reduced gradients.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brimful_trace::Category;
use brimful_units::{Dtype, Shape};
use rustc_hash::{FxHashMap, FxHashSet};

use super::shard::ShardedParameter;
use crate::StepError;
use crate::autograd::{Call, Op, POST_BACKWARD};
use crate::device::{Device, Units};
use crate::models::{Model, Outputs};
use crate::nn::Parameter;
use crate::ops;
use crate::tensor::Tensor;

/// `all_gather_copy_in_stream`.
const GATHER_STREAM: u16 = 1;
/// `reduce_scatter_stream`.
const REDUCE_STREAM: u16 = 2;
/// The unit of the model itself.
const ROOT: usize = 0;

/// `MixedPrecisionPolicy` and `reshard_after_forward`.
#[derive(Clone, Copy)]
pub(super) struct Policy {
    pub reshard_after_forward: bool,
    pub param_dtype: Option<Dtype>,
    pub reduce_dtype: Option<Dtype>,
}

/// `TrainingState`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Forward,
    PreBackward,
    PostBackward,
}

/// A module whose parameters are gathered together.
struct Unit {
    /// Its name in the model; empty at the root.
    path: String,
    parameters: Vec<ShardedParameter>,
    /// That of the module (`FSDPState`).
    module: Cell<State>,
    /// That of the parameters (`FSDPParamGroup`).
    group: Cell<State>,
    /// Whether the modules have the whole parameters.
    unsharded: Cell<bool>,
    /// `_all_gather_result`: gathered and not yet copied out.
    gathered: RefCell<Option<Tensor>>,
    reshard_after_forward: bool,
    /// The places of its forwards in the order of all.
    forwards: RefCell<Vec<usize>>,
}

/// A model of which each rank holds a part.
pub(crate) struct Fsdp2(Rc<Sharded>);

struct Sharded {
    device: Device,
    policy: Policy,
    /// How many ranks there are.
    world: u64,
    /// The root comes first, the layers in the order of the model.
    units: Vec<Unit>,
    /// The unit whose forward is the outermost.
    outermost: Cell<Option<usize>>,
    /// `all_gather_state`: what was gathered for the last unit stays until the next one is copied out.
    retained: RefCell<Option<Tensor>>,
    /// `post_forward_order`.
    order: RefCell<Vec<usize>>,
    /// `reduce_scatter_states`: the gradients that were sent last.
    sent: RefCell<Option<Tensor>>,
    /// Whether the gradients of this backward are reduced.
    reduces: Cell<bool>,
    /// Whether the running backward has reached a unit.
    in_backward: Cell<bool>,
}

/// The places of hooks, which know the model's parts by number.
#[derive(Clone)]
struct Hooks(Rc<Sharded>);

impl Fsdp2 {
    /// `fully_shard` of the layers from the inside out, and of the model.
    pub(super) fn around(model: &Model, device: &Device, world: u64, policy: Policy) -> Fsdp2 {
        let [named, managed] = places_of_modules(&model.parameters);
        let mut order: Vec<usize> = (0..model.parameters.len()).collect();
        order.sort_by_key(|at| &named[*at]);
        let mut paths: Vec<String> = vec![String::new()];
        let mut members: Vec<Vec<usize>> = vec![Vec::new()];
        for parameter in order {
            let path = without_peft(model.parameters[parameter].path());
            let layer = layer_of(&model.layers, path).unwrap_or_default();
            let at = paths.iter().position(|path| *path == layer).unwrap_or_else(|| {
                paths.push(layer);
                members.push(Vec::new());
                paths.len() - 1
            });
            members[at].push(parameter);
        }
        let shard = |at: &usize| {
            let parameter = model.parameters[*at].clone();
            ShardedParameter::new(device, parameter, world, policy.param_dtype, policy.reduce_dtype)
        };
        let mut units: Vec<Unit> = paths
            .into_iter()
            .zip(members)
            .enumerate()
            .rev()
            .map(|(at, (path, mut members))| {
                let freed = members.clone();
                members.sort_by_key(|at| &managed[*at]);
                let parameters: Vec<ShardedParameter> = members.iter().map(shard).collect();
                // The originals go when `fully_shard` returns, in the order of `named_parameters()`.
                for at in freed {
                    members.iter().zip(&parameters).filter(|it| *it.0 == at).for_each(|it| it.1.to_sharded());
                }
                Unit {
                    path,
                    parameters,
                    module: Cell::new(State::Idle),
                    group: Cell::new(State::Idle),
                    unsharded: Cell::new(false),
                    gathered: RefCell::default(),
                    // The root's parameters would be gathered again at once.
                    reshard_after_forward: policy.reshard_after_forward && at != ROOT,
                    forwards: RefCell::default(),
                }
            })
            .collect();
        units.reverse();
        check_dtypes(device, &units);
        let sharded = Rc::new(Sharded {
            device: device.clone(),
            policy,
            world,
            units,
            outermost: Cell::new(None),
            retained: RefCell::default(),
            order: RefCell::default(),
            sent: RefCell::default(),
            reduces: Cell::new(true),
            in_backward: Cell::new(false),
        });
        device.set_units(Some(Rc::new(Hooks(sharded.clone()))));
        Fsdp2(sharded)
    }

    /// The root's hooks before its forward. `synchronized` is `set_requires_gradient_sync`.
    pub fn before_forward(&self, synchronized: bool) {
        self.0.reduces.set(synchronized);
        // The root's inputs want no gradient.
        drop(self.0.pre_forward(ROOT, Vec::new()));
    }

    /// What the root is given in the place of an input: it is in the dtype of computation.
    pub fn cast(&self, input: &Tensor) -> Tensor {
        // One tensor in, one out.
        self.0.cast(vec![input.clone()]).swap_remove(0)
    }

    /// The root's hooks after its forward.
    pub fn after_forward(&self, outputs: &Outputs) {
        self.0.post_forward(ROOT, outputs.results());
    }

    /// `_root_post_backward_final_callback`, which the engine calls when everything else has been done.
    pub fn after_backward(&self) {
        self.0.final_callback();
    }
}

impl Drop for Fsdp2 {
    /// The device holds the hooks, and they hold the device.
    fn drop(&mut self) {
        self.0.device.set_units(None);
    }
}

impl Units for Hooks {
    fn enter(&self, layer: &str, inputs: Vec<Tensor>) -> Vec<Tensor> {
        match self.0.unit(layer) {
            Some(at) => self.0.pre_forward(at, inputs),
            None => inputs,
        }
    }

    fn leave(&self, layer: &str, outputs: &[Tensor]) {
        if let Some(at) = self.0.unit(layer) {
            self.0.post_forward(at, outputs.iter());
        }
    }
}

impl Sharded {
    fn unit(&self, path: &str) -> Option<usize> {
        self.units.iter().position(|unit| unit.path == path).filter(|at| *at != ROOT)
    }

    /// `FSDPState._pre_forward`, and the group's.
    fn pre_forward(self: &Rc<Self>, at: usize, inputs: Vec<Tensor>) -> Vec<Tensor> {
        let unit = &self.units[at];
        if unit.module.get() == State::PreBackward {
            // A second forward before the backward of the first has ended: the parameters may have gone.
            if !unit.unsharded.get() {
                self.unshard(at, unit.group.get());
                self.wait_for_unshard(at);
            }
            return self.cast(inputs);
        }
        unit.module.set(State::Forward);
        if self.outermost.get().is_none() {
            self.outermost.set(Some(at));
        }
        let inputs = self.cast(inputs);
        unit.group.set(State::Forward);
        self.unshard(at, State::Forward);
        self.wait_for_unshard(at);
        self.register_post_backward(at, inputs)
    }

    /// `_cast_forward_inputs`.
    fn cast(&self, inputs: Vec<Tensor>) -> Vec<Tensor> {
        let Some(dtype) = self.policy.param_dtype else { return inputs };
        let floats =
            |tensor: &Tensor| matches!(tensor.dtype(), Dtype::F32 | Dtype::F16 | Dtype::Bf16 | Dtype::F64);
        inputs.into_iter().map(|it| if floats(&it) { ops::to(it, dtype) } else { it }).collect()
    }

    /// `_register_post_backward_hook`: a node below the layer's own, which runs when all of them have.
    fn register_post_backward(self: &Rc<Self>, at: usize, inputs: Vec<Tensor>) -> Vec<Tensor> {
        let wanting: Vec<usize> = (0..inputs.len()).filter(|it| inputs[*it].requires_grad()).collect();
        if wanting.is_empty() || !self.device.grad_enabled() {
            return inputs;
        }
        let registered: Vec<&Tensor> = wanting.iter().map(|it| &inputs[*it]).collect();
        let sizes: Vec<(Shape, Dtype)> =
            registered.iter().map(|it| (it.shape().clone(), it.dtype())).collect();
        let this = self.clone();
        let outputs = Op::nameless(POST_BACKWARD, &registered)
            .run(|| registered.iter().map(|input| input.detach()).collect::<Vec<Tensor>>())
            .backward(move |call: &Call<'_>| {
                // The place of a gradient that did not come is taken by zeros.
                let grads =
                    sizes.iter().enumerate().map(|(slot, (shape, dtype))| match call.grads.get(slot) {
                        Some(Some(grad)) => Some(grad.clone()),
                        _ => Some(ops::new_tensor(&this.device, "zeros", shape.clone(), *dtype)),
                    });
                let grads = grads.collect();
                this.post_backward(at);
                grads
            });
        let mut given = inputs;
        for (place, output) in wanting.into_iter().zip(outputs) {
            given[place] = output;
        }
        given
    }

    /// `FSDPState._post_forward`, and the group's.
    fn post_forward<'a>(self: &Rc<Self>, at: usize, outputs: impl Iterator<Item = &'a Tensor>) {
        let unit = &self.units[at];
        if unit.module.get() == State::PreBackward {
            return;
        }
        // In a backward the layer runs again, and its parameters are needed further on.
        if !self.device.in_backward() {
            if unit.reshard_after_forward {
                self.to_sharded(at);
            }
            let mut order = self.order.borrow_mut();
            unit.forwards.borrow_mut().push(order.len());
            order.push(at);
        }
        unit.group.set(State::Idle);
        if self.device.grad_enabled() {
            for output in outputs.filter(|output| output.requires_grad()) {
                let this = self.clone();
                output.before_backward(Rc::new(move || this.pre_backward(at)));
            }
        }
        unit.module.set(State::Idle);
        if self.outermost.get() == Some(at) {
            drop(self.retained.take());
            self.outermost.set(None);
        }
    }

    /// `FSDPState._pre_backward`, and the group's, which gathers the parameters of the unit before as well.
    fn pre_backward(&self, at: usize) {
        let unit = &self.units[at];
        unit.module.set(State::PreBackward);
        self.in_backward.set(true);
        if unit.group.replace(State::PreBackward) == State::PreBackward {
            return;
        }
        self.unshard(at, State::PreBackward);
        self.wait_for_unshard(at);
        for parameter in &unit.parameters {
            parameter.defer_upcast(self.reduces.get());
        }
        // `_backward_prefetch`.
        let Some(place) = unit.forwards.borrow_mut().pop() else { return };
        let before = place.checked_sub(1).and_then(|place| self.order.borrow().get(place).copied());
        if let Some(before) = before {
            self.unshard(before, State::PreBackward);
        }
    }

    /// `foreach_all_gather`: the parts of all ranks, side by side.
    fn unshard(&self, at: usize, state: State) {
        let unit = &self.units[at];
        if unit.gathered.borrow().is_some() || unit.unsharded.get() || unit.parameters.is_empty() {
            return;
        }
        let _stream =
            matches!(state, State::Forward | State::PreBackward).then(|| self.device.stream(GATHER_STREAM));
        let converted = unit.parameters.iter().filter(|it| it.is_converted());
        let numel = converted.clone().fold(0u64, |n, it| n.saturating_add(it.part()));
        // `flat_foreach_copy_input`: the parts that are computed in another dtype than they are kept in.
        let flat = converted
            .take(1)
            .map(|it| ops::new_tensor(&self.device, "empty", [numel], it.compute_dtype()))
            .next();
        let dtypes = unit.parameters.iter().map(ShardedParameter::compute_dtype);
        let first = unit.parameters[0].compute_dtype();
        // Parts of several dtypes go as bytes.
        let dtype = if dtypes.clone().all(|dtype| dtype == first) { first } else { Dtype::U8 };
        let width = |it: &ShardedParameter| if dtype == Dtype::U8 { it.part_bytes() } else { it.part() };
        let part = unit.parameters.iter().fold(0u64, |n, it| n.saturating_add(width(it)));
        let all = self.device.mul(part, self.world);
        let output = ops::new_tensor(&self.device, "empty", [all], dtype);
        drop(flat);
        unit.gathered.replace(Some(output));
    }

    /// `wait_for_unshard`: each parameter gets memory of its own, and the gathered parts are copied there.
    fn wait_for_unshard(&self, at: usize) {
        let unit = &self.units[at];
        let Some(gathered) = unit.gathered.take() else { return };
        let in_forward = unit.group.get() == State::Forward;
        if in_forward {
            drop(self.retained.take());
        }
        unit.parameters.iter().for_each(|parameter| parameter.allocate(&self.device, self.world));
        self.device.kernel_buffer(self.copy_out_buffer(unit));
        unit.parameters.iter().for_each(ShardedParameter::to_unsharded);
        unit.unsharded.set(true);
        if in_forward {
            self.retained.replace(Some(gathered));
        }
    }

    /// The addresses that the kernel of `split_with_sizes_copy` works through (`split_with_sizes_copy_out_cuda_contiguous_no_cast`
    /// in aten/src/ATen/native/cuda/TensorShape.cu), in bytes.
    fn copy_out_buffer(&self, unit: &Unit) -> u64 {
        let processor = self.device.properties();
        let blocks = |tile: u64| {
            unit.parameters.iter().fold(0u64, |n, it| n.saturating_add(it.part_bytes().div_ceil(tile)))
        };
        let most = processor.multiprocessors * threads_of(processor.compute_capability) / BLOCK * 2;
        let factor = self.device.mul(blocks(TILE), self.world).div_ceil(most);
        let chunks = ((factor as f64).sqrt().ceil() as u64).clamp(1, self.world);
        let iterations = factor.div_ceil(chunks).max(1);
        let splits = unit.parameters.len() as u64;
        8 * (4 * splits + 1 + blocks(TILE.saturating_mul(iterations)))
    }

    fn to_sharded(&self, at: usize) {
        let unit = &self.units[at];
        if unit.unsharded.replace(false) {
            unit.parameters.iter().for_each(ShardedParameter::to_sharded);
        }
    }

    /// `post_backward`: the gradients are summed over all ranks, and each keeps its part.
    fn post_backward(&self, at: usize) {
        let unit = &self.units[at];
        unit.group.set(State::PostBackward);
        if !self.reduces.get() {
            unit.parameters.iter().for_each(ShardedParameter::upcast);
            self.to_sharded(at);
            return;
        }
        let (owners, grads): (Vec<&ShardedParameter>, Vec<Tensor>) =
            unit.parameters.iter().filter_map(|it| Some((it, it.take_grad()?))).unzip();
        unit.parameters.iter().for_each(ShardedParameter::upcast);
        self.to_sharded(at);
        // One input of a reduction is kept: that of the unit before goes here.
        drop(self.sent.take());
        if !grads.is_empty() {
            self.reduce(&owners, grads);
        }
    }

    /// `foreach_reduce`.
    fn reduce(&self, owners: &[&ShardedParameter], mut grads: Vec<Tensor>) {
        let kept = owners[0].dtype();
        let dtype = self.policy.reduce_dtype.unwrap_or(kept);
        let part = owners.iter().fold(0u64, |n, it| n.saturating_add(it.part()));
        let input = ops::new_tensor(&self.device, "empty", [self.device.mul(part, self.world)], dtype);
        self.copy_in(owners, &grads, dtype);
        // `unsharded_grads.clear()`: a list of CPython drops its last item first.
        while grads.pop().is_some() {}
        let _stream = self.device.stream(REDUCE_STREAM);
        let output = ops::new_tensor(&self.device, "empty", [part], dtype);
        let converted = if dtype == kept { output.clone() } else { ops::to(&output, kept) };
        converted.categorize(Category::Gradient);
        owners.iter().for_each(|owner| owner.add_grad(&converted));
        drop(output);
        drop(converted);
        self.sent.replace(Some(input));
    }

    /// `fsdp::chunk_cat_mixed_dtype`: the gradients side by side, converted on the way. Kernels that convert work through a
    /// list of addresses (`get_chunk_cat_metadata` in aten/src/ATen/native/cuda/TensorShape.cu, eight bytes each).
    fn copy_in(&self, owners: &[&ShardedParameter], grads: &[Tensor], dtype: Dtype) {
        let tensors = owners.len() as u64;
        let buffer = 8 * (6 * tensors + 2 + copy_in_blocks(owners, dtype));
        let first = grads[0].dtype();
        let converts = |from: Dtype| from == dtype || (from == Dtype::Bf16 && dtype == Dtype::F32);
        match grads.iter().all(|grad| grad.dtype() == first) {
            true if converts(first) => self.device.kernel_buffer(buffer),
            // No kernel converts: each gradient that the ranks do not share evenly is filled up, and all are copied.
            true => {
                let uneven = owners.iter().filter(|it| it.is_uneven(self.world));
                let whole = |it: &&&ShardedParameter| [self.device.mul(it.part(), self.world)];
                let filled: Vec<Tensor> = uneven
                    .map(|it| ops::new_tensor(&self.device, "constant_pad_nd", whole(&it), first))
                    .collect();
                filled.into_iter().for_each(drop);
            }
            // One list for both kernels, without the ends of two of its parts.
            false if grads.iter().all(|grad| converts(grad.dtype())) => {
                self.device.kernel_buffer(buffer - 16)
            }
            false => {
                let cast: Vec<Tensor> = grads
                    .iter()
                    .filter(|grad| grad.dtype() != dtype)
                    .map(|grad| ops::to(grad, dtype))
                    .collect();
                self.device.kernel_buffer(buffer);
                cast.into_iter().for_each(drop);
            }
        }
    }

    fn final_callback(&self) {
        if !self.in_backward.replace(false) {
            return;
        }
        self.outermost.set(None);
        for (at, unit) in self.units.iter().enumerate() {
            // A unit whose inputs wanted no gradient has no node that would have called it.
            if unit.group.get() != State::PostBackward {
                self.post_backward(at);
            }
            unit.group.set(State::Idle);
            unit.module.set(State::Idle);
        }
        for unit in &self.units {
            drop(unit.gathered.take());
            unit.forwards.borrow_mut().clear();
        }
        drop(self.retained.take());
        self.order.borrow_mut().clear();
        drop(self.sent.take());
    }
}

/// Threads of a block, and the bytes that it copies at once (aten/src/ATen/native/cuda/TensorShape.cu).
const BLOCK: u64 = 128;
const TILE: u64 = 16 * BLOCK;

/// `maxThreadsPerMultiProcessor` by compute capability (CUDA C++ programming guide, technical specifications).
fn threads_of(capability: (u8, u8)) -> u64 {
    match capability {
        (7, 5) => 1024,
        (8, 6 | 7 | 9) | (12, _) => 1536,
        _ => 2048,
    }
}

/// Blocks of threads of the kernel of `_chunk_cat`.
fn copy_in_blocks(owners: &[&ShardedParameter], dtype: Dtype) -> u64 {
    owners.iter().fold(0u64, |n, it| {
        let bytes = Shape::from([it.part()]).bytes(dtype).map_or(u64::MAX, |bytes| bytes.get());
        n.saturating_add(bytes.div_ceil(TILE))
    })
}

/// `_init_mp_dtypes`: the trained parameters of a unit have one dtype, or torch refuses the model.
fn check_dtypes(device: &Device, units: &[Unit]) {
    for unit in units {
        let mut dtypes = unit.parameters.iter().filter(|it| it.is_trained()).map(ShardedParameter::dtype);
        let first = dtypes.next();
        if dtypes.any(|dtype| Some(dtype) != first) {
            device.fail(StepError::Unsupported {
                key: "parallel.shard",
                value: "fsdp2".to_owned(),
                cure: "torch refuses it: the trained parameters of one layer have several dtypes",
            });
        }
    }
}

/// The orders in which parameters stand in the tree of modules, as places for each parameter: that of `named_parameters()`,
/// where a module's own come before its children's, and that of `_get_managed_states`, where they come after them. An
/// adapter comes after the module that it wraps.
fn places_of_modules(parameters: &[Rc<Parameter>]) -> [Vec<Vec<usize>>; 2] {
    let adapted: FxHashSet<&str> =
        parameters.iter().filter_map(|it| Some(without_peft(it.path().split_once(".lora_")?.0))).collect();
    let paths: Vec<String> = parameters
        .iter()
        .map(|it| {
            let path = without_peft(it.path());
            match path.rsplit_once('.').filter(|(module, _)| adapted.contains(module)) {
                Some((module, name)) => format!("{module}.base_layer.{name}"),
                None => path.to_owned(),
            }
        })
        .collect();
    // The place, counted from 1, at which each module has its first parameter.
    let mut first: FxHashMap<&str, usize> = FxHashMap::default();
    for (at, path) in paths.iter().enumerate() {
        for (dot, _) in path.match_indices('.') {
            first.entry(&path[..dot]).or_insert(at + 1);
        }
    }
    [0, usize::MAX].map(|own| {
        let place = |(at, path): (usize, &String)| {
            let modules = path.match_indices('.').filter_map(|(dot, _)| first.get(&path[..dot]).copied());
            modules.chain([own, at]).collect::<Vec<usize>>()
        };
        paths.iter().enumerate().map(place).collect()
    })
}

/// A parameter's name in the model that PEFT has wrapped.
fn without_peft(path: &str) -> &str {
    path.strip_prefix("base_model.model.").unwrap_or(path)
}

/// The innermost of the layers in which a parameter is; `{i}` stands for a number in their names.
fn layer_of(layers: &[String], path: &str) -> Option<String> {
    layers
        .iter()
        .filter_map(|layer| {
            let start = layer.split("{i}").next()?;
            let number: String = path.strip_prefix(start)?.chars().take_while(char::is_ascii_digit).collect();
            let layer = if layer.contains("{i}") { layer.replace("{i}", &number) } else { layer.clone() };
            path.strip_prefix(&layer)?.starts_with('.').then_some(layer)
        })
        .max_by_key(String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_in_the_innermost_layer_that_its_name_begins_with() {
        let layers =
            ["model.layers.{i}".to_owned(), "h.1".to_owned(), "model.layers.{i}.inner.{i}".to_owned()];
        assert_eq!(layer_of(&layers, "model.layers.12.mlp.weight"), Some("model.layers.12".to_owned()));
        assert_eq!(layer_of(&layers, "h.11.weight"), None);
        assert_eq!(layer_of(&layers, "h.1.weight"), Some("h.1".to_owned()));
        assert_eq!(layer_of(&layers, "model.norm.weight"), None);
        assert_eq!(without_peft("base_model.model.lm_head.weight"), "lm_head.weight");
    }
}
