use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::tensor::Tensor;

/// `nn.Parameter`. Modules that share it (tied weights) share this object, as they do in PyTorch; it dies with the last of
/// them.
#[derive(Clone)]
pub(crate) struct Parameter(Rc<RefCell<Tensor>>);

impl Parameter {
    /// What ops compute with.
    pub fn tensor(&self) -> Tensor {
        self.0.borrow().clone()
    }

    /// `parameter.data = tensor`: the module keeps the parameter, whose memory is another one from now on.
    pub fn set_data(&self, tensor: Tensor) {
        let before = self.0.replace(tensor);
        drop(before);
    }
}

/// The parameters of a model in the order in which its constructor made them. It holds none of them: a head whose own
/// weight was replaced by the embedding's is gone by itself.
#[derive(Default)]
pub(super) struct Registry(RefCell<Vec<Weak<RefCell<Tensor>>>>);

impl Registry {
    /// A new parameter, in its place.
    pub fn register(&self, tensor: Tensor) -> Parameter {
        let parameter = Parameter(Rc::new(RefCell::new(tensor)));
        self.0.borrow_mut().push(Rc::downgrade(&parameter.0));
        parameter
    }

    /// Every parameter that is alive, each once.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.0.borrow().iter().filter_map(Weak::upgrade).map(Parameter).collect()
    }
}
