//! Any text a framework printed: finds the memory failure in it and reads its numbers.
//!
//! ```
//! let text = b"step 41\nRuntimeError: CUDA out of memory. Tried to allocate 60.00 MiB (GPU 0; 6.00 GiB total \
//!     capacity; 4.11 GiB already allocated; 34.82 MiB free; 4.42 GiB reserved in total by PyTorch)\n";
//! let report = brimful_logs::scan(&text[..]).unwrap();
//! let incident = report.incident.unwrap();
//! assert!(incident.kind.is_gpu_oom());
//! assert_eq!(incident.facts.bytes("tried_bytes").unwrap().to_string(), "60.00 MiB");
//! ```
//!
//! The formats are data: `formats/*.toml`. A first pass looks for short texts with vector instructions;
//! regular expressions run only where one was found. Memory does not grow with the input.

mod accelerator;
mod catalog;
mod clean;
mod context;
mod contradiction;
mod facts;
mod incident;
mod parse;
mod pattern;
mod prefix;
mod processes;
mod progress;
mod required;
mod scan;
mod search;
mod shapes;
mod wrap;

pub use accelerator::Accelerator;
pub use catalog::{FormatInfo, Kind, formats};
pub use facts::{Facts, Value};
pub use incident::{Incident, Process, Report};
pub use pattern::Pattern;
pub use scan::{Scanner, scan};
