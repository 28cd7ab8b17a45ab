use std::collections::BTreeMap;

use brimful_explain::snapshot::Explanation;
use brimful_rehearsal::{FatalRequest, Judgement, RankUse, RunRecord};
use serde::Serialize;
use serde_json::{Value, json};

use crate::explain_json::{BlockJson, block, composition, module_or_line};
use crate::serving_json::serving_json;

/// A rehearsal with what stands around it.
pub struct RehearsalAnswer<'a> {
    /// What the processes handed over.
    pub run: &'a RunRecord,
    /// What it means.
    pub judgement: &'a Judgement,
    /// The fullest rank's recording; `None` where nothing was recorded.
    pub explanation: Option<&'a Explanation>,
    /// The run file.
    pub file: &'a str,
    /// What the user should know.
    pub notes: &'a [String],
    /// What `--search` tried, in order: the value, and whether it fits.
    pub search: Option<&'a SearchAnswer>,
}

/// What a search over one flag of the script found.
pub struct SearchAnswer {
    /// What was searched for.
    pub key: String,
    /// The largest value that fits; `None` where none does.
    pub largest: Option<u64>,
    /// The runs, in their order: value, reserved peak in bytes, whether it fits.
    pub tried: Vec<(u64, u64, bool)>,
}

/// The schema `brimful.rehearse/1` (DESIGN.md).
#[derive(Serialize)]
struct RehearseJson<'a> {
    schema: &'static str,
    command: &'a [String],
    verdict: &'static str,
    peak: PeakJson,
    peak_at: Value,
    composition: BTreeMap<&'static str, u64>,
    top: Vec<BlockJson<'a>>,
    device: Value,
    ranks: Vec<RankJson<'a>>,
    oom: Option<Value>,
    retries: u64,
    survived_ooms: u64,
    steps: u64,
    unseen: &'a [String],
    versions: BTreeMap<&'a str, &'a str>,
    exit: Value,
    reason: Option<&'a str>,
    run: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<Value>,
    notes: &'a [String],
}

#[derive(Serialize, Default)]
struct PeakJson {
    requested: u64,
    allocated: u64,
    active: u64,
    reserved: u64,
    device: u64,
}

#[derive(Serialize)]
struct RankJson<'a> {
    name: &'a str,
    rank: Option<u64>,
    device: u32,
    peak: PeakJson,
    retries: u64,
    ooms: u64,
    steps: u64,
}

/// The answer as one line of JSON.
pub fn rehearse_json(answer: &RehearsalAnswer<'_>) -> String {
    let RehearsalAnswer { run, judgement, explanation, .. } = answer;
    let fullest = judgement.ranks.first();
    let (serving, max_concurrency) =
        serving_json(run).map_or((None, None), |(value, most)| (Some(value), most));
    let json = RehearseJson {
        schema: "brimful.rehearse/1",
        command: &run.command,
        verdict: judgement.verdict.word(),
        peak: fullest.map(peak).unwrap_or_default(),
        peak_at: explanation.map_or(Value::Null, peak_at),
        composition: explanation
            .map(|found| composition(&found.contents, |share| share.bytes))
            .unwrap_or_default(),
        top: explanation.iter().flat_map(|found| &found.contents.blocks).map(block).collect(),
        device: device(run, fullest),
        ranks: judgement.ranks.iter().map(rank).collect(),
        oom: judgement.fatal.as_ref().map(oom),
        retries: fullest.map_or(0, |rank| rank.retries),
        survived_ooms: judgement.survived,
        steps: judgement.steps,
        unseen: &run.unseen,
        versions: versions(run),
        exit: json!({
            "status": run.ended.status,
            "signal": run.ended.signal,
            "cut": run.ended.cut,
            "seconds": run.ended.seconds,
        }),
        reason: judgement.reason.as_deref(),
        run: answer.file,
        serving,
        max_concurrency,
        search: answer.search.map(search),
        notes: answer.notes,
    };
    serde_json::to_string(&json).unwrap_or_default()
}

fn peak(rank: &RankUse) -> PeakJson {
    PeakJson {
        requested: rank.peak.requested.get(),
        allocated: rank.peak.allocated.get(),
        active: rank.peak.active.get(),
        reserved: rank.peak.reserved.get(),
        device: rank.on_device.get(),
    }
}

fn rank(rank: &RankUse) -> RankJson<'_> {
    RankJson {
        name: &rank.name,
        rank: rank.rank,
        device: rank.device,
        peak: peak(rank),
        retries: rank.retries,
        ooms: rank.ooms,
        steps: rank.steps,
    }
}

fn peak_at(explanation: &Explanation) -> Value {
    json!({
        "phase": explanation.doing.phase().map_or("", |phase| phase.name()),
        "op": "",
        "module": module_or_line(&explanation.module, &explanation.owner),
        "event": explanation.followed.peak_event,
        "stack": explanation.stack,
    })
}

fn device(run: &RunRecord, fullest: Option<&RankUse>) -> Value {
    let device = &run.device;
    if !device.named {
        return Value::Null;
    }
    let taken = fullest.map_or(0, |rank| rank.on_device.get());
    json!({
        "name": device.name,
        "count": device.count,
        "usable": device.total.get(),
        "overhead": device.context.get(),
        "headroom": signed(device.total.get()) - signed(taken),
    })
}

/// Devices end far below the half of 64 bits.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn oom(fatal: &FatalRequest) -> Value {
    let failure = fatal.failure.as_ref();
    json!({
        "rank": fatal.rank,
        "device": failure.map(|failure| failure.device),
        "tried_bytes": failure.map(|failure| failure.tried_bytes.get()),
        "free_bytes": failure.map(|failure| failure.free_bytes.get()),
        "total_bytes": failure.map(|failure| failure.total_bytes.get()),
        "step": failure.map(|failure| failure.step),
        "message": fatal.message,
    })
}

fn versions(run: &RunRecord) -> BTreeMap<&str, &str> {
    let all = run.processes.iter().flat_map(|process| &process.versions);
    all.map(|(name, version)| (name.as_str(), version.as_str())).collect()
}

fn search(answer: &SearchAnswer) -> Value {
    let runs = answer
        .tried
        .iter()
        .map(|(value, reserved, fits)| json!({"value": value, "reserved": reserved, "fits": fits}));
    json!({"key": answer.key, "largest": answer.largest, "runs": runs.collect::<Vec<_>>()})
}
