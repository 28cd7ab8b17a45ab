//! Rehearsal: runs a command as it is, on a virtual GPU of any kind and size.
//!
//! Real PyTorch, with its real allocator, runs in the command's own Python; a library stands in for CUDA's. A hook at
//! Python's start records the allocator's history and counts steps. What the processes hand over becomes one [`Run`].

mod counted;
mod device;
mod ended;
mod environment;
mod error;
mod folder;
pub mod imagined;
mod launch;
mod python;
mod record;
mod rehearse;
mod run_file;
pub mod search;
mod serving;
mod tree;
mod verdict;

pub use device::Device;
pub use ended::{Cut, Ended};
pub use error::RehearsalError;
pub use folder::Folder;
pub use record::{Amounts, DeviceRecord, Failure, ProcessRecord, ScriptError};
pub use rehearse::{HISTORY, Rehearsal, Rehearsed, rehearse};
pub use run_file::{MAGIC, Run, RunFile, name};
pub use serving::{Serving, ServingRecord, runs_server, serving};
pub use verdict::{Judgement, RankUse, Shortage, Verdict, judge};
