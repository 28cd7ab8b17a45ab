//! Answers about a job: does it fit, what is the largest batch or sequence that fits, and what each
//! technique alone would change. Every answer is a simulated step, replayed through the allocator.

mod basis;
mod expected;
mod fit;
mod largest;
mod rule_of_thumb;
mod search;
mod techniques;
mod verdict;

pub use basis::{Grounds, grounds};
pub use expected::{Expected, expected};
pub use fit::{Fit, FitError, OutOfMemory, Params, allocator_config, fit, simulate_and_replay};
pub use largest::{Dimension, Largest, Limit, largest};
pub use rule_of_thumb::{RuleOfThumb, rule_of_thumb};
pub use search::largest_fitting;
pub use techniques::{Row, techniques};
pub use verdict::{DeviceUse, FitVerdict, OnGpu, Share, on_gpu};
