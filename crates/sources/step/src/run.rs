//! The loops around the model: training steps, generation, and single forwards.

mod batch;
mod infer;
mod scaler;
mod train;
mod trainer;

pub(crate) use infer::infer;
pub(crate) use train::train;
