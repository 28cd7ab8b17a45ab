use std::cell::RefCell;
use std::rc::Rc;

use crate::device::{Device, ScopeGuard};
use crate::tensor::Tensor;

/// A module's forward as a wrapper runs it, now or again: the first argument, and a second one that is passed by position.
pub(crate) type Forward = Rc<dyn Fn(&Tensor, Option<&Tensor>) -> Tensor>;

/// What a library puts around a module's forward: a gradient checkpoint, an adapter.
pub(crate) trait Wrapper {
    /// Runs the forward that it wraps.
    fn call(&self, input: Tensor, other: Option<Tensor>, forward: Forward) -> Tensor;
}

/// The identity of an `nn.Module`, and how it is called (`Module.__call__`).
///
/// Wrappers are attached when the model is built for a job. What is inside of a module never knows of them, so that a
/// family mentions neither checkpoints nor adapters.
pub(crate) struct Module {
    path: RefCell<Rc<str>>,
    /// From the innermost to the outermost.
    wrappers: RefCell<Vec<Rc<dyn Wrapper>>>,
}

impl Module {
    /// A module by its name in `named_modules()`, without wrappers.
    pub fn new(path: impl Into<Rc<str>>) -> Module {
        Module { path: RefCell::new(path.into()), wrappers: RefCell::default() }
    }

    /// The name in `named_modules()`.
    pub fn path(&self) -> Rc<str> {
        self.path.borrow().clone()
    }

    /// Gives the module another name, as a library does that puts its own module in its place.
    pub fn rename(&self, path: impl Into<Rc<str>>) {
        *self.path.borrow_mut() = path.into();
    }

    /// Puts a wrapper around the module and around all its wrappers so far.
    pub fn wrap(&self, wrapper: Rc<dyn Wrapper>) {
        self.wrappers.borrow_mut().push(wrapper);
    }

    /// Whether a call goes through at least one wrapper.
    pub fn is_wrapped(&self) -> bool {
        !self.wrappers.borrow().is_empty()
    }

    /// Allocations belong to this module until the guard is dropped.
    pub fn scope(&self, device: &Device) -> ScopeGuard {
        device.module(&self.path.borrow())
    }

    /// Calls the module with one argument.
    pub fn call(&self, input: &Tensor, forward: impl Fn(&Tensor) -> Tensor + 'static) -> Tensor {
        if self.is_wrapped() {
            return self.call_wrapped(input.clone(), None, Rc::new(move |x, _| forward(x)));
        }
        let _module = self.scope(input.device());
        forward(input)
    }

    /// Calls the module through its wrappers.
    pub fn call_wrapped(&self, input: Tensor, other: Option<Tensor>, forward: Forward) -> Tensor {
        let path = self.path();
        // The scope is the innermost: a checkpoint that runs the module again enters it again.
        let scoped: Forward = Rc::new(move |x, other| {
            let _module = x.device().module(&path);
            forward(x, other)
        });
        let wrappers = self.wrappers.borrow().clone();
        let Some((outermost, inner)) = wrappers.split_last() else { return scoped(&input, other.as_ref()) };
        let wrapped = inner.iter().fold(scoped, |forward, wrapper| {
            let wrapper = wrapper.clone();
            Rc::new(move |x, other| wrapper.call(x.clone(), other.cloned(), forward.clone()))
        });
        outermost.call(input, other, wrapped)
    }
}
