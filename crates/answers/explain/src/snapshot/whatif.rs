//! The same requests under other settings: what the usual advice would really do.

use std::sync::atomic::{AtomicUsize, Ordering};

use brimful_replay::{AllocatorConfig, Capacity, Followed, Ledger, recorded_config, replay, settled};
use brimful_trace::{Event, Trace};
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

/// The replays of a recording's requests: under its own settings first, then under each of the usual pieces of
/// advice. Each is done by whichever thread is free.
pub(super) struct Trials<'a> {
    trace: &'a Trace,
    capacity: Option<Bytes>,
    all: Vec<Trial>,
    next: AtomicUsize,
}

struct Trial {
    id: &'static str,
    conf: String,
    config: AllocatorConfig,
    /// Whether it is what the recording shows already, where that is as the rules say.
    recorded: bool,
}

impl<'a> Trials<'a> {
    /// `capacity` is what the device gave PyTorch, where that is known.
    pub fn new(trace: &'a Trace, capacity: Option<Bytes>) -> Trials<'a> {
        let recorded = trace.recording.as_ref().map_or("", |recording| &recording.conf);
        let largest = capacity.is_none().then(|| largest_of_undisturbed(trace)).flatten();
        // What the recording shows of its version and system holds under every setting; it is looked for once.
        let AllocatorConfig { ties, driver, .. } = settled(trace, &recorded_config(trace));
        let mut all = Vec::new();
        for (id, setting) in [("as-recorded", "")].into_iter().chain(CANDIDATES) {
            let name = setting.split(':').next().unwrap_or("");
            if trace.is_empty() || (!name.is_empty() && recorded.contains(name)) {
                continue;
            }
            let both = [recorded, setting].into_iter().filter(|part| !part.is_empty());
            let conf = both.collect::<Vec<_>>().join(",");
            let Ok(config) = conf.parse::<AllocatorConfig>() else { continue };
            let config = AllocatorConfig { ties, driver, ..config };
            let reaches =
                |largest| config.expandable_segments || largest >= Bytes::new(config.max_split_size);
            let recorded = largest
                .is_some_and(|largest| name.is_empty() || (name == "max_split_size_mb" && !reaches(largest)));
            all.push(Trial { id, conf, config, recorded });
        }
        Trials { trace, capacity, all, next: AtomicUsize::new(0) }
    }

    /// Does what no other thread has begun; returns each with its place.
    pub fn run(&self) -> Vec<(usize, WhatIf)> {
        let begin = || {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            self.all.get(at).map(|trial| (at, trial))
        };
        let begun = std::iter::from_fn(begin).filter(|(_, trial)| !trial.recorded);
        begun.map(|(at, trial)| (at, self.replay(trial))).collect()
    }

    /// All of them in order, of what the threads did and what following the recording showed.
    pub fn finish(&self, mut done: Vec<(usize, WhatIf)>, followed: &Followed) -> Vec<WhatIf> {
        for (at, trial) in self.all.iter().enumerate().filter(|(_, trial)| trial.recorded) {
            let tried = if followed.is_faithful() {
                WhatIf { id: trial.id, conf: trial.conf.clone(), peak: followed.peak, retries: 0, fits: None }
            } else {
                self.replay(trial)
            };
            done.push((at, tried));
        }
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, tried)| tried).collect()
    }

    fn replay(&self, trial: &Trial) -> WhatIf {
        let capacity = Capacity { total: self.capacity, taken: Bytes::ZERO };
        let timeline = replay(self.trace, &trial.config, &capacity);
        WhatIf {
            id: trial.id,
            conf: trial.conf.clone(),
            peak: timeline.peak,
            retries: timeline.retries,
            fits: self.capacity.map(|_| timeline.oom.is_none()),
        }
    }
}

/// The largest segment of a recording that is whole and in which nothing failed or was given back to the device.
///
/// Its own settings on a device without an end do what it shows. So does a `max_split_size_mb` that no block
/// reaches, where segments do not grow.
fn largest_of_undisturbed(trace: &Trace) -> Option<Bytes> {
    if trace.recording.as_ref()?.begins_late {
        return None;
    }
    let mut largest = Bytes::ZERO;
    for event in trace.events() {
        match event {
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => {
                largest = largest.max(trace.segments.get(id).bytes);
            }
            Event::SegmentFree(_) | Event::SegmentUnmap(_) | Event::Oom(_) | Event::EmptyCache => {
                return None;
            }
            _ => {}
        }
    }
    Some(largest)
}

/// The least capacity, to the MiB, under which every request of the recording is served.
pub fn least_capacity(trace: &Trace, config: &AllocatorConfig, from: Bytes) -> Option<Bytes> {
    const MIB: u64 = 1 << 20;
    let config = &settled(trace, config);
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
