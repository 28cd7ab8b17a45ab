//! What a recorded snapshot shows: what filled memory at the peak, what is stranded, what leaks, why a
//! request failed, and what other settings would have done, each checked by replay.

mod cause;
mod fixes;
mod fragments;
mod held;
mod leaks;
mod purpose;
mod sites;
mod whatif;

use brimful_replay::{Followed, follow, layout_after, layout_at_start, recorded_config};
use brimful_trace::{Recording, Trace};
use brimful_units::Bytes;

pub use cause::{OutOfMemory, ledger};
pub use fixes::{Fix, fixes};
pub use fragments::{Fragmentation, Pinned};
pub use held::{Contents, Held, Share, Site};
pub use leaks::Leak;
pub use purpose::{Purpose, purposes};
pub use sites::{Doing, Signs, Sites, owner, stack_text};
pub use whatif::{WhatIf, what_if};

/// How much there is of one kind of segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSum {
    /// How many.
    pub segments: u64,
    /// Their size together.
    pub bytes: Bytes,
}

/// The segments at the end of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSums {
    /// All of them.
    pub all: SegmentSum,
    /// For requests of up to 1 MiB.
    pub small: SegmentSum,
    /// For larger ones.
    pub large: SegmentSum,
    /// Mapped ranges of expandable segments.
    pub expandable: SegmentSum,
    /// Of CUDA graphs and `MemPool`s.
    pub private: SegmentSum,
}

/// What a recording shows.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Following it address by address: the peaks, and whether they are as the rules say.
    pub followed: Followed,
    /// What the program was doing at the requested peak.
    pub doing: Doing,
    /// The innermost line outside of PyTorch at the requested peak.
    pub owner: String,
    /// The stack there, innermost first.
    pub stack: Vec<String>,
    /// What was in memory then.
    pub contents: Contents,
    /// Where free memory was when most was reserved.
    pub fragmentation: Fragmentation,
    /// Places that grow from step to step.
    pub leaks: Vec<Leak>,
    /// The segments at the end.
    pub segments: SegmentSums,
    /// The last failure; `None` where nothing failed.
    pub out_of_memory: Option<OutOfMemory>,
    /// The same requests under other settings, without an end to the device.
    pub what_if: Vec<WhatIf>,
    /// Whether memory was there before the first event: peaks before it are not in the recording.
    pub begins_late: bool,
    /// What could not be told.
    pub notes: Vec<String>,
}

/// Explains a recorded trace; the `most` largest sites, blocks and segments by name.
pub fn explain_recording(trace: &Trace, most: usize) -> Explanation {
    let config = recorded_config(trace);
    let followed = follow(trace, &config);
    let sites = Sites::of(trace);
    let purposes = purposes(trace, &sites);
    let leaks = leaks::leaks(trace, &sites);
    let layout = |event: Option<usize>| match event {
        Some(event) => layout_after(trace, &config, event),
        None => layout_at_start(trace, &config),
    };
    let (at_peak, fullest) = (layout(followed.peak_event), layout(followed.reserved_event));
    let out_of_memory = cause::out_of_memory(trace, &purposes, &followed, &leaks, most);
    let conf = trace.recording.as_ref().map_or("", |recording| &recording.conf);
    let at = followed.peak_event.map(|event| purpose::site(trace, event));
    Explanation {
        doing: at.map_or(Doing::Unknown, |context| sites.get(context).doing),
        owner: at.map_or_else(String::new, |context| owner(trace, context)),
        stack: at.map_or_else(Vec::new, |context| stack_text(trace, context)),
        contents: held::contents(trace, &at_peak, &purposes, most),
        fragmentation: fragments::fragmentation(trace, &fullest, &purposes, followed.reserved_event, most),
        leaks,
        segments: trace.recording.as_ref().map(segment_sums).unwrap_or_default(),
        what_if: if trace.is_empty() { Vec::new() } else { what_if(trace, conf, None) },
        out_of_memory,
        begins_late: trace.recording.as_ref().is_some_and(|recording| recording.begins_late),
        notes: notes(trace, &followed),
        followed,
    }
}

fn segment_sums(recording: &Recording) -> SegmentSums {
    let mut sums = SegmentSums::default();
    for segment in &recording.segments {
        let private =
            recording.lanes.get(usize::from(segment.lane)).is_some_and(brimful_trace::Lane::is_private);
        let kind = if segment.small { &mut sums.small } else { &mut sums.large };
        add(kind, segment.bytes);
        add(&mut sums.all, segment.bytes);
        if segment.expandable {
            add(&mut sums.expandable, segment.bytes);
        }
        if private {
            add(&mut sums.private, segment.bytes);
        }
    }
    sums
}

fn add(sum: &mut SegmentSum, bytes: Bytes) {
    sum.segments += 1;
    sum.bytes += bytes;
}

fn notes(trace: &Trace, followed: &Followed) -> Vec<String> {
    let mut notes = Vec::new();
    if trace.recording.as_ref().is_some_and(|recording| recording.begins_late) {
        notes.push(format!(
            "memory was there before the first event ({} requested, {} reserved): the ring wrapped, or the recording \
             began late. What happened before is lost; the true peak may be higher, up to what was reserved",
            followed.start.requested, followed.start.reserved
        ));
    }
    let unverified = &followed.unverified;
    if unverified.cross_stream_frees > 0 {
        notes.push(format!(
            "{} frees waited for another stream; when they completed is taken as recorded",
            unverified.cross_stream_frees
        ));
    }
    if unverified.after_late_frees > 0 {
        notes.push(format!(
            "{} placements came after such frees completed in the middle of a request and could not be checked",
            unverified.after_late_frees
        ));
    }
    if unverified.rounding_at_start > 0 {
        notes.push(format!(
            "the rounding of {} blocks of the start was inferred",
            unverified.rounding_at_start
        ));
    }
    if unverified.start {
        notes.push(
            "the memory at the start could not be rebuilt: some events do not fit the recorded end"
                .to_owned(),
        );
    }
    if unverified.end {
        notes.push("the recorded end is missing, so it could not be compared".to_owned());
    }
    notes
}
