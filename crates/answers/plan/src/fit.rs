use brimful_explain::{Peak, Place, at_event, peak};
use brimful_jobs::Job;
use brimful_replay::{
    AllocatorConfig, Capacity, ConfigError, Ledger, Oom, Timeline, out_of_memory_text, replay,
};
use brimful_step::{StepError, simulate};
use brimful_trace::{PhaseKind, Trace};
use brimful_units::Bytes;

use crate::basis::{Grounds, grounds};

/// Does the job fit its GPU?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every allocation is served.
    Fits,
    /// An allocation fails.
    DoesNotFit,
    /// The job names no GPU.
    NoDevice,
}

/// The question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The step cannot be simulated.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The allocator's settings are wrong.
    #[error(transparent)]
    Allocator(#[from] ConfigError),
}

/// The model's parameters, counted in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// All of them.
    pub total: u64,
    /// Those that are trained.
    pub trainable: u64,
}

/// What the GPU gives and what the job takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceUse {
    /// The GPU's name.
    pub name: String,
    /// What `cudaMemGetInfo` reports as total, in bytes.
    pub usable: Bytes,
    /// CUDA context and loaded kernels, in bytes.
    pub overhead: Bytes,
    /// `usable` less the peak on this GPU; negative where it does not fit.
    pub headroom: i64,
}

/// The allocation that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The amounts at that moment.
    pub oom: Oom,
    /// Where in the program it is.
    pub place: Place,
    /// What PyTorch would print.
    pub message: String,
}

/// The answer about one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Does it fit?
    pub verdict: Verdict,
    /// The model's parameters.
    pub params: Params,
    /// Peaks of the whole run outside of loading, on a device without an end.
    pub ledger: Ledger,
    /// Reserved memory and what the process needs beside it.
    pub device_peak: Bytes,
    /// Where the requested peak is and what fills it.
    pub peak: Option<Peak>,
    /// Peaks by part of the run, in its order.
    pub phases: Vec<(PhaseKind, Ledger)>,
    /// The GPU; `None` where the job names none.
    pub device: Option<DeviceUse>,
    /// Peaks on this GPU, where the job fits only because the allocator returns cached memory there.
    pub squeezed: Option<Ledger>,
    /// How often a failed request made the allocator return all its cached memory.
    pub retries: u64,
    /// The failure, where it does not fit.
    pub shortage: Option<Shortage>,
    /// What each number rests on.
    pub grounds: Vec<Grounds>,
}

/// The largest blocks that an answer lists.
const TOP: usize = 10;

/// Simulates the job and answers whether it fits.
///
/// # Errors
/// [`FitError`] where the job cannot be simulated or its allocator settings are wrong.
pub fn fit(job: &Job) -> Result<Fit, FitError> {
    let (trace, timeline) = simulate_and_replay(job)?;
    let config: AllocatorConfig = job.allocator_conf.parse()?;
    let (total, trainable) = job.parameter_counts();
    let overhead = job.gpu.as_ref().map_or(Bytes::ZERO, |gpu| gpu.context);
    let device_peak = timeline.peak.reserved.checked_add(overhead).unwrap_or(timeline.peak.reserved);
    let mut fit = Fit {
        verdict: Verdict::NoDevice,
        params: Params { total, trainable },
        ledger: timeline.peak,
        device_peak,
        peak: peak(&trace, &timeline, TOP),
        phases: phases(&trace, &timeline),
        device: None,
        squeezed: None,
        retries: 0,
        shortage: None,
        grounds: grounds(job),
    };
    if let Some(gpu) = &job.gpu {
        fit.device = Some(DeviceUse {
            name: gpu.name.clone(),
            usable: gpu.total,
            overhead,
            headroom: signed_difference(gpu.total, device_peak),
        });
        let capacity = Capacity { total: Some(gpu.total), taken: overhead };
        judge(&mut fit, &trace, &config, &capacity);
    }
    Ok(fit)
}

/// The job's trace, and what the allocator makes of it on a device without an end.
///
/// # Errors
/// As [`fit`].
pub fn simulate_and_replay(job: &Job) -> Result<(Trace, Timeline), FitError> {
    let config: AllocatorConfig = job.allocator_conf.parse()?;
    let trace = simulate(job)?;
    let timeline = replay(&trace, &config, &Capacity::unlimited());
    Ok((trace, timeline))
}

/// Replays within the GPU's capacity; where the unlimited peak is below it nothing can fail.
fn judge(fit: &mut Fit, trace: &Trace, config: &AllocatorConfig, capacity: &Capacity) {
    fit.verdict = Verdict::Fits;
    if capacity.total.is_some_and(|total| fit.device_peak <= total)
        && config.per_process_memory_fraction.is_none()
    {
        return;
    }
    let timeline = replay(trace, config, capacity);
    fit.retries = timeline.retries;
    if let Some(oom) = timeline.oom {
        fit.verdict = Verdict::DoesNotFit;
        fit.shortage = Some(Shortage {
            place: at_event(trace, oom.event, 0).place,
            message: out_of_memory_text(&oom, config.expandable_segments),
            oom,
        });
    } else if timeline.peak.reserved < fit.ledger.reserved {
        fit.squeezed = Some(timeline.peak);
        if let Some(device) = &mut fit.device {
            let taken = timeline.peak.reserved.checked_add(device.overhead).unwrap_or(device.usable);
            device.headroom = signed_difference(device.usable, taken);
        }
    }
}

fn signed_difference(a: Bytes, b: Bytes) -> i64 {
    let difference = i128::from(a.get()) - i128::from(b.get());
    difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Peaks of each part of the run over all its repetitions.
fn phases(trace: &Trace, timeline: &Timeline) -> Vec<(PhaseKind, Ledger)> {
    let mut all: Vec<(PhaseKind, Ledger)> = Vec::new();
    for phase in &timeline.phases {
        let kind = trace.phase(phase.phase).kind;
        if matches!(kind, PhaseKind::Data | PhaseKind::ZeroGrad) {
            continue;
        }
        match all.iter_mut().find(|row| row.0 == kind) {
            Some((_, ledger)) => {
                ledger.requested = ledger.requested.max(phase.peak.requested);
                ledger.allocated = ledger.allocated.max(phase.peak.allocated);
                ledger.reserved = ledger.reserved.max(phase.peak.reserved);
            }
            None => all.push((kind, phase.peak)),
        }
    }
    all
}
