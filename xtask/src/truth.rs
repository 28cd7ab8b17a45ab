//! Recorded runs of real PyTorch, and what brimful predicts of each figure in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use brimful_jobs::{Format, Job, Overrides, load};
use brimful_models::NoFiles;
use brimful_plan::{Fit, fit, simulate_and_replay};
use brimful_replay::Timeline;
use brimful_trace::{AllocationId, Event, PhaseKind, Trace};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

/// The recorder takes a half-precision copy for a weight's by its shape; here the activations have the shape of the
/// position embedding, and were recorded as casts of it.
const MISLABELLED: &str = "made/r68/gpt2/124M";

/// One recorded run.
#[derive(Deserialize)]
pub struct Case {
    pub id: String,
    job: Value,
    expect: Expect,
}

/// What PyTorch's own statistics said; all in bytes.
#[derive(Deserialize)]
struct Expect {
    params: u64,
    trainable: u64,
    peak: Ledgers,
    peak_phase: String,
    peak_at: Place,
    composition: BTreeMap<String, u64>,
    num_device_alloc: u64,
    /// Name, requested peak, allocated peak, reserved peak, requested at the end, allocated at the end.
    phases: Vec<(String, u64, u64, u64, u64, u64)>,
    #[serde(default)]
    kept_per_block: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Ledgers {
    requested: u64,
    allocated: u64,
    reserved: u64,
}

#[derive(Deserialize)]
struct Place {
    op: String,
    module: String,
}

/// A figure of a run: what it is, what was predicted, what was real.
pub struct Figure {
    pub what: &'static str,
    pub predicted: String,
    pub real: String,
}

impl Figure {
    /// Whether the prediction is the truth.
    pub fn met(&self) -> bool {
        self.predicted == self.real
    }

    /// How far a number is off, in parts of the real one; `None` where the figure is no number.
    pub fn off(&self) -> Option<f64> {
        let (predicted, real) = (self.predicted.parse::<f64>().ok()?, self.real.parse::<f64>().ok()?);
        Some((predicted - real).abs() / real.max(1.0))
    }
}

/// The cases of a file of `fixtures/step`.
pub fn cases(root: &Path, name: &str) -> Result<Vec<Case>> {
    let path = root.join("fixtures/step").join(name);
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line?).with_context(|| path.display().to_string())).collect()
}

/// What brimful predicts of the case, beside the truth; an error where it refuses the job.
pub fn figures(case: &Case) -> Result<Vec<Figure>> {
    let loaded = load(&case.id, &case.job.to_string(), Format::Json, &NoFiles, &Overrides::default())?;
    let prediction = Prediction::of(&loaded.job)?;
    let real = &case.expect;
    let mut all = vec![
        number("parameters", prediction.fit.params.total, real.params),
        number("trained parameters", prediction.fit.params.trainable, real.trainable),
        number("requested peak", prediction.fit.ledger.requested.get(), real.peak.requested),
        number("allocated peak", prediction.fit.ledger.allocated.get(), real.peak.allocated),
        number("reserved peak", prediction.fit.ledger.reserved.get(), real.peak.reserved),
        number("calls of cudaMalloc", prediction.timeline.device_allocs, real.num_device_alloc),
        text("ledgers of every phase", prediction.phases(), real.phases.iter().map(phase_text).collect()),
    ];
    all.extend(prediction.place(real));
    if case.id != MISLABELLED {
        all.push(text("composition of the peak", prediction.composition(), composition(&real.composition)));
    }
    if !real.kept_per_block.is_empty() {
        let kept = prediction.kept_per_block();
        all.push(text("bytes kept per block", format!("{kept:?}"), format!("{:?}", real.kept_per_block)));
    }
    Ok(all)
}

fn number(what: &'static str, predicted: u64, real: u64) -> Figure {
    text(what, predicted.to_string(), real.to_string())
}

fn text(what: &'static str, predicted: String, real: String) -> Figure {
    Figure { what, predicted, real }
}

struct Prediction {
    fit: Fit,
    trace: Trace,
    timeline: Timeline,
}

impl Prediction {
    fn of(job: &Job) -> Result<Prediction> {
        let (trace, timeline) = simulate_and_replay(job)?;
        Ok(Prediction { fit: fit(job)?, trace, timeline })
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
        let place = self.fit.peak.as_ref().map(|peak| &peak.place);
        let of = |get: fn(&brimful_explain::Place) -> &String| place.map(get).cloned().unwrap_or_default();
        // A module that runs again inside the backward is recorded with `~re`, and in-place ops with `_`.
        let module = real.peak_at.module.replace("~re", "");
        vec![
            text("phase of the peak", of(|place| &place.phase_name), real.peak_phase.clone()),
            text("op of the peak", of(|place| &place.op), real.peak_at.op.clone()),
            text("module of the peak", of(|place| &place.module), module),
        ]
    }

    fn composition(&self) -> String {
        let peak = self.fit.peak.as_ref();
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

fn phase_text(row: &(String, u64, u64, u64, u64, u64)) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str) -> usize {
        let cases = cases(&crate::root(), file).unwrap();
        for case in &cases {
            for figure in figures(case).unwrap_or_else(|error| panic!("{}: {error:#}", case.id)) {
                let Figure { what, predicted, real } = &figure;
                assert!(figure.met(), "{}: {what}\npredicted {predicted}\nreal      {real}", case.id);
            }
        }
        cases.len()
    }

    #[test]
    fn every_figure_of_the_published_models_is_met() {
        assert_eq!(check("published.jsonl.gz"), 66);
    }

    #[test]
    fn every_figure_of_the_random_models_is_met() {
        assert_eq!(check("made.jsonl.gz"), 144);
    }

    #[test]
    fn the_committed_tables_are_current() {
        let committed = std::fs::read_to_string(crate::root().join("ACCURACY.md")).unwrap();
        assert_eq!(
            committed,
            crate::accuracy::accuracy(&crate::root()).unwrap(),
            "run `cargo xtask accuracy`"
        );
    }
}
