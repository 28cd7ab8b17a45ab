//! The same requests under other settings: what the usual advice would really do.

use brimful_replay::{AllocatorConfig, Capacity, Ledger, replay};
use brimful_trace::Trace;
use brimful_units::Bytes;

/// A change of settings, and what became of the recorded requests under it.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// Its name in answers, such as `expandable-segments`.
    pub id: &'static str,
    /// The settings, in PyTorch's words.
    pub conf: String,
    /// The peaks.
    pub peak: Ledger,
    /// How often cached memory was given back to make room.
    pub retries: u64,
    /// Whether every request was served; `None` where the capacity is not known.
    pub fits: Option<bool>,
}

/// The settings that are tried, added to those of the recording.
const CANDIDATES: [(&str, &str); 4] = [
    ("expandable-segments", "expandable_segments:True"),
    ("max-split-size-64", "max_split_size_mb:64"),
    ("max-split-size-512", "max_split_size_mb:512"),
    ("roundup-power2-divisions-8", "roundup_power2_divisions:8"),
];

/// Replays the requests of a recording under its own settings first, then under each of the usual
/// pieces of advice. `capacity` is what the device gave PyTorch, where that is known.
pub fn what_if(trace: &Trace, recorded: &str, capacity: Option<Bytes>) -> Vec<WhatIf> {
    let mut tried = Vec::new();
    for (id, setting) in [("as-recorded", "")].into_iter().chain(CANDIDATES) {
        let name = setting.split(':').next().unwrap_or("");
        if !name.is_empty() && recorded.contains(name) {
            continue;
        }
        let both = [recorded, setting].into_iter().filter(|part| !part.is_empty());
        let conf = both.collect::<Vec<_>>().join(",");
        let Ok(config) = conf.parse::<AllocatorConfig>() else { continue };
        let timeline = replay(trace, &config, &Capacity { total: capacity, taken: Bytes::ZERO });
        tried.push(WhatIf {
            id,
            conf,
            peak: timeline.peak,
            retries: timeline.retries,
            fits: capacity.map(|_| timeline.oom.is_none()),
        });
    }
    tried
}

/// The least capacity, to the MiB, under which every request of the recording is served.
pub fn least_capacity(trace: &Trace, config: &AllocatorConfig, from: Bytes) -> Option<Bytes> {
    const MIB: u64 = 1 << 20;
    let fits = |mebibytes: u64| {
        let total = Some(Bytes::new(mebibytes.checked_mul(MIB)?));
        Some(replay(trace, config, &Capacity { total, taken: Bytes::ZERO }).oom.is_none())
    };
    let unlimited = replay(trace, config, &Capacity::unlimited()).peak.reserved;
    let (mut low, mut high) = (from.get() / MIB, unlimited.get().div_ceil(MIB));
    if low >= high || !fits(high)? {
        return None;
    }
    while high - low > (high / 256).max(1) {
        let middle = low + (high - low) / 2;
        if fits(middle)? { high = middle } else { low = middle }
    }
    Some(Bytes::mib(high))
}
