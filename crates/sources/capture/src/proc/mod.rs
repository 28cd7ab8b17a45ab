//! The kernel's files about processes and about the host's memory.

mod cgroup;
mod host;
mod owner;
mod process;

pub use cgroup::Cgroup;
pub use host::{Host, Pressure, SharedMemory, read_host};
pub use owner::Owner;
pub use process::{ProcessFacts, Processes};
