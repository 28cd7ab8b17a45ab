//! NVIDIA's management library, called through every form that its functions have had.

mod backend;
mod ladder;
mod library;
mod meter;
mod processes;
mod record;
mod status;
mod thread;

pub use backend::{Backend, Function, Handle, MemoryInfo};
pub use ladder::{Driver, DriverFacts, GpuFacts, GpuReading, Memory, OpenError, Partition, Rungs};
pub use library::{LIBRARY_VARIABLE, Nvml, Try};
pub use meter::{Cost, Meter, Metered};
pub use processes::{List, ListForm, ProcessReading};
pub use record::{Recorder, Recording, SharedRecording};
pub use status::Status;
pub use thread::{DEADLINE, DriverThread, Opened, ThreadError};
