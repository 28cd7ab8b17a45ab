use std::collections::BTreeMap;

use brimful_explain::snapshot::Explanation;
use brimful_rehearsal::{Cut, FatalRequest, RankUse, Read, RunRecord, deciding};
use serde::Serialize;

use super::{RehearsalAnswer, SearchAnswer};
use crate::serving::{ServingJson, serving_json};
use crate::wire::{Block, Composition, Peak, Place, composition, line};
#[cfg(feature = "schema")]
use crate::words;

/// The schema `brimful.rehearse/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RehearseJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.rehearse/1")))]
    pub schema: &'static str,
    /// The command that ran.
    pub command: &'a [String],
    /// What became of it.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::rehearsal_verdict"))]
    pub verdict: &'static str,
    /// Whether the memory of the run depends on nothing that was not seen.
    pub certain: bool,
    /// The peak of the fullest rank; zero where nothing was recorded.
    pub peak: Peak,
    /// Where that peak is; null where it was not recorded.
    pub peak_at: Option<Place<'a>>,
    /// What the bytes at the requested peak are for; empty where it was not recorded.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::composition_if_recorded"))]
    pub composition: Composition,
    /// The largest blocks at the peak.
    pub top: Vec<Block<'a>>,
    /// The GPU; null where none was named.
    pub device: Option<RehearsedDevice<'a>>,
    /// The ranks, fullest first.
    pub ranks: Vec<RehearsedRank<'a>>,
    /// The request that failed; null where none ended the run.
    pub oom: Option<RehearsedFailure<'a>>,
    /// How often the fullest rank gave all cached memory back to make room.
    pub retries: u64,
    /// How many failed requests the command caught.
    pub survived_ooms: u64,
    /// How many optimizer steps ran.
    pub steps: u64,
    /// What the recording could not see.
    pub unseen: &'a [String],
    /// The lines that read values that only the GPU knows, and that its memory can depend on; the most frequent first.
    pub reads: Vec<ReadJson<'a>>,
    /// The versions of the libraries, by name.
    pub versions: BTreeMap<&'a str, &'a str>,
    /// How the command ended.
    pub exit: Exit,
    /// Why it failed; null where it did not.
    pub reason: Option<&'a str>,
    /// The run file.
    pub run: &'a str,
    /// A serving engine's start-up, where there was an engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingJson<'a>>,
    /// How many requests of full length the engine holds at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<f64>,
    /// What `--search` found, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Search<'a>>,
    /// What else to know.
    pub notes: &'a [String],
}

/// A line that read values that only the GPU knows.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadJson<'a> {
    /// What was read: a size, a number, or a copy of a tensor.
    pub kind: &'a str,
    /// The kind of number: whole, flag or float.
    #[serde(rename = "type")]
    pub sort: &'a str,
    /// The operator that took a size; empty for other reads.
    pub operator: &'a str,
    /// The line of the program; null where no Python ran.
    pub line: Option<&'a str>,
    /// The innermost line outside of torch.
    pub inner: Option<&'a str>,
    /// How often.
    pub count: u64,
}

impl<'a> From<&'a Read> for ReadJson<'a> {
    fn from(read: &'a Read) -> ReadJson<'a> {
        ReadJson {
            kind: &read.kind,
            sort: &read.sort,
            operator: &read.operator,
            line: read.line.as_deref(),
            inner: read.inner.as_deref(),
            count: read.count,
        }
    }
}

/// The GPU that was shown.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RehearsedDevice<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many there are.
    pub count: u32,
    /// The bytes that programs can have on each.
    pub usable: u64,
    /// The CUDA context.
    pub overhead: u64,
    /// What is left at the peak of the fullest.
    pub headroom: i64,
}

/// What a rank took.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RehearsedRank<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number; null for a process without one.
    pub rank: Option<u64>,
    /// The GPU, by its number.
    pub device: u32,
    /// Its peak.
    pub peak: Peak,
    /// How often it gave all cached memory back to make room.
    pub retries: u64,
    /// How many of its requests failed.
    pub ooms: u64,
    /// How many optimizer steps it ran.
    pub steps: u64,
}

/// The request that failed; null where the message alone is known.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RehearsedFailure<'a> {
    /// The rank.
    pub rank: &'a str,
    /// The GPU, by its number.
    pub device: Option<u32>,
    /// What it asked for.
    pub tried_bytes: Option<u64>,
    /// What the device had left.
    pub free_bytes: Option<u64>,
    /// What the device has.
    pub total_bytes: Option<u64>,
    /// How many optimizer steps ran before.
    pub step: Option<u64>,
    /// PyTorch's message.
    pub message: &'a str,
}

/// How a command ended.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exit {
    /// Its exit status; null where a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it was ended from outside; null where it was not.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::cut"))]
    pub cut: Option<Cut>,
    /// Seconds from its start.
    pub seconds: f64,
}

/// What a search over one flag found.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Search<'a> {
    /// The flag.
    pub key: &'a str,
    /// The largest value that fits; null where none does.
    pub largest: Option<u64>,
    /// The runs, in their order.
    pub runs: Vec<SearchRun>,
}

/// A run of a search.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchRun {
    /// The flag's value.
    pub value: u64,
    /// The reserved peak.
    pub reserved: u64,
    /// Whether it fits.
    pub fits: bool,
}

/// The answer as one line of JSON.
pub fn rehearse_json(answer: &RehearsalAnswer<'_>) -> String {
    line(&RehearseJson::from(answer))
}

impl<'a> From<&RehearsalAnswer<'a>> for RehearseJson<'a> {
    fn from(answer: &RehearsalAnswer<'a>) -> RehearseJson<'a> {
        let RehearsalAnswer { run, judgement, .. } = *answer;
        let explanation = answer.explained();
        let fullest = judgement.ranks.first();
        let (serving, max_concurrency) = serving_json(run).unzip();
        RehearseJson {
            schema: "brimful.rehearse/1",
            command: &run.command,
            verdict: judgement.verdict.word(),
            certain: judgement.certain,
            peak: fullest.map_or(Peak { active: Some(0), device: Some(0), ..Peak::default() }, peak),
            peak_at: explanation.map(Place::of_peak),
            composition: explanation.map(whole).unwrap_or_default(),
            top: explanation.iter().flat_map(|found| &found.contents.blocks).map(Block::from).collect(),
            device: device(run, fullest),
            ranks: judgement.ranks.iter().map(rank).collect(),
            oom: judgement.fatal.as_ref().map(failure),
            retries: fullest.map_or(0, |rank| rank.retries),
            survived_ooms: judgement.survived,
            steps: judgement.steps,
            unseen: &run.unseen,
            reads: deciding(run).into_iter().map(ReadJson::from).collect(),
            versions: versions(run),
            exit: exit(run),
            reason: judgement.reason.as_deref(),
            run: answer.file,
            serving,
            max_concurrency: max_concurrency.flatten(),
            search: answer.search.map(search),
            notes: answer.notes,
        }
    }
}

fn whole(explanation: &Explanation) -> Composition {
    composition(&explanation.contents, |share| share.bytes)
}

fn peak(rank: &RankUse) -> Peak {
    Peak {
        requested: rank.peak.requested.get(),
        allocated: rank.peak.allocated.get(),
        active: Some(rank.peak.active.get()),
        reserved: rank.peak.reserved.get(),
        device: Some(rank.on_device.get()),
    }
}

fn rank(rank: &RankUse) -> RehearsedRank<'_> {
    RehearsedRank {
        name: &rank.name,
        rank: rank.rank,
        device: rank.device,
        peak: peak(rank),
        retries: rank.retries,
        ooms: rank.ooms,
        steps: rank.steps,
    }
}

fn device<'a>(run: &'a RunRecord, fullest: Option<&RankUse>) -> Option<RehearsedDevice<'a>> {
    let device = &run.device;
    let taken = fullest.map_or(0, |rank| rank.on_device.get());
    device.named.then(|| RehearsedDevice {
        name: &device.name,
        count: device.count,
        usable: device.total.get(),
        overhead: device.context.get(),
        headroom: signed(device.total.get()) - signed(taken),
    })
}

/// Devices end far below the half of 64 bits.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn failure(shortage: &FatalRequest) -> RehearsedFailure<'_> {
    let failure = shortage.failure.as_ref();
    RehearsedFailure {
        rank: &shortage.rank,
        device: failure.map(|failure| failure.device),
        tried_bytes: failure.map(|failure| failure.tried_bytes.get()),
        free_bytes: failure.map(|failure| failure.free_bytes.get()),
        total_bytes: failure.map(|failure| failure.total_bytes.get()),
        step: failure.map(|failure| failure.step),
        message: &shortage.message,
    }
}

fn versions(run: &RunRecord) -> BTreeMap<&str, &str> {
    let all = run.processes.iter().flat_map(|process| &process.versions);
    all.map(|(name, version)| (name.as_str(), version.as_str())).collect()
}

fn exit(run: &RunRecord) -> Exit {
    let ended = &run.ended;
    Exit { status: ended.status, signal: ended.signal, cut: ended.cut, seconds: ended.seconds }
}

fn search(answer: &SearchAnswer) -> Search<'_> {
    let run = |&(value, reserved, fits): &(u64, u64, bool)| SearchRun { value, reserved, fits };
    Search { key: &answer.key, largest: answer.largest, runs: answer.tried.iter().map(run).collect() }
}
