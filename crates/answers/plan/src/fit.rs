use brimful_explain::{Peak, Place, at_event, peak};
use brimful_jobs::Job;
use brimful_replay::{
    AllocatorConfig, Capacity, ConfigError, Ledger, Oom, Ties, Timeline, out_of_memory_text, replay,
};
use brimful_step::{StepError, simulate};
use brimful_trace::{PhaseKind, Trace};
use brimful_units::Bytes;

use crate::basis::{Grounds, grounds};
use crate::verdict::{DeviceUse, FitVerdict, OnGpu, on_gpu, with_overhead};

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
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Does it fit?
    pub verdict: FitVerdict,
    /// The model's parameters.
    pub params: Params,
    /// Peaks of the whole run, loading included, on a device without an end.
    pub ledger: Ledger,
    /// Peaks of what follows loading, on a device without an end.
    pub after_loading: Ledger,
    /// Reserved memory and what the process needs beside it, on a device without an end.
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
    /// The failure, where the best figures of the GPU give one.
    pub shortage: Option<OutOfMemory>,
    /// What each number rests on.
    pub grounds: Vec<Grounds>,
}

impl Fit {
    /// What the job needs: on its GPU, or on a device without an end where it names none.
    pub fn need(&self) -> Bytes {
        self.device.as_ref().map_or(self.device_peak, |device| device.need)
    }

    /// Whether loading the model takes more than everything after it.
    pub fn loading_is_the_peak(&self) -> bool {
        self.peak.as_ref().is_some_and(|peak| peak.place.phase == Some(PhaseKind::Load))
    }
}

/// The largest blocks that an answer lists.
const TOP: usize = 10;

/// A job's trace and what the allocator makes of it: all that a search needs, without the make-up of the peak.
pub(crate) struct Replayed {
    config: AllocatorConfig,
    trace: Trace,
    /// The replay on a device without an end.
    pub(crate) timeline: Timeline,
    /// The trace on the job's GPU; `None` if the job names none.
    on_gpu: Option<OnGpu>,
}

impl Replayed {
    /// Simulates the job and replays it.
    ///
    /// # Errors
    /// As [`fit`].
    pub(crate) fn of(job: &Job) -> Result<Replayed, FitError> {
        let (config, trace, timeline) = without_end(job)?;
        let on_gpu = job.gpu.as_ref().map(|gpu| on_gpu(&trace, &config, &timeline, gpu));
        Ok(Replayed { config, trace, timeline, on_gpu })
    }

    /// Does the job fit its GPU?
    pub(crate) fn verdict(&self) -> FitVerdict {
        self.on_gpu.as_ref().map_or(FitVerdict::NoDevice, |on_gpu| on_gpu.verdict)
    }

    /// What the job needs on its GPU, or on a device without an end if it names none.
    pub(crate) fn need(&self) -> Bytes {
        self.on_gpu.as_ref().map_or(self.timeline.peak.reserved, |on_gpu| on_gpu.device.need)
    }

    /// The failure, if there is one.
    fn out_of_memory(&self) -> Option<OutOfMemory> {
        let oom = self.on_gpu.as_ref()?.within.as_ref()?.oom?;
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
    let Replayed { trace, timeline, on_gpu, .. } = &replayed;
    let (total, trainable) = job.parameter_counts();
    let overhead = job.gpu.as_ref().map_or(Bytes::ZERO, |gpu| gpu.context);
    let within = on_gpu.as_ref().and_then(|on_gpu| on_gpu.within.as_ref());
    Ok(Fit {
        verdict: replayed.verdict(),
        params: Params { total, trainable },
        ledger: timeline.peak,
        after_loading: timeline.after_loading(trace).0,
        device_peak: with_overhead(timeline.peak.reserved, overhead),
        peak: peak(trace, timeline, TOP),
        phases: phases(trace, timeline),
        device: on_gpu.as_ref().map(|on_gpu| on_gpu.device.clone()),
        squeezed: on_gpu.as_ref().and_then(|on_gpu| on_gpu.squeezed(timeline)),
        retries: within.map_or(0, |within| within.retries),
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
    let mut trace = simulate(job)?;
    // A replay of the written trace finds the settings that its predictions were made for.
    trace.conf.clone_from(&job.allocator_conf);
    let timeline = replay(&trace, &config, &Capacity::unlimited());
    Ok((config, trace, timeline))
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
