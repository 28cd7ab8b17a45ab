use brimful_jobs::{Job, Workload};

use crate::fit::{FitError, Replayed};
use crate::search::largest_fitting;
use crate::verdict::FitVerdict;

/// What is made larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Samples per device and micro step.
    Batch,
    /// Tokens per sample.
    Sequence,
}

impl Dimension {
    /// The key in the job file.
    pub const fn key(self) -> &'static str {
        match self {
            Dimension::Batch => "batch",
            Dimension::Sequence => "sequence",
        }
    }
}

/// What ends the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// One more does not fit the GPU.
    Memory,
    /// The model has no more positions.
    Positions,
    /// The search ends at 4 194 304.
    Search,
}

impl Limit {
    /// The word in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory",
            Limit::Positions => "positions",
            Limit::Search => "search",
        }
    }
}

/// The largest value of a dimension that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Largest {
    /// What was made larger.
    pub dimension: Dimension,
    /// The largest value that fits; `None` where not even 1 does.
    pub value: Option<u64>,
    /// The largest value that is too close to call; `None` where the value after the largest that fits does not fit.
    pub too_close: Option<u64>,
    /// Why no more.
    pub limit: Limit,
}

/// The largest value that is tried; a tensor of so many tokens is near the end of 32-bit indices.
const BOUND: u64 = 1 << 22;

/// Finds the largest batch or sequence that fits the job's GPU, everything else unchanged.
///
/// As [`largest_fitting`] looks for it.
///
/// # Errors
/// As [`fit`](crate::fit()).
pub fn largest(job: &Job, dimension: Dimension) -> Result<Largest, FitError> {
    let verdict = |value: u64| Ok::<_, FitError>(Replayed::of(&with(job, dimension, value))?.verdict());
    let (bound, limit) = bound(job, dimension);
    let value = largest_fitting(bound, |value| Ok::<_, FitError>(verdict(value)? == FitVerdict::Fits))?;
    // The values between are few, so that the second search begins where the first one ended.
    let surely = value.unwrap_or(0);
    let may_fit = |more: u64| Ok::<_, FitError>(verdict(surely + more)? != FitVerdict::DoesNotFit);
    let more = if surely < bound { largest_fitting(bound - surely, may_fit)? } else { None };
    let limit = if value == Some(bound) { limit } else { Limit::Memory };
    Ok(Largest { dimension, value, too_close: more.map(|more| surely + more), limit })
}

/// The most that is asked for, and why.
fn bound(job: &Job, dimension: Dimension) -> (u64, Limit) {
    let generated = match &job.workload {
        Workload::Train(_) => 0,
        Workload::Infer(run) => run.decode_steps,
    };
    match (dimension, job.model.learned_positions()) {
        (Dimension::Sequence, Some((_, positions))) => {
            (positions.saturating_sub(generated).clamp(1, BOUND), Limit::Positions)
        }
        _ => (BOUND, Limit::Search),
    }
}

/// The job with one dimension changed.
fn with(job: &Job, dimension: Dimension, value: u64) -> Job {
    let mut job = job.clone();
    let (batch, sequence) = match &mut job.workload {
        Workload::Train(run) => (&mut run.batch, &mut run.sequence),
        Workload::Infer(run) => (&mut run.batch, &mut run.sequence),
    };
    match dimension {
        Dimension::Batch => *batch = value,
        Dimension::Sequence => *sequence = value,
    }
    job
}
