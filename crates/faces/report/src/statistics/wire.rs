use brimful_snapshot::{Amount, Statistics};
use serde::Serialize;

use super::answer::{StatisticsAnswer, form};
use crate::recording::AllocatorFacts;
use crate::wire::{Fix, Peak, line};

/// The schema `brimful.explain/1` of PyTorch's statistics.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatisticsJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.explain/1")))]
    pub schema: &'static str,
    /// The input as it was named in the call.
    pub input: &'a str,
    /// What the input is.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "statistics")))]
    pub kind: &'static str,
    /// Whether a request failed.
    pub is_gpu_oom: bool,
    /// The program that wrote them.
    pub framework: &'static str,
    /// The call that wrote them.
    pub format: &'static str,
    /// The figures of now.
    pub facts: AllocatorFacts,
    /// Null: statistics do not say why a request failed.
    pub cause: Option<&'static str>,
    /// Empty: statistics do not say what helps.
    pub fixes: Vec<Fix<'a>>,
    /// The peaks; null where they are not in it.
    pub peak: Peak<Option<u64>>,
    /// Memory that is free beside live blocks.
    pub fragmentation: StrandedJson,
    /// How often all cached memory was given back to make room; null where it is not in it.
    pub retries: Option<u64>,
    /// How many requests failed; null where it is not in it.
    pub ooms: Option<u64>,
    /// How far each figure can be off, in bytes: the summary rounds.
    pub margin: u64,
}

/// Memory that is free beside live blocks; null where it is not known.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StrandedJson {
    /// Now.
    pub stranded: Option<u64>,
    /// At most.
    pub stranded_peak: Option<u64>,
}

/// The statistics as one line of JSON.
pub fn statistics_json(answer: &StatisticsAnswer<'_>) -> String {
    line(&StatisticsJson::from(answer))
}

impl<'a> From<&StatisticsAnswer<'a>> for StatisticsJson<'a> {
    fn from(answer: &StatisticsAnswer<'a>) -> StatisticsJson<'a> {
        let statistics = answer.statistics;
        StatisticsJson {
            schema: "brimful.explain/1",
            input: answer.input,
            kind: "statistics",
            is_gpu_oom: statistics.ooms.unwrap_or(0) > 0,
            framework: "pytorch",
            format: form(statistics),
            facts: facts(statistics),
            cause: None,
            fixes: Vec::new(),
            peak: Peak {
                requested: peak(statistics.requested),
                allocated: peak(statistics.allocated),
                active: Some(peak(statistics.active)),
                reserved: peak(statistics.reserved),
                device: Some(None),
            },
            fragmentation: StrandedJson {
                stranded: now(statistics.stranded),
                stranded_peak: peak(statistics.stranded),
            },
            retries: statistics.retries,
            ooms: statistics.ooms,
            margin: statistics.margin.get(),
        }
    }
}

fn facts(statistics: &Statistics) -> AllocatorFacts {
    let idle = statistics.reserved.zip(statistics.allocated);
    AllocatorFacts {
        allocated_bytes: now(statistics.allocated),
        reserved_bytes: now(statistics.reserved),
        reserved_unallocated_bytes: idle
            .map(|(reserved, allocated)| reserved.now.saturating_sub(allocated.now).get()),
        ..AllocatorFacts::default()
    }
}

fn now(amount: Option<Amount>) -> Option<u64> {
    amount.map(|amount| amount.now.get())
}

fn peak(amount: Option<Amount>) -> Option<u64> {
    amount.map(|amount| amount.peak.get())
}
