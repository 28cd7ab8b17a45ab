use brimful_jobs::LoadedJob;
use brimful_plan::{Fit, Largest, Row};

/// An answer about a job with what stands around it.
pub struct FitAnswer<'a> {
    /// The job as it was named in the call.
    pub job: &'a str,
    /// The call's arguments that ask for this job again: its name and the keys that flags changed.
    pub call: &'a str,
    /// The job, with what was assumed because it did not say.
    pub loaded: &'a LoadedJob,
    /// The answer.
    pub fit: &'a Fit,
    /// The largest batch or sequence that fits, where it was asked for.
    pub largest: Option<&'a Largest>,
    /// Techniques, most saved first.
    pub techniques: &'a [Row],
    /// Whether the call asked for all techniques.
    pub techniques_were_asked_for: bool,
}
