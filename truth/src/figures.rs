//! What brimful predicts of each figure of a recorded run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use brimful_explain::{Peak, at_event};
use brimful_jobs::Job;
use brimful_plan::{Fit, fit, simulate_and_replay};
use brimful_replay::{Ledger, Timeline};
use brimful_trace::{AllocationId, Category, Event, PhaseKind, Trace};

use crate::{Case, Expect, PhaseRow};

/// A figure of a run: what it is, what was predicted, what was real.
pub struct Figure {
    /// What the figure is.
    pub what: &'static str,
    /// What brimful predicts.
    pub predicted: String,
    /// What PyTorch reported.
    pub real: String,
}

impl Figure {
    /// Whether the prediction equals the truth.
    pub fn is_equal(&self) -> bool {
        self.predicted == self.real
    }

    /// How far a number is off, in parts of the real one; `None` where the figure is no number.
    pub fn off(&self) -> Option<f64> {
        let (predicted, real) = (self.predicted.parse::<f64>().ok()?, self.real.parse::<f64>().ok()?);
        Some((predicted - real).abs() / real.max(1.0))
    }
}

/// What brimful predicts of the case, beside the truth. Figures that were not recorded are left out.
///
/// # Errors
/// A job that brimful refuses.
pub fn figures(case: &Case) -> Result<Vec<Figure>> {
    let Some(real) = &case.expect else { return Ok(Vec::new()) };
    let prediction = Prediction::of(&case.job()?)?;
    let mut all = vec![
        number("parameters", prediction.fit.params.total, real.params),
        number("trained parameters", prediction.fit.params.trainable, real.trainable),
        number("requested peak", prediction.ledger.requested.get(), real.peak.requested),
        number("allocated peak", prediction.ledger.allocated.get(), real.peak.allocated),
        number("reserved peak", prediction.ledger.reserved.get(), real.peak.reserved),
        number("calls of cudaMalloc", prediction.timeline.device_allocs, real.num_device_alloc),
        text("ledgers of every phase", prediction.phases(), real.phases.iter().map(phase_text).collect()),
    ];
    if let Some(tensors) = real.tensor_peak_requested {
        all.push(number("requested peak of the tensors alone", prediction.tensor_peak(), tensors));
    }
    all.extend(prediction.place(real));
    if !real.composition.is_empty() {
        all.push(text("composition of the peak", prediction.composition(), composition(&real.composition)));
    }
    if !real.kept_per_block.is_empty() {
        let kept = prediction.kept_per_block();
        all.push(text("bytes kept per block", format!("{kept:?}"), format!("{:?}", real.kept_per_block)));
    }
    all.retain(|figure| !case.not_compared.contains_key(figure.what));
    Ok(all)
}

fn number(what: &'static str, predicted: u64, real: u64) -> Figure {
    text(what, predicted.to_string(), real.to_string())
}

fn text(what: &'static str, predicted: String, real: String) -> Figure {
    Figure { what, predicted, real }
}

/// What is predicted of a run after loading: the recorded scripts reset PyTorch's peaks once the model is there.
struct Prediction {
    fit: Fit,
    trace: Trace,
    timeline: Timeline,
    ledger: Ledger,
    peak: Option<Peak>,
}

impl Prediction {
    fn of(job: &Job) -> Result<Prediction> {
        let (trace, timeline) = simulate_and_replay(job)?;
        let (ledger, event) = timeline.after_loading(&trace);
        let peak = event.map(|event| at_event(&trace, event, 0));
        Ok(Prediction { fit: fit(job)?, trace, timeline, ledger, peak })
    }

    fn name(&self, at: usize) -> &str {
        self.trace.contexts.str(self.trace.phases()[at].name)
    }

    /// The ledgers of each phase after loading, one line each.
    fn phases(&self) -> String {
        let line = |(at, row): (usize, &brimful_replay::PhaseLedger)| {
            let kind = self.trace.phase(row.phase).kind;
            let (peak, end) = (row.peak, row.end);
            (kind != PhaseKind::Load).then(|| {
                phase_text(&(
                    self.name(at).to_owned(),
                    peak.requested.get(),
                    peak.allocated.get(),
                    peak.reserved.get(),
                    end.requested.get(),
                    end.allocated.get(),
                ))
            })
        };
        self.timeline.phases.iter().enumerate().filter_map(line).collect()
    }

    fn place(&self, real: &Expect) -> Vec<Figure> {
        let place = self.peak.as_ref().map(|peak| &peak.place);
        let of = |get: fn(&brimful_explain::Place) -> &String| place.map(get).cloned().unwrap_or_default();
        let mut all = vec![text("phase of the peak", of(|place| &place.phase_name), real.peak_phase.clone())];
        if let Some(at) = &real.peak_at {
            // A module that runs again inside the backward is recorded with `~re`.
            let module = at.module.replace("~re", "");
            all.push(text("op of the peak", of(|place| &place.op), at.op.clone()));
            all.push(text("module of the peak", of(|place| &place.module), module));
            all.push(text("autograd node of the peak", of(|place| &place.node), at.node.clone()));
        }
        all
    }

    /// The largest sum of tensors after loading, without the buffers that kernels ask for themselves.
    fn tensor_peak(&self) -> u64 {
        let (mut begun, mut size, mut most) = (0, 0_u64, 0);
        let bytes = |id: AllocationId| match self.trace.allocations.get(id).category {
            Category::KernelBuffer => 0,
            _ => self.trace.allocations.bytes(id).get(),
        };
        for event in self.trace.events() {
            match event {
                Event::Phase(_) => begun += 1,
                Event::Alloc(id) => size += bytes(id),
                Event::Free(id) => size = size.saturating_sub(bytes(id)),
                _ => {}
            }
            // The first phase is loading.
            if begun > 1 {
                most = most.max(size);
            }
        }
        most
    }

    fn composition(&self) -> String {
        let peak = self.peak.as_ref();
        let rows = peak.map(|peak| peak.composition.public()).unwrap_or_default();
        named(rows.into_iter().map(|(name, bytes)| (name, bytes.get())))
    }

    /// What of the last forward is alive when it ends, by decoder block.
    fn kept_per_block(&self) -> BTreeMap<String, u64> {
        let phases = self.trace.phases();
        let last = phases.iter().rposition(|phase| phase.kind == PhaseKind::Forward);
        let mut kept = BTreeMap::new();
        for id in last.map(|at| self.alive_at_end(at)).unwrap_or_default() {
            let context = self.trace.contexts.get(self.trace.allocations.get(id).context);
            let block = block_of(self.trace.contexts.str(context.module));
            *kept.entry(block).or_default() += self.trace.allocations.bytes(id).get();
        }
        kept
    }

    /// The blocks that a phase made and that outlive it.
    fn alive_at_end(&self, phase: usize) -> BTreeSet<AllocationId> {
        let mut begun = 0;
        let mut alive = BTreeSet::new();
        for event in self.trace.events() {
            match event {
                Event::Phase(_) => begun += 1,
                Event::Alloc(id) if begun == phase + 1 => {
                    alive.insert(id);
                }
                Event::Free(id) if begun == phase + 1 => {
                    alive.remove(&id);
                }
                _ => {}
            }
        }
        alive
    }
}

fn phase_text(row: &PhaseRow) -> String {
    let (name, requested, allocated, reserved, requested_end, allocated_end) = row;
    format!("{name} {requested} {allocated} {reserved} {requested_end} {allocated_end}\n")
}

/// The decoder block of a module's path: `model.layers.3.mlp` is of `model.layers.3`.
fn block_of(module: &str) -> String {
    let mut path: Vec<&str> = module.split('.').collect();
    match path.iter().position(|part| part.parse::<u32>().is_ok()) {
        Some(at) => {
            path.truncate(at + 1);
            path.join(".")
        }
        None => "(outside layers)".to_owned(),
    }
}

/// The recorded categories by the names of our answers.
fn composition(real: &BTreeMap<String, u64>) -> String {
    let public = |name: &str| match name {
        "param" => "parameter",
        "grad" => "gradient",
        "opt_state" => "optimizer",
        "logits_loss" => "logits",
        "buffer" => "buffer",
        "input" => "input",
        "activation" => "activation",
        "kv_cache" => "kv_cache",
        _ => "temporary",
    };
    named(real.iter().map(|(name, bytes)| (public(name), *bytes)))
}

fn named<'a>(rows: impl Iterator<Item = (&'a str, u64)>) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, bytes) in rows.filter(|row| row.1 > 0) {
        *sums.entry(name).or_default() += bytes;
    }
    format!("{sums:?}")
}
