use brimful_devices::Gpu;
use brimful_explain::{Peak, Place, at_event, peak};
use brimful_jobs::Job;
use brimful_replay::{
    AllocatorConfig, Capacity, ConfigError, Ledger, Oom, Ties, Timeline, out_of_memory_text, replay,
};
use brimful_step::{StepError, simulate};
use brimful_trace::{PhaseKind, Trace};
use brimful_units::Bytes;

use crate::basis::{Grounds, grounds};

/// Does the job fit its GPU?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitVerdict {
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
pub struct OutOfMemory {
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
    pub verdict: FitVerdict,
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
    pub shortage: Option<OutOfMemory>,
    /// What each number rests on.
    pub grounds: Vec<Grounds>,
}

/// The largest blocks that an answer lists.
const TOP: usize = 10;

/// A job's trace and what the allocator makes of it: all that a search needs, without the make-up of the peak.
pub(crate) struct Replayed {
    config: AllocatorConfig,
    trace: Trace,
    /// The replay on a device without an end.
    pub(crate) timeline: Timeline,
    /// The replay within the GPU's capacity; `None` if nothing can fail there, or the job names no GPU.
    within: Option<Timeline>,
}

impl Replayed {
    /// Simulates the job and replays it.
    ///
    /// # Errors
    /// As [`fit`].
    pub(crate) fn of(job: &Job) -> Result<Replayed, FitError> {
        let (config, trace, timeline) = without_end(job)?;
        // An allocator that never reaches the end of the GPU does the same with and without one, unless it is given a
        // share. Only then, and where the need exceeds the GPU, a second replay says what fails or is given back.
        let within = job.gpu.as_ref().and_then(|gpu| {
            let held = with_overhead(timeline.peak.reserved, gpu.context);
            let may_fail = held > gpu.total || config.per_process_memory_fraction.is_some();
            let capacity = Capacity { total: Some(gpu.total), taken: gpu.context };
            may_fail.then(|| replay(&trace, &config, &capacity))
        });
        Ok(Replayed { config, trace, timeline, within })
    }

    /// Does the job fit its GPU?
    pub(crate) fn verdict(&self, job: &Job) -> FitVerdict {
        match &self.within {
            Some(within) if within.oom.is_some() => FitVerdict::DoesNotFit,
            _ if job.gpu.is_some() => FitVerdict::Fits,
            _ => FitVerdict::NoDevice,
        }
    }

    /// Peaks on the GPU if the job fits only because the allocator returns cached memory there.
    fn squeezed(&self) -> Option<Ledger> {
        let within = self.within.as_ref().filter(|within| within.oom.is_none())?;
        (within.peak.reserved < self.timeline.peak.reserved).then_some(within.peak)
    }

    /// The failure, if there is one.
    fn out_of_memory(&self) -> Option<OutOfMemory> {
        let oom = self.within.as_ref()?.oom?;
        Some(OutOfMemory {
            place: at_event(&self.trace, oom.event, 0).place,
            message: out_of_memory_text(&oom, self.config.expandable_segments),
            oom,
        })
    }
}

/// Simulates the job and answers whether it fits.
///
/// # Errors
/// [`FitError`] if the job cannot be simulated or its allocator settings are wrong.
pub fn fit(job: &Job) -> Result<Fit, FitError> {
    let replayed = Replayed::of(job)?;
    let Replayed { trace, timeline, .. } = &replayed;
    let (total, trainable) = job.parameter_counts();
    let squeezed = replayed.squeezed();
    let overhead = job.gpu.as_ref().map_or(Bytes::ZERO, |gpu| gpu.context);
    Ok(Fit {
        verdict: replayed.verdict(job),
        params: Params { total, trainable },
        ledger: timeline.peak,
        device_peak: with_overhead(timeline.peak.reserved, overhead),
        peak: peak(trace, timeline, TOP),
        phases: phases(trace, timeline),
        device: job.gpu.as_ref().map(|gpu| device_use(gpu, squeezed.unwrap_or(timeline.peak).reserved)),
        squeezed,
        retries: replayed.within.as_ref().map_or(0, |within| within.retries),
        shortage: replayed.out_of_memory(),
        grounds: grounds(job),
    })
}

/// The job's trace, and what the allocator makes of it on a device without an end.
///
/// # Errors
/// As [`fit`].
pub fn simulate_and_replay(job: &Job) -> Result<(Trace, Timeline), FitError> {
    without_end(job).map(|(_, trace, timeline)| (trace, timeline))
}

/// The job's allocator settings, with the order that its version of torch has among equal blocks.
///
/// # Errors
/// [`ConfigError`] if a setting is wrong.
pub fn allocator_config(job: &Job) -> Result<AllocatorConfig, ConfigError> {
    let config: AllocatorConfig = job.allocator_conf.parse()?;
    Ok(AllocatorConfig { ties: Some(Ties::of_torch(&job.versions.torch)), ..config })
}

/// The job on a device without an end: its need is the answer whatever the GPU, so this replay may not end at a failure.
fn without_end(job: &Job) -> Result<(AllocatorConfig, Trace, Timeline), FitError> {
    let config = allocator_config(job)?;
    let trace = simulate(job)?;
    let timeline = replay(&trace, &config, &Capacity::unlimited());
    Ok((config, trace, timeline))
}

fn device_use(gpu: &Gpu, reserved: Bytes) -> DeviceUse {
    DeviceUse {
        name: gpu.name.clone(),
        usable: gpu.total,
        overhead: gpu.context,
        headroom: signed_difference(gpu.total, with_overhead(reserved, gpu.context)),
    }
}

/// What the process holds on the device: reserved memory, CUDA context and kernels.
fn with_overhead(reserved: Bytes, overhead: Bytes) -> Bytes {
    reserved.checked_add(overhead).unwrap_or(reserved)
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
