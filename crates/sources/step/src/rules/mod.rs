//! What differs between versions of the libraries, as values that the ops and the models read.

mod torch;
mod transformers;

pub(crate) use torch::{CublasWorkspace, TorchRules};
pub(crate) use transformers::TransformersRules;
