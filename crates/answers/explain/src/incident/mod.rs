//! What a failure means: the ledger of the card, the cause, and what to change.

mod causes;
mod diagnose;
mod figures;
mod fixes;
mod ledger;
mod world;

pub use causes::{CausePage, cause_pages};
pub use diagnose::{Cause, Diagnosis, diagnose};
pub use fixes::AdvisedFix;
pub use ledger::{CardLedger, Part};
