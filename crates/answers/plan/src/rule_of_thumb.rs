use brimful_jobs::{Job, OptimizerKind, Workload};
use brimful_units::Dtype;

/// What people guess without a tool, in GB of 10^9 bytes: to be shown beside the answer, never used in it.
///
/// The guess for a 7B model is "14 GB weights + 28 GB Adam states + 14 GB gradients + 10 to 20 GB activations"; for
/// others it is taken in proportion to the parameters, in fp32 with 4 bytes instead of 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleOfThumb {
    /// Bytes of each parameter, times the parameters.
    pub weights: f64,
    /// As the weights.
    pub gradients: f64,
    /// Two states of the weights' dtype.
    pub optimizer: f64,
    /// From, to.
    pub activations: (f64, f64),
}

/// The guess about full training of a language model with Adam; `None` for anything else.
pub fn rule_of_thumb(job: &Job) -> Option<RuleOfThumb> {
    let Workload::Train(run) = &job.workload else { return None };
    let kind = run.optimizer.as_ref()?.kind;
    if run.lora.is_some()
        || run.image.is_some()
        || run.task.reads_speech()
        || !matches!(kind, OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. })
    {
        return None;
    }
    let billions = nominal(job.model.parameter_count());
    let bytes = if run.precision.weights() == Dtype::F32 { 4.0 } else { 2.0 };
    let weights = billions * bytes;
    Some(RuleOfThumb {
        weights,
        gradients: weights,
        optimizer: 2.0 * weights,
        activations: (billions * 10.0 / 7.0, billions * 20.0 / 7.0),
    })
}

/// Billions of parameters as people say them: 6.74 is "7B", 0.49 is "0.5B".
fn nominal(parameters: u64) -> f64 {
    let billions = parameters as f64 / 1e9;
    if billions >= 1.5 { billions.round() } else { (billions * 10.0).round().max(0.1) / 10.0 }
}

#[cfg(test)]
mod tests {
    use super::nominal;

    #[test]
    fn sizes_as_people_say_them() {
        assert_eq!([6_738_415_616, 494_032_768, 1_235_814_400].map(nominal), [7.0, 0.5, 1.2]);
    }
}
