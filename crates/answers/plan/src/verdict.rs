//! Whether a trace fits a GPU, and the need on that GPU which the verdict is about.

use brimful_devices::{Basis, Gpu};
use brimful_replay::{AllocatorConfig, Capacity, Ledger, Timeline, replay};
use brimful_trace::Trace;
use brimful_units::Bytes;

/// Does the job fit its GPU?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitVerdict {
    /// Every allocation is served, also if each figure of the GPU is off by its whole margin.
    Fits,
    /// The margin decides, or the job fits only because the allocator returns cached memory.
    TooClose,
    /// An allocation fails, also if each figure of the GPU is off by its whole margin.
    DoesNotFit,
    /// The job names no GPU.
    NoDevice,
}

/// What the GPU gives and what the job takes.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceUse {
    /// The GPU's name.
    pub name: String,
    /// What `cudaMemGetInfo` reports as total, in bytes.
    pub usable: Bytes,
    /// The part of it that the job may use, if the allocator's settings limit it.
    pub share: Option<Share>,
    /// CUDA context and loaded kernels, in bytes.
    pub overhead: Bytes,
    /// How far `overhead` may be off in either direction.
    pub context_margin: Bytes,
    /// How far `usable` and `overhead` together may be off in either direction.
    pub margin: Bytes,
    /// What the job needs on this GPU: reserved memory, CUDA context and kernels. Where the job fits, this is what the
    /// process holds at its fullest, after the allocator has returned cached memory to make room.
    pub need: Bytes,
    /// What the job may have less `need`; negative where it does not fit.
    pub headroom: i64,
}

/// A limit that `per_process_memory_fraction` sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The fraction of the GPU's total that PyTorch may reserve.
    pub fraction: f64,
    /// What the process can then hold: PyTorch's share and, beside it, the CUDA context.
    pub limit: Bytes,
}

impl DeviceUse {
    /// What the job may have of the GPU.
    pub fn capacity(&self) -> Bytes {
        self.share.map_or(self.usable, |share| share.limit)
    }
}

/// A trace on a GPU.
#[derive(Clone, Debug)]
pub struct OnGpu {
    /// Does it fit?
    pub verdict: FitVerdict,
    /// What it takes there.
    pub device: DeviceUse,
    /// The replay within the GPU's capacity; `None` if nothing can fail there.
    pub within: Option<Timeline>,
}

/// Judges a trace on a GPU. `unlimited` is the trace's replay under the same settings on a GPU without an end.
pub fn on_gpu(trace: &Trace, config: &AllocatorConfig, unlimited: &Timeline, gpu: &Gpu) -> OnGpu {
    let judge = Judge { trace, config, unlimited, gpu, share: share(config, gpu), margins: margins(gpu) };
    let capacity = Capacity { total: Some(gpu.total), taken: gpu.context };
    let within = judge.may_fail().then(|| replay(trace, config, &capacity));
    let need = judge.need(within.as_ref());
    let device = DeviceUse {
        name: gpu.name.clone(),
        usable: gpu.total,
        share: judge.share,
        overhead: gpu.context,
        context_margin: judge.margins.1,
        margin: with_overhead(judge.margins.0, judge.margins.1),
        need,
        headroom: signed_difference(judge.capacity(), need),
    };
    OnGpu { verdict: judge.verdict(within.as_ref()), device, within }
}

/// How far the GPU's total and its context may be off, in bytes.
fn margins(gpu: &Gpu) -> (Bytes, Bytes) {
    let margin = |basis: &Basis| basis.margin.unwrap_or_default();
    (margin(&gpu.total_basis), margin(&gpu.context_basis))
}

/// A share of the GPU's total, as PyTorch rounds it.
fn part(fraction: f64, total: Bytes) -> Bytes {
    Bytes::new((fraction * total.get() as f64).round() as u64)
}

/// The limit of `per_process_memory_fraction`, which counts what PyTorch reserves and not the CUDA context
/// (`allowed_memory_maximum` in c10/cuda/CUDACachingAllocator.cpp, 2.15). A share that exceeds the GPU is no limit.
fn share(config: &AllocatorConfig, gpu: &Gpu) -> Option<Share> {
    let fraction = config.per_process_memory_fraction.filter(|fraction| *fraction < 1.0)?;
    let limit = with_overhead(part(fraction, gpu.total), gpu.context);
    (limit < gpu.total).then_some(Share { fraction, limit })
}

struct Judge<'a> {
    trace: &'a Trace,
    config: &'a AllocatorConfig,
    unlimited: &'a Timeline,
    gpu: &'a Gpu,
    share: Option<Share>,
    /// Of the total and of the context.
    margins: (Bytes, Bytes),
}

impl Judge<'_> {
    /// What the process may hold on the GPU.
    fn capacity(&self) -> Bytes {
        self.share.map_or(self.gpu.total, |share| share.limit)
    }

    /// What the process holds on a GPU without an end.
    fn without_end(&self) -> Bytes {
        with_overhead(self.unlimited.peak.reserved, self.gpu.context)
    }

    /// An allocator that never reaches the end of the GPU does the same with and without one, unless it is given a share:
    /// `garbage_collection_threshold` then returns memory before the end is reached.
    fn may_fail(&self) -> bool {
        self.without_end() > self.gpu.total || self.config.per_process_memory_fraction.is_some()
    }

    fn verdict(&self, within: Option<&Timeline>) -> FitVerdict {
        match within.map(|within| within.oom) {
            Some(Some(_)) => self.verdict_of_a_failure(),
            Some(None) | None if self.is_surely_within() => FitVerdict::Fits,
            Some(None) | None => FitVerdict::TooClose,
        }
    }

    /// Whether the whole need, without any return of cached memory, stays within the least that the GPU may give.
    fn is_surely_within(&self) -> bool {
        let (total, context) =
            (self.gpu.total.saturating_sub(self.margins.0), with_overhead(self.gpu.context, self.margins.1));
        let reserved = self.unlimited.peak.reserved;
        let share = self.share.map_or(total, |share| part(share.fraction, total));
        with_overhead(reserved, context) <= total && reserved <= share
    }

    /// The best figures give a failure: does the most that the GPU may give end in one, too?
    fn verdict_of_a_failure(&self) -> FitVerdict {
        let total = with_overhead(self.gpu.total, self.margins.0);
        let taken = self.gpu.context.saturating_sub(self.margins.1);
        match replay(self.trace, self.config, &Capacity { total: Some(total), taken }).oom {
            Some(_) => FitVerdict::DoesNotFit,
            None => FitVerdict::TooClose,
        }
    }

    /// The need on this GPU. Of a job that fails it is the need without an end, and at least what was held and asked for
    /// when it failed.
    fn need(&self, within: Option<&Timeline>) -> Bytes {
        let Some(within) = within else { return self.without_end() };
        match within.oom {
            None => with_overhead(within.peak.reserved, self.gpu.context),
            Some(oom) => {
                let held = with_overhead(oom.reserved, self.gpu.context);
                self.without_end().max(with_overhead(held, oom.tried))
            }
        }
    }
}

impl OnGpu {
    /// The peaks on the GPU if the job fits only because the allocator returns cached memory there.
    pub fn squeezed(&self, unlimited: &Timeline) -> Option<Ledger> {
        let within = self.within.as_ref().filter(|within| within.oom.is_none())?;
        (within.peak.reserved < unlimited.peak.reserved).then_some(within.peak)
    }
}

/// What the process holds on the device: reserved memory, CUDA context and kernels.
pub(crate) fn with_overhead(reserved: Bytes, overhead: Bytes) -> Bytes {
    reserved.checked_add(overhead).unwrap_or(reserved)
}

fn signed_difference(a: Bytes, b: Bytes) -> i64 {
    let difference = i128::from(a.get()) - i128::from(b.get());
    difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
