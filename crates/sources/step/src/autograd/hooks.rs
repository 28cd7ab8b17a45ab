//! Saved tensors, and the hooks that hold them in another form (torch/csrc/autograd/saved_variable.cpp).

use std::rc::Rc;

use crate::device::Device;
use crate::tensor::Tensor;

/// What autograd keeps of a saved tensor: the tensor, or what a hook made of it.
#[derive(Clone)]
pub(crate) enum Packed {
    Tensor(Tensor),
    /// A place in a checkpointed region; unpacking runs the region again.
    Hooked(Rc<dyn Unpack>),
}

/// A saved tensor that a hook holds in another form.
pub(crate) trait Unpack {
    /// Gives the tensor back.
    fn unpack(&self) -> Tensor;
}

/// `torch.autograd.graph.saved_tensors_hooks`: called for every tensor that is saved.
#[derive(Clone)]
pub(crate) struct SavedTensorHooks(pub Rc<dyn Fn(Tensor) -> Packed>);

impl Packed {
    /// Saves a tensor, through the innermost hook if one is set.
    pub fn pack(device: &Device, tensor: Tensor) -> Packed {
        let hooks = device.hooks().borrow().last().cloned();
        match hooks {
            Some(hooks) => (hooks.0)(tensor),
            None => Packed::Tensor(tensor),
        }
    }

    /// Gives the saved tensor back; a checkpoint runs its region again for the first of its tensors.
    pub fn unpack(&self) -> Tensor {
        match self {
            Packed::Tensor(tensor) => tensor.clone(),
            Packed::Hooked(hooked) => hooked.unpack(),
        }
    }
}
