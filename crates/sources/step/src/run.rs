//! The loops around the model: training steps and generation.

mod infer;
mod scaler;
mod train;

pub(crate) use infer::infer;
pub(crate) use train::train;
