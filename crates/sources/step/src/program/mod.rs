//! Runs recorded programs (docs/programs.md) over the tensors of the step.
//!
//! * `model.rs`: the constructor, and the model that stands at the root.
//! * `frame.rs`: the names of one call, and its instructions one after the other.
//! * `layer.rs`: a layer that gradient checkpointing may wrap.
//! * `intrinsics.rs`: what is known as a whole: masks, attention, caches.
//! * `functions/`: the functions of torch, by the names that programs use.

mod arguments;
mod fault;
mod frame;
mod functions;
mod intrinsics;
mod layer;
mod model;
mod value;

pub(crate) use model::for_recorded;
