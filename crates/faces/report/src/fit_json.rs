use std::collections::BTreeMap;

use brimful_explain::{Block, Peak};
use brimful_jobs::Assumption;
use brimful_plan::{DeviceUse, Fit, FitVerdict as Verdict, Grounds, Largest, OutOfMemory, Row};
use brimful_replay::Ledger;
use brimful_units::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::recipe::recipe;

/// The schema `brimful.fit/1` (DESIGN.md): one object per job.
#[derive(Serialize)]
struct FitJson<'a> {
    schema: &'static str,
    job: &'a str,
    verdict: &'static str,
    params: ParamsJson,
    peak: PeakJson,
    peak_at: PlaceJson<'a>,
    composition: BTreeMap<&'static str, u64>,
    phases: Vec<PhaseJson>,
    top: Vec<BlockJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    squeezed: Option<LedgerJson>,
    retries: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom: Option<OomJson<'a>>,
    basis: Vec<BasisJson<'a>>,
    recipe: Vec<String>,
    assumed: Vec<AssumedJson<'a>>,
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<LargestJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    techniques: Vec<TechniqueJson<'a>>,
}

#[derive(Serialize)]
struct ParamsJson {
    total: u64,
    trainable: u64,
}

#[derive(Serialize)]
struct PeakJson {
    requested: u64,
    allocated: u64,
    reserved: u64,
    device: u64,
}

#[derive(Serialize)]
struct PlaceJson<'a> {
    phase: &'static str,
    op: &'a str,
    module: &'a str,
}

#[derive(Serialize)]
struct PhaseJson {
    phase: &'static str,
    requested: u64,
    allocated: u64,
    reserved: u64,
}

#[derive(Serialize)]
struct BlockJson<'a> {
    bytes: u64,
    category: &'static str,
    shape: Option<Vec<u64>>,
    dtype: Option<&'static str>,
    op: &'a str,
    module: &'a str,
}

#[derive(Serialize)]
struct DeviceJson<'a> {
    name: &'a str,
    usable: u64,
    headroom: i64,
    overhead: u64,
}

#[derive(Serialize)]
struct OomJson<'a> {
    event: usize,
    tried_bytes: u64,
    free_bytes: u64,
    phase: &'static str,
    op: &'a str,
    module: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct BasisJson<'a> {
    what: &'a str,
    basis: &'static str,
    source: &'a str,
    margin: Option<u64>,
}

#[derive(Serialize)]
struct AssumedJson<'a> {
    key: &'a str,
    value: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct LargestJson {
    key: &'static str,
    value: Option<u64>,
    limit: &'static str,
}

#[derive(Serialize)]
struct TechniqueJson<'a> {
    technique: &'static str,
    changes: Vec<Value>,
    peak: LedgerJson,
    saved: i64,
    verdict: &'static str,
    cost: &'static str,
    keeps_result: &'a str,
}

#[derive(Serialize)]
struct LedgerJson {
    requested: u64,
    allocated: u64,
    reserved: u64,
}

pub(crate) const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "fits",
        Verdict::DoesNotFit => "does-not-fit",
        Verdict::NoDevice => "no-device",
    }
}

/// The answer as one line of JSON: integers for bytes, `schema` first.
pub fn fit_json(answer: &crate::FitAnswer<'_>) -> String {
    let fit = answer.fit;
    let json = FitJson {
        schema: "brimful.fit/1",
        job: answer.job,
        verdict: verdict_word(fit.verdict),
        params: ParamsJson { total: fit.params.total, trainable: fit.params.trainable },
        peak: peak_json(fit),
        peak_at: place_json(fit.peak.as_ref()),
        composition: composition(fit),
        phases: fit.phases.iter().map(|(kind, ledger)| phase_json(kind.name(), ledger)).collect(),
        top: fit.peak.iter().flat_map(|peak| &peak.top).map(block_json).collect(),
        device: fit.device.as_ref().map(device_json),
        squeezed: fit.squeezed.as_ref().map(ledger_json),
        retries: fit.retries,
        oom: fit.shortage.as_ref().map(oom_json),
        basis: fit.grounds.iter().map(basis_json).collect(),
        recipe: recipe(&answer.loaded.job),
        assumed: answer.loaded.recipe.assumed.iter().map(assumed_json).collect(),
        notes: &answer.loaded.recipe.notes,
        largest: answer.largest.map(largest_json),
        techniques: answer.techniques.iter().map(technique_json).collect(),
    };
    serde_json::to_string(&json).unwrap_or_default()
}

fn peak_json(fit: &Fit) -> PeakJson {
    PeakJson {
        requested: fit.ledger.requested.get(),
        allocated: fit.ledger.allocated.get(),
        reserved: fit.ledger.reserved.get(),
        device: fit.device_peak.get(),
    }
}

fn ledger_json(ledger: &Ledger) -> LedgerJson {
    LedgerJson {
        requested: ledger.requested.get(),
        allocated: ledger.allocated.get(),
        reserved: ledger.reserved.get(),
    }
}

fn place_json(peak: Option<&Peak>) -> PlaceJson<'_> {
    let place = peak.map(|peak| &peak.place);
    PlaceJson {
        phase: place.and_then(|place| place.phase).map_or("", |phase| phase.name()),
        op: place.map_or("", |place| &place.op),
        module: place.map_or("", |place| &place.module),
    }
}

fn composition(fit: &Fit) -> BTreeMap<&'static str, u64> {
    let all = fit.peak.as_ref().map(|peak| peak.composition.public()).unwrap_or_default();
    all.into_iter().map(|(name, bytes)| (name, bytes.get())).collect()
}

fn phase_json(phase: &'static str, ledger: &Ledger) -> PhaseJson {
    PhaseJson {
        phase,
        requested: ledger.requested.get(),
        allocated: ledger.allocated.get(),
        reserved: ledger.reserved.get(),
    }
}

fn block_json(block: &Block) -> BlockJson<'_> {
    BlockJson {
        bytes: block.bytes.get(),
        category: block.category.public_name(),
        shape: block.tensor.as_ref().map(|(shape, _)| shape.dims().to_vec()),
        dtype: block.tensor.as_ref().map(|(_, dtype)| dtype.name()),
        op: &block.made.op,
        module: &block.made.module,
    }
}

fn device_json(device: &DeviceUse) -> DeviceJson<'_> {
    DeviceJson {
        name: &device.name,
        usable: device.usable.get(),
        headroom: device.headroom,
        overhead: device.overhead.get(),
    }
}

fn oom_json(shortage: &OutOfMemory) -> OomJson<'_> {
    OomJson {
        event: shortage.oom.event,
        tried_bytes: shortage.oom.tried.get(),
        free_bytes: shortage.oom.free.get(),
        phase: shortage.place.phase.map_or("", |phase| phase.name()),
        op: &shortage.place.op,
        module: &shortage.place.module,
        message: &shortage.message,
    }
}

fn basis_json(grounds: &Grounds) -> BasisJson<'_> {
    BasisJson {
        what: &grounds.what,
        basis: grounds.basis.kind.name(),
        source: &grounds.basis.source,
        margin: grounds.basis.margin.map(Bytes::get),
    }
}

fn assumed_json(one: &Assumption) -> AssumedJson<'_> {
    AssumedJson { key: &one.key, value: &one.value, why: one.why }
}

fn largest_json(largest: &Largest) -> LargestJson {
    LargestJson { key: largest.dimension.key(), value: largest.value, limit: largest.limit.name() }
}

fn technique_json(row: &Row) -> TechniqueJson<'_> {
    let change =
        |(key, from, to): &(&str, String, String)| serde_json::json!({"key": key, "from": from, "to": to});
    TechniqueJson {
        technique: row.technique,
        changes: row.changes.iter().map(change).collect(),
        peak: ledger_json(&row.peak),
        saved: row.saved,
        verdict: verdict_word(row.verdict),
        cost: row.cost,
        keeps_result: row.keeps_result.name(),
    }
}
