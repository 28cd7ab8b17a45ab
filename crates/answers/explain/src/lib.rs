//! What a timeline means: the make-up of the peak, where it is, and who holds it. What a failure means: the
//! ledger of the card, the cause, and what to change.

mod diff;
mod history;
mod holders;
mod incident;
mod keeps;
mod peak;
mod phases;
mod ranks;
pub mod snapshot;

pub use diff::{Amount, Diff, PlaceChange, ShareChange, diff};
pub use history::{History, Life, Moment, SegmentLife, history, purposes};
pub use holders::{Holder, TracedRun, holders, holders_of};
pub use incident::{AdvisedFix, CardLedger, Cause, CausePage, Diagnosis, Part, cause_pages, diagnose};
pub use keeps::Keeps;
pub use peak::{Block, Composition, Peak, Place, at_event, peak};
pub use phases::{PhasePeak, phase_peaks};
pub use ranks::{Rank, outliers, rank};
