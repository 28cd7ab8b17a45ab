//! What a recording does not say but shows: the system, by the order of its segments' addresses, and the version, by what
//! its placements prefer among equals.

use brimful_trace::{ContextId, Event, Trace};
use brimful_units::Bytes;

use crate::config::AllocatorConfig;
use crate::driver::Driver;
use crate::layout::{Follower, MismatchKind};
use crate::shadow::Shadow;
use crate::start::rebuild;
use crate::ties::Ties;

/// Addresses below this are those of Windows and WSL, and of expandable segments everywhere (`fixtures/addresses`).
const HIGH_ADDRESSES: u64 = 1 << 40;

/// The settings that a recording was made with, as far as it names them, and the system that it shows; the defaults where
/// they cannot be read.
pub fn recorded_config(trace: &Trace) -> AllocatorConfig {
    let conf = trace.recording.as_ref().map_or("", |recording| &recording.conf);
    let config: AllocatorConfig = conf.parse().unwrap_or_default();
    AllocatorConfig { driver: Some(recorded_driver(trace)), ..config }
}

/// The driver whose order of addresses a trace shows; Linux where it shows none.
pub(crate) fn recorded_driver(trace: &Trace) -> Driver {
    let (mut above, mut below) = (0u64, 0u64);
    let mut bounds: Option<(u64, u64)> = None;
    for event in trace.events() {
        let Event::SegmentAlloc(id) = event else { continue };
        let address = trace.segments.get(id).address;
        let (lowest, highest) = bounds.unwrap_or((address, address));
        above += u64::from(address > highest);
        below += u64::from(address < lowest);
        bounds = Some((lowest.min(address), highest.max(address)));
    }
    let at_the_end = trace.recording.as_ref().and_then(|recording| recording.segments.first());
    let any = bounds.map(|(lowest, _)| lowest).or(at_the_end.map(|segment| segment.address));
    let is_low = any.is_some_and(|address| address < HIGH_ADDRESSES);
    // New space decides. Where there is none, or as much on both sides, the region does.
    match above.cmp(&below) {
        std::cmp::Ordering::Greater => Driver::Windows,
        std::cmp::Ordering::Less => Driver::Linux,
        std::cmp::Ordering::Equal if is_low => Driver::Windows,
        std::cmp::Ordering::Equal => Driver::Linux,
    }
}

/// The settings, with the version's order and the system as the trace shows them, where the settings leave them open.
///
/// Several replays of one recording need it once only.
pub fn settled(trace: &Trace, config: &AllocatorConfig) -> AllocatorConfig {
    let is_recorded = trace.recording.is_some();
    let driver = config.driver.or_else(|| is_recorded.then(|| recorded_driver(trace)));
    let settled = AllocatorConfig { driver, ..config.clone() };
    // Where addresses rise, the oldest segment and the lowest address are nearly always the same.
    if config.ties.is_some() || !is_recorded || driver == Some(Driver::Windows) {
        return settled;
    }
    let recorded = recorded_config(trace);
    AllocatorConfig { ties: Some(recorded_ties(trace, &recorded)), ..settled }
}

/// The order of equal blocks under which most of a recording's placements are as the rules say.
///
/// It follows the recording under each order until the first placement that differs.
pub fn recorded_ties(trace: &Trace, config: &AllocatorConfig) -> Ties {
    let mut best = (Ties::default(), None);
    // What was there before the first event depends on sizes, not on the order of equal blocks.
    let start = rebuild(trace, config);
    for ties in Ties::ALL {
        let config = AllocatorConfig { ties: Some(ties), ..config.clone() };
        let Some(differs) = first_difference(trace, &config, start.clone()) else { return ties };
        if best.1.is_none_or(|furthest| differs > furthest) {
            best = (ties, Some(differs));
        }
    }
    best.0
}

/// The event of the first placement that is not as the rules say.
fn first_difference(trace: &Trace, config: &AllocatorConfig, start: (Shadow, bool)) -> Option<usize> {
    let mut follower = Follower::from_start(trace, config, start);
    for at in 0..trace.len() {
        follower.advance(at + 1);
        let placed = |kind| matches!(kind, MismatchKind::Placement | MismatchKind::Needless);
        if follower.followed.first_mismatch.is_some_and(|mismatch| placed(mismatch.kind)) {
            return Some(at);
        }
    }
    None
}

/// The most that PyTorch could have of the device, if a recording shows that it was full: PyTorch gave cached memory back
/// in the middle of a request, which then asked the device again. `None` if no request did.
///
/// A recording without stacks does not distinguish this from `torch.cuda.empty_cache()`, and shows nothing.
pub fn recorded_capacity(trace: &Trace) -> Option<Bytes> {
    let recording = trace.recording.as_ref()?;
    // Under a threshold, PyTorch gives memory back before the device is full.
    if recorded_config(trace).garbage_collection_threshold > 0.0 {
        return None;
    }
    let change = |event| match event {
        Event::SegmentAlloc(id) | Event::SegmentMap(id) => i128::from(trace.segments.get(id).bytes.get()),
        Event::SegmentFree(id) | Event::SegmentUnmap(id) => -i128::from(trace.segments.get(id).bytes.get()),
        _ => 0,
    };
    let site = |at: usize| recording.sites.get(at).copied().filter(|site| *site != ContextId::default());
    let all: i128 = trace.events().map(change).sum();
    let mut reserved = i128::from(recording.reserved().get()) - all;
    let (mut most, mut limit) = (reserved, None::<i128>);
    // What was reserved before memory was given back, and where in the program that was.
    let mut full = None;
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::SegmentFree(_) | Event::SegmentUnmap(_) => {
                full = full.or(site(at).map(|site| (reserved, site)))
            }
            // A retry waits for other streams, whose blocks then come free.
            Event::FreeCompleted(_) => {}
            Event::SegmentAlloc(_) | Event::SegmentMap(_) => {
                let retried = full.take().filter(|(_, freed_at)| site(at) == Some(*freed_at));
                let refused = retried.map(|(before, _)| before + change(event) - 1);
                limit = limit.into_iter().chain(refused).min();
            }
            _ => full = None,
        }
        reserved += change(event);
        most = most.max(reserved);
    }
    // The memory that others hold may change: what was reserved at some time was there.
    limit.and_then(|limit| u64::try_from(limit.max(most)).ok()).map(Bytes::new)
}
