use brimful_units::Bytes;
use serde::Serialize;

use super::ReplayAnswer;
use crate::wire::{Peak, Verdict, line};

/// The schema `brimful.replay/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplayJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.replay/1")))]
    pub schema: &'static str,
    /// The input as it was named in the call.
    pub input: &'a str,
    /// The GPU of the snapshot, by its number; absent for a predicted trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<usize>,
    /// The value of PYTORCH_CUDA_ALLOC_CONF that was replayed.
    pub conf: &'a str,
    /// What the device gives PyTorch; null for no end.
    pub capacity: Option<u64>,
    /// Does it fit the GPU that was named? Absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The peak.
    pub peak: Peak,
    /// How often all cached memory was given back to make room.
    pub retries: u64,
    /// The request that fails, at which the replay stops; null where none does.
    pub oom: Option<ReplayFailure<'a>>,
    /// The recorded peak; absent for a predicted trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_peak: Option<Peak>,
    /// What else to know.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub notes: &'a [String],
}

/// The request that fails.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplayFailure<'a> {
    /// The event's number.
    pub event: usize,
    /// What it asks for.
    pub tried_bytes: u64,
    /// What the device has left.
    pub free_bytes: u64,
    /// The stack, innermost frame first.
    pub stack: &'a [String],
}

/// The answer as one line of JSON.
pub fn replay_json(answer: &ReplayAnswer<'_>) -> String {
    line(&ReplayJson::from(answer))
}

impl<'a> From<&ReplayAnswer<'a>> for ReplayJson<'a> {
    fn from(answer: &ReplayAnswer<'a>) -> ReplayJson<'a> {
        let failure = |oom: brimful_replay::Oom| ReplayFailure {
            event: oom.event,
            tried_bytes: oom.tried.get(),
            free_bytes: oom.free.get(),
            stack: answer.stack,
        };
        ReplayJson {
            schema: "brimful.replay/1",
            input: answer.input,
            device: answer.device,
            conf: answer.conf,
            capacity: answer.capacity.map(Bytes::get),
            verdict: answer.verdict.map(Verdict::from),
            peak: (&answer.timeline.peak).into(),
            retries: answer.timeline.retries,
            oom: answer.timeline.oom.map(failure),
            recorded_peak: answer.recorded.as_ref().map(Peak::from),
            notes: answer.notes,
        }
    }
}
