//! A GPU that is not there.
//!
//! Loaded into a program in front of everything else, this library answers as CUDA's runtime and driver, cuBLAS, cuDNN,
//! NCCL, NVML and the rest, for a GPU of any kind and size. Memory is address space that is counted; kernels do nothing;
//! reads of the device give zeros. The real PyTorch runs on it unchanged, and so what it allocates is what it would
//! allocate on that GPU.
//!
//! What a launcher needs is always here: [`Settings`] describe the GPU to the library through an environment variable,
//! [`State`] reads what all processes counted. The functions themselves are behind the feature `device`, which the
//! library that is loaded has and the launcher has not.

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

/// The library that is loaded into programs, under each of [`SONAMES`]; empty where there is none for this platform.
#[cfg(feature = "library")]
pub static LIBRARY: &[u8] = include_bytes!(env!("BRIMFUL_VIRTUAL_GPU"));

/// Most GPUs in one machine.
pub const MOST_DEVICES: usize = 16;
