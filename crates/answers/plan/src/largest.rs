use brimful_jobs::{Job, Run};

use crate::fit::{FitError, Verdict, fit};

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

/// The largest value of a dimension that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Largest {
    /// What was made larger.
    pub dimension: Dimension,
    /// The largest value that fits; `None` where not even 1 does.
    pub value: Option<u64>,
    /// Whether the search ended at its own bound, with more possibly fitting.
    pub bounded: bool,
}

/// Beyond this nobody asks, and indices of 32 bits end.
const BOUND: u64 = 1 << 22;

/// Finds the largest batch or sequence that fits the job's GPU, everything else unchanged.
///
/// Doubles until it does not fit, then halves the gap. A larger value that fits above one that does
/// not (fragmentation makes that possible) is not looked for.
///
/// # Errors
/// As [`fit`].
pub fn largest(job: &Job, dimension: Dimension) -> Result<Largest, FitError> {
    let fits = |value: u64| -> Result<bool, FitError> {
        Ok(fit(&with(job, dimension, value))?.verdict != Verdict::DoesNotFit)
    };
    if !fits(1)? {
        return Ok(Largest { dimension, value: None, bounded: false });
    }
    let (mut good, mut bad) = (1, 2);
    while fits(bad)? {
        good = bad;
        bad *= 2;
        if bad > BOUND {
            return Ok(Largest { dimension, value: Some(good), bounded: true });
        }
    }
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle)? { good = middle } else { bad = middle }
    }
    Ok(Largest { dimension, value: Some(good), bounded: false })
}

/// The job with one dimension changed.
fn with(job: &Job, dimension: Dimension, value: u64) -> Job {
    let mut job = job.clone();
    let (batch, sequence) = match &mut job.run {
        Run::Train(run) => (&mut run.batch, &mut run.sequence),
        Run::Infer(run) => (&mut run.batch, &mut run.sequence),
    };
    match dimension {
        Dimension::Batch => *batch = value,
        Dimension::Sequence => *sequence = value,
    }
    job
}
