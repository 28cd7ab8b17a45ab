//! What a run means: does it fit, and what failed?

use std::collections::BTreeSet;

use brimful_units::Bytes;

use crate::{Amounts, Cut, DeviceRecord, Failure, ProcessRecord, RunRecord, name, serving, values};

/// Does the run fit its GPUs?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunVerdict {
    /// It ran to its end.
    Fits,
    /// It died because memory ran out, or serves less than it was asked for.
    DoesNotFit,
    /// It ran to its end, and no GPU was named.
    NoDevice,
    /// It failed for another reason.
    Failed,
    /// It was ended from outside, and nothing had failed until then.
    Unfinished,
    /// It ran to its end, and no process took GPU memory: there is nothing to judge.
    NoGpuMemory,
}

impl RunVerdict {
    /// The word in the answers.
    pub const fn word(self) -> &'static str {
        match self {
            RunVerdict::Fits => "fits",
            RunVerdict::DoesNotFit => "does-not-fit",
            RunVerdict::NoDevice => "no-device",
            RunVerdict::Failed => "failed",
            RunVerdict::Unfinished => "unfinished",
            RunVerdict::NoGpuMemory => "no-gpu-memory",
        }
    }
}

/// Peaks of one process on one GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankUse {
    /// Its rank, or its process's number.
    pub name: String,
    /// Its rank, where it has one.
    pub rank: Option<u64>,
    /// The GPU, by its number on the machine.
    pub device: u32,
    /// PyTorch's own peaks, in bytes.
    pub peak: Amounts,
    /// All that the process took: those, the CUDA context, libraries; in bytes.
    pub on_device: Bytes,
    /// How often cached memory was returned because a request failed.
    pub retries: u64,
    /// How many requests failed.
    pub ooms: u64,
    /// Optimizer steps.
    pub steps: u64,
}

/// The failure that a run died of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatalRequest {
    /// The rank, or the process.
    pub rank: String,
    /// The request; `None` where memory ran out beside PyTorch's allocator.
    pub failure: Option<Failure>,
    /// What was printed; empty where nobody saw it.
    pub message: String,
}

/// A run's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Does it fit?
    pub verdict: RunVerdict,
    /// Every process that used a GPU, and each of its GPUs; the fullest first.
    pub ranks: Vec<RankUse>,
    /// What it died of, where memory ran out.
    pub fatal: Option<FatalRequest>,
    /// Why there is no verdict about memory.
    pub reason: Option<String>,
    /// Optimizer steps, the most of any process.
    pub steps: u64,
    /// Requests that failed and were survived.
    pub survived: u64,
    /// Whether the run's memory depends on nothing that was not seen.
    pub certain: bool,
}

/// Judges a run.
pub fn judge(run: &RunRecord) -> Judgement {
    let mut ranks: Vec<RankUse> = run.processes.iter().flat_map(|process| uses(run, process)).collect();
    ranks.sort_by_key(|rank| std::cmp::Reverse(rank.peak.reserved));
    let failed = !run.ended.is_success() && !ended_by_steps(run);
    let fatal = if failed { fatal(run) } else { None };
    let short = serving(run).filter(|_| !failed).and_then(|served| served.falls_short());
    let verdict = match (&fatal, run.ended.cut) {
        (Some(_), _) => RunVerdict::DoesNotFit,
        _ if short.is_some() => RunVerdict::DoesNotFit,
        (None, Some(_)) if failed => RunVerdict::Unfinished,
        (None, None) if failed => RunVerdict::Failed,
        _ if ranks.is_empty() => RunVerdict::NoGpuMemory,
        _ if run.device.named => RunVerdict::Fits,
        _ => RunVerdict::NoDevice,
    };
    let failures: u64 = ranks.iter().map(|rank| rank.ooms).sum();
    let survived = if fatal.is_some() { failures.saturating_sub(1) } else { failures };
    let reason = match verdict {
        RunVerdict::Failed => Some(why(run) + &caught(survived)),
        RunVerdict::NoGpuMemory => Some(nothing_taken(run)),
        RunVerdict::Unfinished => Some(cut(run)),
        _ => short.map(|(tokens, length)| {
            format!("the KV cache holds {tokens} tokens, and a request of full length has {length}")
        }),
    };
    Judgement {
        survived,
        steps: run.processes.iter().map(|process| process.steps).max().unwrap_or(0),
        verdict,
        ranks,
        fatal,
        reason,
        certain: values::is_certain(run),
    }
}

/// Whether the processes that used a GPU made the steps after which the run was to end. What the command makes of that end
/// is its own: a notebook reports a failed cell, and some programs turn `SystemExit` into an error.
fn ended_by_steps(run: &RunRecord) -> bool {
    let is_done = |process: &ProcessRecord| process.reached || process.devices.is_empty();
    run.processes.iter().any(|process| process.reached) && run.processes.iter().all(is_done)
}

fn caught(requests: u64) -> String {
    match requests {
        0 => String::new(),
        1 => "; 1 failed request was caught".to_owned(),
        many => format!("; {many} failed requests were caught"),
    }
}

fn nothing_taken(run: &RunRecord) -> String {
    let beside: BTreeSet<&str> =
        run.processes.iter().flat_map(|process| &process.beside).map(String::as_str).collect();
    let named: Vec<&str> = beside.into_iter().collect();
    let whose = match named.as_slice() {
        [] => String::new(),
        names => format!("; the command imports {}, whose memory is not seen", names.join(" and ")),
    };
    format!("no process took GPU memory through PyTorch, so there is nothing to judge{whose}")
}

fn uses<'a>(run: &'a RunRecord, process: &'a ProcessRecord) -> impl Iterator<Item = RankUse> + 'a {
    process.devices.iter().map(|device: &DeviceRecord| RankUse {
        name: name(process),
        rank: process.rank,
        device: device.gpu.unwrap_or(device.device),
        peak: device.peak,
        on_device: device.taken.unwrap_or_else(|| {
            device.peak.reserved.checked_add(run.device.context).unwrap_or(device.peak.reserved)
        }),
        retries: device.retries,
        ooms: device.ooms,
        steps: process.steps,
    })
}

/// The process that died because memory ran out: by what it said, or where it said nothing, because its last request failed.
fn fatal(run: &RunRecord) -> Option<FatalRequest> {
    let said = run.processes.iter().find(|process| process.error.as_ref().is_some_and(is_shortage));
    let silent = || {
        let failed = |process: &&ProcessRecord| {
            process.last_straw().is_some() && process.error.is_none() && !process.reached
        };
        run.processes.iter().find(failed)
    };
    let process = said.or_else(silent)?;
    Some(FatalRequest {
        rank: name(process),
        failure: process.failures.last().copied(),
        message: process.error.as_ref().map(|error| error.message.clone()).unwrap_or_default(),
    })
}

/// What PyTorch, the CUDA libraries, vLLM and SGLang say when memory is not enough.
const SHORTAGES: [&str; 9] = [
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "no available memory for the cache blocks",
    "available kv cache memory",
    "less than desired gpu memory utilization",
    "not enough memory. please try to increase --mem-fraction-static",
    "loaded weights leave no gpu memory for the kv cache",
    "not enough gpu memory for hybrid",
];

fn is_shortage(error: &crate::ScriptError) -> bool {
    let text = error.message.to_ascii_lowercase();
    error.kind.contains("OutOfMemory") || SHORTAGES.iter().any(|phrase| text.contains(phrase))
}

fn why(run: &RunRecord) -> String {
    // A parent's error is that its child has failed.
    let with_errors = || run.processes.iter().filter_map(|process| Some((process, process.error.as_ref()?)));
    let error =
        with_errors().find(|(process, _)| !process.devices.is_empty()).or_else(|| with_errors().next());
    let killed = run.processes.iter().find(|process| process.ended == "running");
    match (error, killed) {
        (Some((process, error)), _) => {
            let line = error.message.lines().next().unwrap_or_default();
            let said = format!("{}: {line} (process {})", error.kind, process.pid);
            format!("the command failed ({}): {said}{}", run.ended, read_before(process))
        }
        (None, Some(process)) if run.ended.signal.is_some() => {
            let call = process.last_call.as_ref().filter(|_| run.ended.is_crash());
            let call = call.map(|name| {
                format!("; of CUDA's functions that are not modelled it had called {name} last, which may be the cause")
            });
            format!(
                "the command was ended by {} (process {}){}",
                run.ended,
                process.pid,
                call.unwrap_or_default()
            )
        }
        _ => format!("the command failed ({})", run.ended),
    }
}

/// That a program may have failed because of what it read from a GPU that computes nothing.
fn read_before(process: &ProcessRecord) -> String {
    let reads = process.values.iter().flat_map(|values| &values.reads).filter(|read| read.decides);
    let (first, count) = (reads.clone().next(), reads.map(|read| read.count).sum::<u64>());
    let place = first.and_then(|read| read.line.as_deref()).map(|line| format!(" (most often at {line})"));
    // Where values are not followed, the device counts the sizes that it gave as zero.
    match count.saturating_add(process.size_reads) {
        0 => String::new(),
        1 => format!(
            "; before this, a value that only a real GPU knows was read{}, which may be the cause",
            place.map(|place| place.replace("most often ", "")).unwrap_or_default()
        ),
        reads => format!(
            "; before this, {reads} values that only a real GPU knows were read{}, which may be the cause",
            place.unwrap_or_default()
        ),
    }
}

fn cut(run: &RunRecord) -> String {
    let advice = match run.ended.cut {
        Some(Cut::TimeLimit) => "; --steps N ends a training run after N optimizer steps",
        _ => "",
    };
    format!(
        "ended by {} after {:.1} s; no request had failed until then{advice}",
        run.ended, run.ended.seconds
    )
}
