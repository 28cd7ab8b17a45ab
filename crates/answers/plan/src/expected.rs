use brimful_jobs::Job;
use brimful_units::Bytes;

use crate::fit::{FitError, fit};
use crate::verdict::FitVerdict;

/// What a job should take, beside what a failed run of it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Does the job as it is fit a GPU of that size?
    pub verdict: FitVerdict,
    /// Its peak on the device: reserved, and the CUDA context (ledger: device).
    pub device_peak: Bytes,
    /// What the process had when it failed (ledger: device); `None` if the text does not say.
    pub held: Option<Bytes>,
}

impl Expected {
    /// What the numbers together say.
    pub fn sentence(&self) -> String {
        let peak = self.device_peak;
        match (self.verdict, self.held) {
            (FitVerdict::DoesNotFit, Some(held)) => format!(
                "this setting needs {peak}, more than the GPU has: it fails without any leak; {held} were held when it did"
            ),
            (FitVerdict::TooClose, Some(held)) => format!(
                "this setting needs {peak}, which is too close to the GPU's end to call; {held} were held when it failed"
            ),
            (FitVerdict::TooClose, None) => {
                format!("this setting needs {peak}, which is too close to the GPU's end to call")
            }
            (FitVerdict::DoesNotFit, None) => {
                format!("this setting needs {peak}, more than the GPU has: it fails without any leak")
            }
            (_, Some(held)) if held > peak => format!(
                "this setting needs {peak}, but the process held {held}: {} more than expected, so something else is kept \
                 (a second model, outputs held over steps, longer batches)",
                held.saturating_sub(peak)
            ),
            (_, Some(held)) => format!(
                "this setting needs {peak} and would fit; the process held {held} when it failed: other processes, or \
                 sizes that the text does not show, take the rest"
            ),
            (_, None) => format!("this setting needs {peak} and would fit"),
        }
    }
}

/// Predicts the job and puts it beside what its process held.
///
/// # Errors
/// As [`fit`].
pub fn expected(job: &Job, held: Option<Bytes>) -> Result<Expected, FitError> {
    let fit = fit(job)?;
    Ok(Expected { verdict: fit.verdict, device_peak: fit.need(), held })
}
