//! Rehearsal: runs a command as it is, on a virtual GPU of any kind and size.
//!
//! Real PyTorch, with its real allocator, runs in the command's own Python; a library stands in for CUDA's. A hook at
//! Python's start records the allocator's history and counts steps. What the processes hand over becomes one [`RunRecord`].
//!
//! Commands run on Linux; run files are read and judged everywhere.

mod device;
mod ended;
mod error;
mod glimpse;
pub mod imagined;
mod placeholder;
mod record;
mod rehearsal;
mod run_file;
mod serving;
mod synthetic;
#[cfg(not(target_os = "linux"))]
mod unsupported;
mod values;
mod verdict;
mod versions;

#[cfg(target_os = "linux")]
mod counted;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod folder;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod python;
#[cfg(target_os = "linux")]
mod rehearse;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
mod tree;

pub use device::Device;
pub use ended::{Cut, Ended};
pub use error::RehearsalError;
pub use glimpse::Glimpse;
pub use placeholder::{PLACEHOLDER, with_value};
pub use record::{Amounts, DeviceRecord, Failure, ProcessRecord, ScriptError};
pub use rehearsal::{HISTORY, HookOptions, Rehearsal};
#[cfg(target_os = "linux")]
pub use rehearse::{Rehearsed, rehearse};
pub use run_file::{MAGIC, RunFile, RunRecord, name};
pub use serving::{Serving, ServingRecord, engine, serving};
pub use synthetic::{Synthetic, SyntheticError};
#[cfg(not(target_os = "linux"))]
pub use unsupported::{Rehearsed, rehearse};
pub use values::{Read, Values, WithoutGradient, deciding};
pub use verdict::{FatalRequest, Judgement, RankUse, RunVerdict, judge};
pub use versions::REHEARSED;
