//! Answers about a job: does it fit, what is the largest batch or sequence that fits, and what each
//! technique alone would change. Every answer is a simulated step, replayed through the allocator.

mod basis;
mod expected;
mod fit;
mod largest;
mod rule_of_thumb;
mod search;
mod techniques;

pub use basis::{Grounds, grounds};
pub use expected::{Expected, expected};
pub use fit::{
    DeviceUse, Fit, FitError, FitVerdict, OutOfMemory, Params, allocator_config, fit, simulate_and_replay,
};
pub use largest::{Dimension, Largest, Limit, largest};
pub use rule_of_thumb::{RuleOfThumb, rule_of_thumb};
pub use search::largest_fitting;
pub use techniques::{Row, techniques};
