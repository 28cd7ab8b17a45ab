use brimful_explain::Keeps;
use brimful_jobs::Assumption;
use brimful_plan::{DeviceUse, Fit, Grounds, Largest, OutOfMemory, Row};
use brimful_replay::Ledger;
use brimful_trace::Category;
use brimful_units::Bytes;
use serde::Serialize;

use super::FitAnswer;
use crate::recipe::recipe;
use crate::wire::{Block, Composition, Peak, Place, Verdict, line};
#[cfg(feature = "schema")]
use crate::words;

/// The schema `brimful.fit/1`: one object for each job.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FitJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.fit/1")))]
    pub schema: &'static str,
    /// The job as it was named in the call.
    pub job: &'a str,
    /// Does it fit?
    pub verdict: Verdict,
    /// The model's parameters.
    pub params: Params,
    /// The peak of the whole simulated run, on a GPU without an end.
    pub peak: Peak,
    /// The least and the most that the peak can be, where the CUDA context is not known exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Peak<[u64; 2]>>,
    /// Where the requested peak is.
    pub peak_at: Place<'a>,
    /// What the bytes at the requested peak are for.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::composition"))]
    pub composition: Composition,
    /// The peak of each phase, in the order of the run.
    pub phases: Vec<Phase>,
    /// The largest blocks at the peak.
    pub top: Vec<Block<'a>>,
    /// The GPU, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device<'a>>,
    /// The peak on that GPU, where the job fits only because cached memory is given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub squeezed: Option<Peak>,
    /// How often all cached memory was given back to make room.
    pub retries: u64,
    /// The first request that fails, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom: Option<Failure<'a>>,
    /// What each number rests on.
    pub basis: Vec<Basis<'a>>,
    /// What was simulated, in words.
    pub recipe: Vec<String>,
    /// Whose answer it is; absent on one GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Ranks>,
    /// What the job did not say.
    pub assumed: Vec<Assumed<'a>>,
    /// What else to know.
    pub notes: &'a [String],
    /// The largest batch or sequence that fits, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<LargestFound>,
    /// What each technique would do, most saved first, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<Technique<'a>>,
}

/// How many parameters a model has.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Params {
    /// All of them.
    pub total: u64,
    /// Those that are trained.
    pub trainable: u64,
}

/// The peak of a phase.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Phase {
    /// The phase.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::phase"))]
    pub phase: &'static str,
    /// Its peak.
    #[serde(flatten)]
    pub peak: Peak,
}

/// Whose answer it is, where several GPUs share the run.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ranks {
    /// The rank that the figures are for; no other holds more.
    pub rank: u64,
    /// How many ranks there are.
    pub world_size: u64,
}

/// The GPU that was named.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Device<'a> {
    /// Its name.
    pub name: &'a str,
    /// The bytes that programs can have.
    pub usable: u64,
    /// What is left, on this GPU, of what the job may have; negative where the job does not fit.
    pub headroom: i64,
    /// What the job may have, where per_process_memory_fraction gives it less than all, with the CUDA context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The CUDA context and the kernels.
    pub overhead: u64,
}

/// The request that fails.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure<'a> {
    /// The event's number.
    pub event: usize,
    /// What it asks for.
    pub tried_bytes: u64,
    /// What the device has left.
    pub free_bytes: u64,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// PyTorch's message.
    pub message: &'a str,
}

/// What a number rests on.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Basis<'a> {
    /// The number.
    pub what: &'a str,
    /// The kind of knowledge: exact, rule or calibrated.
    pub basis: &'static str,
    /// Where it is from.
    pub source: &'a str,
    /// How far it can be off, in bytes; null where that is not known.
    pub margin: Option<u64>,
}

/// A key of the job that was not given, or the processor of the GPU that was not named.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Assumed<'a> {
    /// The key of the job, or `processor`, which is no key: the compute capability and multiprocessors that are assumed.
    pub key: &'a str,
    /// The value that was taken.
    pub value: &'a str,
    /// The reason.
    pub why: &'a str,
}

/// The largest value of a key under which the job fits.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LargestFound {
    /// The key.
    pub key: &'static str,
    /// The value; null where not even 1 fits.
    pub value: Option<u64>,
    /// The largest value that is too close to call, above the one that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_close: Option<u64>,
    /// What ends it.
    pub limit: &'static str,
}

/// A technique and what it would do.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Technique<'a> {
    /// What to do, in words.
    pub technique: &'static str,
    /// The keys of the job that change.
    pub changes: Vec<Change<'a>>,
    /// The peak under it; `device` is the need on the GPU that was named.
    pub peak: Peak,
    /// Bytes of the need that it saves; negative where it takes more.
    pub saved: i64,
    /// Does the job fit with it?
    pub verdict: Verdict,
    /// The published cost, with its source.
    pub cost: &'static str,
    /// What it does to the result.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::keeps"))]
    pub keeps_result: Keeps,
}

/// A key of the job and its values.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change<'a> {
    /// The value before.
    pub from: &'a str,
    /// The key.
    pub key: &'a str,
    /// The value after.
    pub to: &'a str,
}

/// The answer as one line of JSON: integers for bytes, `schema` first.
pub fn fit_json(answer: &FitAnswer<'_>) -> String {
    line(&FitJson::from(answer))
}

impl<'a> From<&FitAnswer<'a>> for FitJson<'a> {
    fn from(answer: &FitAnswer<'a>) -> FitJson<'a> {
        let fit = answer.fit;
        let nowhere = Place { phase: "", op: "", module: "", recorded: None };
        FitJson {
            schema: "brimful.fit/1",
            job: answer.job,
            verdict: fit.verdict.into(),
            params: Params { total: fit.params.total, trainable: fit.params.trainable },
            peak: Peak { device: Some(fit.device_peak.get()), ..(&fit.ledger).into() },
            interval: fit.device.as_ref().and_then(|device| interval(fit, device)),
            peak_at: fit.peak.as_ref().map_or(nowhere, |peak| (&peak.place).into()),
            composition: composition(fit),
            phases: fit.phases.iter().map(|(kind, ledger)| phase(kind.name(), ledger)).collect(),
            top: fit.peak.iter().flat_map(|peak| &peak.top).map(Block::from).collect(),
            device: fit.device.as_ref().map(device),
            squeezed: fit
                .squeezed
                .as_ref()
                .map(|squeezed| Peak { device: Some(fit.need().get()), ..squeezed.into() }),
            retries: fit.retries,
            oom: fit.shortage.as_ref().map(failure),
            basis: fit.grounds.iter().map(basis).collect(),
            recipe: recipe(&answer.loaded.job),
            ranks: answer.loaded.job.parallel.map(|it| Ranks { rank: 0, world_size: it.data }),
            assumed: answer.loaded.recipe.assumed.iter().map(assumed).collect(),
            notes: &answer.loaded.recipe.notes,
            largest: answer.largest.map(largest),
            techniques: answer.techniques.iter().map(technique).collect(),
        }
    }
}

/// The nine public keys; every key is there, also where nothing was ever allocated.
fn composition(fit: &Fit) -> Composition {
    let known = Category::ALL.into_iter().filter(|category| *category != Category::Unknown);
    let mut all: Composition = known.map(|category| (category.public_name(), 0)).collect();
    let found = fit.peak.iter().flat_map(|peak| peak.composition.public());
    all.extend(found.map(|(name, bytes)| (name, bytes.get())));
    all
}

fn phase(phase: &'static str, ledger: &Ledger) -> Phase {
    Phase { phase, peak: ledger.into() }
}

fn device(device: &DeviceUse) -> Device<'_> {
    Device {
        name: &device.name,
        usable: device.usable.get(),
        headroom: device.headroom,
        limit: device.share.map(|share| share.limit.get()),
        overhead: device.overhead.get(),
    }
}

/// What the allocator does is exact; the CUDA context beside it has a margin.
fn interval(fit: &Fit, device: &DeviceUse) -> Option<Peak<[u64; 2]>> {
    if device.context_margin == Bytes::ZERO {
        return None;
    }
    let exact = |bytes: Bytes| [bytes.get(); 2];
    let margin = device.context_margin.get();
    Some(Peak {
        requested: exact(fit.ledger.requested),
        allocated: exact(fit.ledger.allocated),
        active: None,
        reserved: exact(fit.ledger.reserved),
        device: Some([
            fit.device_peak.get().saturating_sub(margin),
            fit.device_peak.get().saturating_add(margin),
        ]),
    })
}

fn failure(shortage: &OutOfMemory) -> Failure<'_> {
    Failure {
        event: shortage.oom.event,
        tried_bytes: shortage.oom.tried.get(),
        free_bytes: shortage.oom.free.get(),
        place: (&shortage.place).into(),
        message: &shortage.message,
    }
}

fn basis(grounds: &Grounds) -> Basis<'_> {
    Basis {
        what: &grounds.what,
        basis: grounds.basis.kind.name(),
        source: &grounds.basis.source,
        margin: grounds.basis.margin.map(Bytes::get),
    }
}

fn assumed(one: &Assumption) -> Assumed<'_> {
    Assumed { key: &one.key, value: &one.value, why: one.why }
}

fn largest(largest: &Largest) -> LargestFound {
    LargestFound {
        key: largest.dimension.key(),
        value: largest.value,
        too_close: largest.too_close,
        limit: largest.limit.name(),
    }
}

fn technique(row: &Row) -> Technique<'_> {
    Technique {
        technique: row.technique,
        changes: row.changes.iter().map(|(key, from, to)| Change { from, key, to }).collect(),
        peak: Peak { device: Some(row.need.get()), ..(&row.peak).into() },
        saved: row.saved,
        verdict: row.verdict.into(),
        cost: row.cost,
        keeps_result: row.keeps,
    }
}
