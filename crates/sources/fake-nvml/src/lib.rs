//! A fake NVML for tests: a dynamic library that answers from a file of `fixtures/nvml` through NVML's C interface.
//!
//! [`install`] copies the library for one fixture. The copy exports only the symbols that the fixture has, writes the structs
//! in the layout of that driver, and finds its fixture without an environment variable, so that a process can load several.
//! No crate depends on this one but for its tests.

mod exports;
mod fixture;
mod install;
mod layout;

pub use install::install;
