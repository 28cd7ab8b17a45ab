//! The step: a PyTorch of shapes only.
//!
//! Executes a training or inference step the way PyTorch would, on tensors that have a shape, a
//! dtype and a reference count but no data, and writes every allocation and free as a
//! [`Trace`](brimful_trace::Trace). Because it is a program and not a formula, every combination
//! of techniques composes.

mod autocast;
mod autograd;
mod categories;
mod checkpoint;
mod device;
mod models;
mod nn;
mod ops;
mod optim;
mod parallel;
mod program;
mod rules;
mod run;
mod simulate;
mod tensor;

pub use simulate::{StepError, simulate};
