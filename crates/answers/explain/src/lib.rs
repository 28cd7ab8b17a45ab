//! What a timeline means: the make-up of the peak, where it is, and who holds it.

mod peak;
pub mod snapshot;

pub use peak::{Block, Composition, Peak, Place, at_event, peak};
