//! Replay: feeds a trace to an allocator policy and computes the memory over time.
//!
//! The policy is PyTorch's native CUDA caching allocator (`c10/cuda/CUDACachingAllocator.cpp`,
//! torch 2.15): rounding, best fit, splitting and merging, segments, expandable segments, the chain
//! of retries before an out-of-memory error, and the text of that error.
//!
//! ```
//! use brimful_replay::{AllocatorConfig, Capacity, replay};
//! use brimful_trace::{Allocation, Origin, Trace};
//! use brimful_units::Bytes;
//! let mut trace = Trace::new(Origin::Predicted);
//! let block = trace.alloc(Allocation { bytes: Bytes::new(1000), ..Allocation::default() });
//! trace.free(block);
//! let timeline = replay(&trace, &AllocatorConfig::default(), &Capacity::unlimited());
//! assert_eq!(timeline.peak.requested, Bytes::new(1000));
//! assert_eq!(timeline.peak.allocated, Bytes::new(1024));
//! assert_eq!(timeline.peak.reserved, Bytes::mib(2));
//! ```

mod adopt;
mod allocator;
mod blocks;
mod config;
mod driver;
mod expandable;
mod follow;
mod free;
mod infer;
mod layout;
mod ledger;
mod message;
mod places;
mod shadow;
mod sizes;
mod start;
mod ties;
mod timeline;

pub use allocator::{Allocator, Exhausted, Handle};
pub use config::{AllocatorConfig, ConfigError};
pub use driver::{Addresses, Driver};
pub use follow::{Layouts, follow, follow_with_layouts};
pub use infer::{recorded_capacity, recorded_config, recorded_ties, settled};
pub use layout::{Followed, LayoutBlock, Mismatch, MismatchKind, Unverified};
pub use ledger::Ledger;
pub use message::out_of_memory_text;
pub use ties::Ties;
pub use timeline::{Capacity, Oom, PhaseLedger, Timeline, replay};
