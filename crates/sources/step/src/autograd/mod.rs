//! The tape: nodes that keep saved tensors, and the engine that visits them in the backward.

mod accumulate;
mod engine;
mod hooks;
mod node;
mod op;

pub(crate) use accumulate::AccumulateGrad;
pub(crate) use engine::{CHECKPOINT, MATMUL_4BIT, MATMUL_8BIT, POST_BACKWARD, backward, backward_all};
pub(crate) use hooks::{Packed, SavedTensorHooks, Unpack};
pub(crate) use node::{Call, Edge, Grads, Node, Target};
pub(crate) use op::{Op, Saved};
