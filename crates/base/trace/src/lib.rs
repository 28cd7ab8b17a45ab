//! The trace: an ordered list of allocation events, each with a size, an owner and a lane.
//!
//! Sources (the simulated step, a PyTorch snapshot, a rehearsal) write a [`Trace`]; consumers
//! (replay, explain, report) read it. Neither knows the other. Events are kept in columns and
//! refer to rows of tables, so that a trace of five million events stays near 100 MB.

mod brim;
mod category;
mod context;
mod event;
mod recording;
mod tables;
mod trace;

pub use brim::{BrimError, MAGIC as BRIM_MAGIC};
pub use category::Category;
pub use context::{Context, ContextId, ContextTable, Frame, FrameId, StackId, StrId};
pub use event::{AllocationId, Event, LaneId, OomId, PhaseId, SegmentId};
pub use recording::{Annotation, BlockState, FinalBlock, FinalSegment, Lane, Recording};
pub use tables::{Allocation, Allocations, OomEvent, Phase, PhaseKind, Segment, Segments, TensorInfo};
pub use trace::{Origin, Trace};
