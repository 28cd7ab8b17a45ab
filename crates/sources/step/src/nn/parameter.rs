//! `nn.Parameter`: a named tensor that a module holds and an optimizer may train.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brimful_trace::Category;
use brimful_units::Shape;

use super::quantized::Quantized;
use crate::tensor::Tensor;

/// How a parameter's numbers are stored. Layers read a weight through [`Parameter::tensor`], or ask first whether it is
/// quantized.
enum Weight {
    /// One tensor with all the numbers, in the dtype of the model.
    Dense(Tensor),
    /// What bitsandbytes made of it.
    Quantized(Rc<Quantized>),
}

/// A parameter of the model. Modules that share it (tied weights) hold the same one.
pub(crate) struct Parameter {
    /// The name in `named_parameters()`, such as `model.layers.0.mlp.up_proj.weight`.
    path: String,
    /// In a cell, since `parameter.data = …` gives a parameter another tensor while modules and optimizers hold it.
    weight: RefCell<Weight>,
    /// `requires_grad`. It outlives a change of the tensor.
    trainable: Cell<bool>,
    /// Whether an `nn.Embedding` holds it.
    embedding: Cell<bool>,
}

impl Parameter {
    /// A parameter over `tensor`, not trained yet.
    pub fn new(path: String, tensor: Tensor) -> Rc<Parameter> {
        tensor.categorize(Category::Parameter);
        Rc::new(Parameter {
            path,
            weight: RefCell::new(Weight::Dense(tensor)),
            trainable: Cell::new(false),
            embedding: Cell::new(false),
        })
    }

    /// The name in `named_parameters()`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tensor that ops read and that collects the gradient.
    pub fn tensor(&self) -> Tensor {
        match &*self.weight.borrow() {
            Weight::Dense(tensor) => tensor.clone(),
            Weight::Quantized(quantized) => quantized.tensor().clone(),
        }
    }

    /// The dimensions of the numbers, which a quantized weight's tensor does not have.
    pub fn shape(&self) -> Shape {
        match &*self.weight.borrow() {
            Weight::Dense(tensor) => tensor.shape().clone(),
            Weight::Quantized(quantized) => quantized.shape().clone(),
        }
    }

    /// The quantized weight; `None` if it is dense.
    pub(super) fn quantized(&self) -> Option<Rc<Quantized>> {
        match &*self.weight.borrow() {
            Weight::Dense(_) => None,
            Weight::Quantized(quantized) => Some(quantized.clone()),
        }
    }

    /// Puts a quantized weight in the place of the dense one that `quantize` is given, which nobody else holds.
    pub(super) fn quantize(&self, quantize: impl FnOnce(Tensor) -> Quantized) {
        let quantized = Rc::new(quantize(self.tensor()));
        let before = self.weight.replace(Weight::Quantized(quantized));
        drop(before);
    }

    /// `parameter.data = tensor`. The tensor that was there is freed if nobody else holds it.
    pub fn set_data(&self, tensor: Tensor) {
        tensor.categorize(Category::Parameter);
        if self.trainable.get() {
            tensor.require_grad();
        }
        let before = self.weight.replace(Weight::Dense(tensor));
        // The old tensor goes after the new one is there, as an assignment in Python does it.
        drop(before);
    }

    /// `setattr(module, name, other)`: the modules and the optimizer have another tensor under this name.
    pub fn register(&self, tensor: Tensor) {
        drop(self.weight.replace(Weight::Dense(tensor)));
    }

    /// `parameter.requires_grad_(True)`.
    pub fn require_grad(&self) {
        self.trainable.set(true);
        self.tensor().require_grad();
    }

    /// Whether the parameter is trained.
    pub fn requires_grad(&self) -> bool {
        self.trainable.get()
    }

    /// Notes that an `nn.Embedding` holds the parameter.
    pub fn held_by_embedding(self: Rc<Self>) -> Rc<Self> {
        self.embedding.set(true);
        self
    }

    /// Whether an `nn.Embedding` holds the parameter.
    pub fn is_of_embedding(&self) -> bool {
        self.embedding.get()
    }

    /// `parameter.grad`.
    pub fn grad(&self) -> Option<Tensor> {
        self.tensor().grad()
    }

    /// `parameter.grad = None`.
    pub fn clear_grad(&self) {
        self.tensor().set_grad(None);
    }
}

#[cfg(test)]
mod tests {
    use brimful_trace::Event;
    use brimful_units::Dtype;

    use super::*;
    use crate::device::Device;

    #[test]
    fn another_tensor_is_there_before_the_old_one_goes_and_is_trained_as_the_old_one_was() {
        let device = Device::for_tests();
        let parameter = Parameter::new("w".to_owned(), Tensor::empty(&device, [4], Dtype::Bf16));
        parameter.require_grad();
        parameter.set_data(Tensor::empty(&device, [4], Dtype::F32));
        assert!(parameter.tensor().requires_grad());
        let trace = device.finish().unwrap();
        let kinds: Vec<bool> = trace.events().map(|event| matches!(event, Event::Alloc(_))).collect();
        assert_eq!(kinds, [true, true, false]);
    }
}
