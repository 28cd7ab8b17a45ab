//! A virtual GPU: a library that takes the place of CUDA's.
//!
//! It is loaded into a program before all other libraries, and has the functions of CUDA's runtime and driver, cuBLAS, cuDNN,
//! NCCL, NVML and the others, for a GPU of any kind and size. Memory is address space that is counted, kernels do nothing,
//! and reads of device memory return zeros. Real PyTorch runs on it unchanged, and therefore allocates what it would allocate
//! on that GPU.
//!
//! A launcher uses two types: [`Settings`] describes the GPU to the library through an environment variable, and [`State`]
//! reads what all processes counted. The functions of CUDA are behind the feature `device`, which only the library that is
//! loaded has.

#[cfg(feature = "device")]
mod abi;
#[cfg(feature = "device")]
mod device;
mod nvidia_smi;
mod settings;
mod sonames;
mod state;
mod symbols;

pub use nvidia_smi::{CUDA, DRIVER, nvidia_smi};
pub use settings::{Completion, SETTINGS_VARIABLE, Settings, SettingsError};
pub use sonames::SONAMES;
pub use state::{DeviceUse, ProcessUse, STATE_VARIABLE, State, StateError};
pub use symbols::{Answer, Symbol, symbols};

/// The library that is loaded into programs, under each of [`SONAMES`]; empty if there is none for this platform.
#[cfg(feature = "library")]
pub static LIBRARY: &[u8] = include_bytes!(env!("BRIMFUL_VIRTUAL_GPU"));

/// The most GPUs that one machine can have.
pub const MOST_DEVICES: usize = 16;
