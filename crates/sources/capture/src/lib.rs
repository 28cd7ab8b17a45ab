//! Live counters of GPUs: how much memory is in use, and by whom.
//!
//! NVIDIA's driver is asked through its library NVML ([`nvml`]), which is loaded at run time, and whose functions differ by
//! version: each figure is read by the newest function that answers. GPUs of AMD and Intel are read from the kernel's files
//! ([`drm`]), and so are the processes behind the numbers and the host's memory ([`proc`]). A [`Monitor`] puts them
//! together.

pub mod drm;
mod monitor;
pub mod nvml;
pub mod proc;
mod sample;
mod surroundings;

pub use monitor::{Looked, Monitor, Options};
pub use sample::{Gpu, GpuMemory, GpuProcess, Holder, Ledger, Sample};
pub use surroundings::Surroundings;
