//! What a recorded snapshot shows: what filled memory at the peak, what is stranded, what leaks, why a
//! request failed, and what other settings would have done, each checked by replay.

mod activity;
mod cause;
mod fixes;
mod fragments;
mod held;
mod leaks;
mod marked;
mod purpose;
mod sites;
mod whatif;

use std::sync::OnceLock;

use brimful_replay::{Followed, Ledger, follow_with_layouts, recorded_config};
use brimful_trace::{Event, Recording, Trace};
use brimful_units::Bytes;

pub use cause::{OutOfMemory, ledger};
pub use fixes::{Fix, fixes};
pub use fragments::{Fragmentation, Pinned};
pub use held::{Contents, Held, Owner, Share, Site};
pub use leaks::Leak;
pub use purpose::Purpose;
pub use sites::{Doing, owner, stack_text};

use crate::history::{Draft, History, recorded_reserved};
use sites::Sites;
use whatif::Trials;
pub use whatif::WhatIf;

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
    /// The module that asked at the requested peak; empty if the recording does not name it.
    pub module: String,
    /// The module, any layer of it, and the innermost line outside of PyTorch at the requested peak.
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
    /// The same requests under other settings: on the same device where a request failed, and without an end
    /// to it where none did.
    pub what_if: Vec<WhatIf>,
    /// Whether memory was there before the first event: peaks before it are not in the recording.
    pub begins_late: bool,
    /// What could not be determined.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Whether requested ≤ allocated ≤ reserved at the peak, and the purposes sum to what was requested. A recording of
    /// PyTorch is consistent; a file that was changed or damaged may not be.
    pub fn is_consistent(&self) -> bool {
        let held: Bytes = self.contents.shares.iter().map(|share| share.bytes).sum();
        self.followed.peak.is_ordered() && held == self.followed.peak.requested
    }
}

/// How many of each an explanation names, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Lines of the program.
    pub owners: usize,
    /// Stacks.
    pub sites: usize,
    /// Blocks.
    pub blocks: usize,
    /// Segments with free memory in them.
    pub segments: usize,
}

impl Named {
    /// As many of each.
    pub const fn most(most: usize) -> Named {
        Named { owners: most, sites: most, blocks: most, segments: most }
    }
}

/// What the program was doing at each event of a recording, and what each block is for.
pub(crate) struct Roles {
    pub activity: Vec<Doing>,
    pub purposes: Vec<Purpose>,
}

impl Roles {
    /// Reads them from the stacks.
    pub fn of(trace: &Trace) -> Roles {
        let sites = Sites::of(trace);
        let activity = activity::activity(trace, &sites);
        let purposes = purpose::purposes(trace, &sites, &activity);
        Roles { activity, purposes }
    }
}

/// Explains a recorded trace; the `most` largest sites, blocks and segments by name.
pub fn explain_recording(trace: &Trace, most: usize) -> Explanation {
    explain(trace, Named::most(most), &OnceLock::new())
}

/// Explains a recorded trace and draws its history, in at most `ranges` moments with the `most` largest blocks. What both
/// need is found once.
pub fn explain_with_history(
    trace: &Trace,
    named: Named,
    ranges: usize,
    most: usize,
) -> (Explanation, History) {
    let roles = OnceLock::new();
    let (draft, explanation) = both(
        || Draft::of_recording(trace, roles.get_or_init(|| Roles::of(trace)), ranges, most),
        || explain(trace, named, &roles),
    );
    let history = draft.finish(&recorded_reserved(trace, explanation.followed.start.reserved));
    (explanation, history)
}

/// Explains a recorded trace; `roles` are found where nobody has yet.
fn explain(trace: &Trace, named: Named, roles: &OnceLock<Roles>) -> Explanation {
    let failed = trace.events().rposition(|event| matches!(event, Event::Oom(_)));
    let capacity = failed.and_then(|event| cause::capacity_at(trace, event));
    let trials = Trials::new(trace, capacity);
    let (mut tried, (mut explanation, rest)) =
        both(|| trials.run(), || (explain_as_recorded(trace, failed, named, roles), trials.run()));
    if explanation.followed.unverified.start {
        return explanation;
    }
    tried.extend(rest);
    let what_if = trials.finish(tried, &explanation.followed);
    if let Some(oom) = &mut explanation.out_of_memory {
        oom.conclude(&what_if, cause::needed(trace, capacity), &explanation.leaks);
    }
    explanation.what_if = what_if;
    explanation
}

/// Two answers at once, where there are threads.
fn both<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    if cfg!(target_arch = "wasm32") {
        return (a(), b());
    }
    std::thread::scope(|scope| {
        let a = scope.spawn(a);
        let b = b();
        (a.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), b)
    })
}

/// As [`explain_recording`], but other settings are tried only where a request failed: a page shows them only then.
pub fn describe_recording(trace: &Trace, most: usize) -> Explanation {
    if trace.events().any(|event| matches!(event, Event::Oom(_))) {
        return explain_recording(trace, most);
    }
    explain_as_recorded(trace, None, Named::most(most), &OnceLock::new())
}

/// The phase that each event of a recording belongs to; `None` outside of all.
pub(crate) fn phases_of(trace: &Trace) -> Vec<Option<brimful_trace::PhaseKind>> {
    activity::activity(trace, &Sites::of(trace)).into_iter().map(Doing::phase).collect()
}

/// The peaks of a recording, and every site that was in memory at the requested one.
pub(crate) fn contents_at_peak(trace: &Trace) -> (Ledger, Contents) {
    let named = Named { owners: 0, sites: usize::MAX, blocks: 0, segments: 0 };
    let explanation = explain_as_recorded(trace, None, named, &OnceLock::new());
    (explanation.followed.peak, explanation.contents)
}

fn explain_as_recorded(
    trace: &Trace,
    failed: Option<usize>,
    named: Named,
    roles: &OnceLock<Roles>,
) -> Explanation {
    let (followed, layouts) = follow_with_layouts(trace, &recorded_config(trace), failed);
    let Roles { activity, purposes } = roles.get_or_init(|| Roles::of(trace));
    let leaks = leaks::leaks(trace, activity);
    let doing =
        |event: Option<usize>| event.and_then(|event| activity.get(event).copied()).unwrap_or_default();
    let known = cause::Known { purposes, doing: doing(failed), named };
    let out_of_memory = failed.and_then(|event| cause::out_of_memory(trace, event, &layouts.after, &known));
    let at = followed.peak_event.map(|event| activity::site(trace, event));
    let mut explanation = Explanation {
        doing: doing(followed.peak_event),
        module: at.map_or("", |context| sites::module(trace, context)).to_owned(),
        owner: at.map_or_else(String::new, |context| owner(trace, context)),
        stack: at.map_or_else(Vec::new, |context| stack_text(trace, context)),
        contents: held::contents(trace, &layouts.at_peak, purposes, named),
        fragmentation: fragments::fragmentation(
            trace,
            &layouts.at_fullest,
            purposes,
            followed.reserved_event,
            named.segments,
        ),
        leaks,
        segments: trace.recording.as_ref().map(segment_sums).unwrap_or_default(),
        what_if: Vec::new(),
        out_of_memory,
        begins_late: trace.recording.as_ref().is_some_and(|recording| recording.begins_late),
        notes: notes(trace, &followed),
        followed,
    };
    if let Some(oom) = &mut explanation.out_of_memory {
        oom.conclude(&[], None, &explanation.leaks);
    }
    explanation
}

fn segment_sums(recording: &Recording) -> SegmentSums {
    let mut sums = SegmentSums::default();
    for segment in &recording.segments {
        let private = recording.lanes.get(segment.lane.index()).is_some_and(brimful_trace::Lane::is_private);
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
    if !trace.is_empty() && trace.recording.as_ref().is_some_and(|recording| recording.begins_late) {
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
    if let Some(space) = unverified.address_space {
        notes.push(format!(
            "placements are as the rules say if an expandable segment has {space} of address space (9/8 of the device), \
             which the recording does not tell"
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
