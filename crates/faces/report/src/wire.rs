//! The parts that several answers share in JSON. Bytes are integers, and every answer begins with `schema`.
//!
//! The types are public so that their schemas can be generated (`cargo xtask schema`, the feature `schema`): see
//! `schemas/` for the contract.

use std::collections::BTreeMap;

use brimful_explain::snapshot::{Contents, Explanation, Held, Share};
use brimful_explain::{Block as PredictedBlock, Keeps, Place as PredictedPlace};
use brimful_plan::FitVerdict as PlanVerdict;
use brimful_replay::Ledger;
use brimful_trace::Category;
use brimful_units::Bytes;
use serde::Serialize;

#[cfg(feature = "schema")]
use crate::words;

/// Bytes by composition's key: parameter, buffer, gradient and so on.
pub type Composition = BTreeMap<&'static str, u64>;

/// The highest value of each ledger. `T` is bytes, or what stands for them: a pair of two runs, an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Peak<T = u64, D = T> {
    /// What the program asked for.
    pub requested: T,
    /// What the allocator gave out, with rounding.
    pub allocated: T,
    /// What is allocated, or freed and still in use by another stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<T>,
    /// What the allocator took from the device.
    pub reserved: T,
    /// What is taken on the device, with the CUDA context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<D>,
}

impl From<&Ledger> for Peak {
    fn from(ledger: &Ledger) -> Peak {
        Peak {
            requested: ledger.requested.get(),
            allocated: ledger.allocated.get(),
            active: None,
            reserved: ledger.reserved.get(),
            device: None,
        }
    }
}

/// Where in the program something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Place<'a> {
    /// The phase; empty where it is not known.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::phase"))]
    pub phase: &'static str,
    /// The op; empty for a recording, which names lines instead.
    pub op: &'a str,
    /// The module's path, or the line of the program where the recording holds no module.
    pub module: &'a str,
    /// What only a recording has.
    #[serde(flatten)]
    pub recorded: Option<RecordedPlace<'a>>,
}

/// Where in a recording something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordedPlace<'a> {
    /// The event's number; null before the first event.
    pub event: Option<usize>,
    /// The stack, innermost frame first.
    pub stack: &'a [String],
}

impl<'a> From<&'a PredictedPlace> for Place<'a> {
    fn from(place: &'a PredictedPlace) -> Place<'a> {
        Place {
            phase: place.phase.map_or("", |phase| phase.name()),
            op: &place.op,
            module: &place.module,
            recorded: None,
        }
    }
}

impl<'a> Place<'a> {
    /// Where a recording is fullest.
    pub(crate) fn of_peak(explanation: &'a Explanation) -> Place<'a> {
        Place {
            phase: explanation.doing.phase().map_or("", |phase| phase.name()),
            op: "",
            module: module_or_line(&explanation.module, &explanation.owner),
            recorded: Some(RecordedPlace {
                event: explanation.followed.peak_event,
                stack: &explanation.stack,
            }),
        }
    }
}

/// A block of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Block<'a> {
    /// Its size.
    pub bytes: u64,
    /// What it is for.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::category"))]
    pub category: &'static str,
    /// Whether the category is a guess; of a recording only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<bool>,
    /// The tensor's shape; null where no tensor is known.
    pub shape: Option<Vec<u64>>,
    /// The tensor's type; null where no tensor is known.
    pub dtype: Option<&'static str>,
    /// The op that made it; empty for a recording.
    pub op: &'a str,
    /// The module that made it, or the line of the program.
    pub module: &'a str,
    /// Its address; of a recording only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
    /// The stack that made it, innermost frame first; of a recording only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<&'a [String]>,
}

impl<'a> From<&'a PredictedBlock> for Block<'a> {
    fn from(block: &'a PredictedBlock) -> Block<'a> {
        Block {
            bytes: block.bytes.get(),
            category: block.category.public_name(),
            uncertain: None,
            shape: block.tensor.as_ref().map(|(shape, _)| shape.dims().to_vec()),
            dtype: block.tensor.as_ref().map(|(_, dtype)| dtype.name()),
            op: &block.made.op,
            module: &block.made.module,
            address: None,
            stack: None,
        }
    }
}

impl<'a> From<&'a Held> for Block<'a> {
    fn from(held: &'a Held) -> Block<'a> {
        Block {
            bytes: held.bytes.get(),
            category: held.purpose.category.public_name(),
            uncertain: Some(held.purpose.uncertain),
            shape: None,
            dtype: None,
            op: "",
            module: module_or_line(&held.module, &held.owner),
            address: Some(held.address),
            stack: Some(&held.stack),
        }
    }
}

/// Something to change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fix<'a> {
    /// Its name, such as `expandable-segments`.
    pub id: &'a str,
    /// What it is, in a line.
    pub title: &'a str,
    /// The flag, key or line to type.
    pub apply: &'a str,
    /// Whether the program computes the same, up to rounding: true for the words identical and close.
    pub keeps_result: bool,
    /// What is known of it.
    #[serde(flatten)]
    pub grounds: FixGrounds<'a>,
}

/// What is known of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum FixGrounds<'a> {
    /// It was tried on a recording.
    Replayed {
        /// Whether the recorded requests were replayed under it.
        checked_by_replay: bool,
        /// The reserved peak under it; null where it was not replayed.
        reserved_peak: Option<u64>,
        /// Whether every request is served; null where that is not known.
        fits: Option<bool>,
    },
    /// It is advised for a message.
    Advised {
        /// What it does to the result.
        #[cfg_attr(feature = "schema", schemars(schema_with = "words::keeps"))]
        result: Keeps,
        /// What it costs.
        cost: &'a str,
        /// What it frees or gives, where the figures say so.
        #[serde(skip_serializing_if = "Option::is_none")]
        saves: Option<&'a str>,
    },
}

/// The verdict about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It fits.
    Fits,
    /// The margin of what is calibrated reaches over the edge, or it fits only because cached memory is given back.
    TooClose,
    /// It does not fit.
    DoesNotFit,
    /// No GPU was named.
    NoDevice,
}

impl From<PlanVerdict> for Verdict {
    fn from(verdict: PlanVerdict) -> Verdict {
        match verdict {
            PlanVerdict::Fits => Verdict::Fits,
            PlanVerdict::TooClose => Verdict::TooClose,
            PlanVerdict::DoesNotFit => Verdict::DoesNotFit,
            PlanVerdict::NoDevice => Verdict::NoDevice,
        }
    }
}

/// The answer as one line of JSON. Answers have only strings as keys, so that the writer has nothing to refuse.
pub(crate) fn line(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

/// The nine public keys and `other`; every key is there, also at zero.
pub(crate) fn composition(contents: &Contents, of: impl Fn(&Share) -> Bytes) -> Composition {
    let mut all: Composition = Category::ALL.iter().map(|category| (category.public_name(), 0)).collect();
    for share in &contents.shares {
        *all.entry(share.category.public_name()).or_default() += of(share).get();
    }
    all
}

/// The module's path, or the line where the recording holds no module.
fn module_or_line<'a>(module: &'a str, owner: &'a str) -> &'a str {
    if module.is_empty() { owner } else { module }
}
