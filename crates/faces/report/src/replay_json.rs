use brimful_replay::{Ledger, Timeline};
use brimful_units::Bytes;
use serde::Serialize;

/// What a trace became under some settings, with what stands around it.
pub struct ReplayAnswer<'a> {
    /// The input as it was named in the call.
    pub input: &'a str,
    /// The GPU of the snapshot, by its number; `None` for a predicted trace.
    pub device: Option<usize>,
    /// The settings that were replayed.
    pub conf: &'a str,
    /// What the device gives PyTorch; `None` for no end.
    pub capacity: Option<Bytes>,
    /// What became of it.
    pub timeline: &'a Timeline,
    /// The recorded peaks; `None` for a predicted trace.
    pub recorded: Option<Ledger>,
    /// The stack of the request that failed, innermost first.
    pub stack: &'a [String],
    /// What the user should know.
    pub notes: &'a [String],
}

/// The schema `brimful.replay/1` (DESIGN.md).
#[derive(Serialize)]
struct ReplayJson<'a> {
    schema: &'static str,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<usize>,
    conf: &'a str,
    capacity: Option<u64>,
    peak: LedgerJson,
    retries: u64,
    oom: Option<OomJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_peak: Option<LedgerJson>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
}

#[derive(Serialize)]
pub(crate) struct LedgerJson {
    requested: u64,
    allocated: u64,
    reserved: u64,
}

#[derive(Serialize)]
struct OomJson<'a> {
    event: usize,
    tried_bytes: u64,
    free_bytes: u64,
    stack: &'a [String],
}

impl From<&Ledger> for LedgerJson {
    fn from(ledger: &Ledger) -> LedgerJson {
        LedgerJson {
            requested: ledger.requested.get(),
            allocated: ledger.allocated.get(),
            reserved: ledger.reserved.get(),
        }
    }
}

/// The answer as one line of JSON.
pub fn replay_json(answer: &ReplayAnswer<'_>) -> String {
    let oom = answer.timeline.oom.map(|oom| OomJson {
        event: oom.event,
        tried_bytes: oom.tried.get(),
        free_bytes: oom.free.get(),
        stack: answer.stack,
    });
    let json = ReplayJson {
        schema: "brimful.replay/1",
        input: answer.input,
        device: answer.device,
        conf: answer.conf,
        capacity: answer.capacity.map(Bytes::get),
        peak: (&answer.timeline.peak).into(),
        retries: answer.timeline.retries,
        oom,
        recorded_peak: answer.recorded.as_ref().map(Into::into),
        notes: answer.notes,
    };
    serde_json::to_string(&json).unwrap_or_default()
}
