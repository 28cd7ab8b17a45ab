//! `nn.Module.__call__`: the one place where a module's scope opens and where its wrappers run.

use std::cell::RefCell;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::device::Device;

/// What a module computes.
pub(crate) trait Forward: 'static {
    /// The arguments of the call.
    type Input<'a>;
    /// What the call returns.
    type Output;

    /// `forward`. The module's scope is open.
    fn forward(&self, input: Self::Input<'_>) -> Self::Output;
}

/// Something that a technique puts around the calls of a module: an adapter, a checkpoint, a hook. It runs outside the
/// module's scope.
pub(crate) trait Wrapper<F: Forward> {
    /// Runs the call; `inner` is the module with the wrappers further inside.
    fn call(&self, input: F::Input<'_>, inner: Inner<F>) -> F::Output;
}

/// A module with a name. Clones are the same module.
pub(crate) struct Module<F: Forward>(Rc<State<F>>);

struct State<F: Forward> {
    device: Device,
    /// The name in `named_modules()`.
    path: RefCell<Rc<str>>,
    forward: F,
    /// The outermost comes first.
    wrappers: RefCell<SmallVec<[Rc<dyn Wrapper<F>>; 1]>>,
}

/// A call of a module as a wrapper sees it.
pub(crate) struct Inner<F: Forward> {
    module: Module<F>,
    /// How many wrappers are outside.
    depth: usize,
}

impl<F: Forward> Clone for Module<F> {
    fn clone(&self) -> Self {
        Module(self.0.clone())
    }
}

impl<F: Forward> Module<F> {
    /// A module without wrappers.
    pub fn new(device: &Device, path: impl Into<Rc<str>>, forward: F) -> Module<F> {
        let path = RefCell::new(path.into());
        Module(Rc::new(State { device: device.clone(), path, forward, wrappers: RefCell::default() }))
    }

    /// `module(input)`: the wrappers from the outermost on, then the forward in the module's scope.
    pub fn call(&self, input: F::Input<'_>) -> F::Output {
        self.call_inside(0, input)
    }

    fn call_inside(&self, depth: usize, input: F::Input<'_>) -> F::Output {
        let wrapper = self.0.wrappers.borrow().get(depth).cloned();
        if let Some(wrapper) = wrapper {
            return wrapper.call(input, Inner { module: self.clone(), depth: depth + 1 });
        }
        let path = self.0.path.borrow().clone();
        // The scope ends after the forward's own names are gone.
        let _module = self.0.device.module(&path);
        self.0.forward.forward(input)
    }

    /// What the module holds.
    pub fn get(&self) -> &F {
        &self.0.forward
    }

    /// Puts a wrapper around the module and around the wrappers that it has.
    pub fn wrap(&self, wrapper: impl Wrapper<F> + 'static) {
        self.0.wrappers.borrow_mut().insert(0, Rc::new(wrapper));
    }

    /// Gives the module another name, where a wrapper that is a module itself takes its own.
    pub fn rename(&self, path: &str) {
        *self.0.path.borrow_mut() = path.into();
    }
}

impl<F: Forward> Inner<F> {
    /// Runs what is wrapped.
    pub fn call(&self, input: F::Input<'_>) -> F::Output {
        self.module.call_inside(self.depth, input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allocates one byte in the scope of the module.
    struct Allocates(Device);

    impl Forward for Allocates {
        type Input<'a> = ();
        type Output = ();

        fn forward(&self, (): ()) {
            self.0.kernel_buffer(1);
        }
    }

    /// Allocates `bytes` bytes outside the scope, then calls.
    struct Before {
        device: Device,
        bytes: u64,
    }

    impl Wrapper<Allocates> for Before {
        fn call(&self, (): (), inner: Inner<Allocates>) {
            self.device.kernel_buffer(self.bytes);
            inner.call(());
        }
    }

    #[test]
    fn the_last_wrapper_is_the_outermost_and_only_the_forward_runs_in_the_scope() {
        let device = Device::for_tests();
        let module = Module::new(&device, "layer", Allocates(device.clone()));
        module.wrap(Before { device: device.clone(), bytes: 2 });
        module.wrap(Before { device: device.clone(), bytes: 3 });
        module.rename("layer.base_layer");
        module.call(());
        let trace = device.finish().unwrap();
        let seen: Vec<(u64, &str)> = trace
            .allocations
            .ids()
            .map(|id| {
                let row = trace.allocations.get(id);
                (row.bytes.get(), trace.contexts.str(trace.contexts.get(row.context).module))
            })
            .collect();
        assert_eq!(seen, [(3, ""), (2, ""), (1, "layer.base_layer")]);
    }
}
