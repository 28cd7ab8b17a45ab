use brimful_explain::snapshot::{self, Explanation, OutOfMemory, RecordedFix, fixes};
use brimful_units::Bytes;
use serde::Serialize;

use super::RecordingAnswer;
use crate::wire::{Block, Composition, Fix, FixGrounds, Peak, Place, composition, line};
#[cfg(feature = "schema")]
use crate::words;

/// The schema `brimful.explain/1` of a snapshot.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.explain/1")))]
    pub schema: &'static str,
    /// The input as it was named in the call.
    pub input: &'a str,
    /// What the input is.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "snapshot")))]
    pub kind: &'static str,
    /// Whether a request failed.
    pub is_gpu_oom: bool,
    /// The program that recorded it.
    pub framework: &'static str,
    /// How it was written.
    pub format: &'a str,
    /// The GPU, by its number.
    pub device: usize,
    /// How many events it has.
    pub events: usize,
    /// Whether only a part of the file could be read.
    pub partial: bool,
    /// Whether the ledgers are ordered and the composition sums to the requested peak; not so in a damaged file, whose
    /// figures contradict each other.
    pub consistent: bool,
    /// The figures of the request that failed; all null where none did.
    pub facts: AllocatorFacts,
    /// Why it failed; null where none did.
    pub cause: Option<RecordedCause<'a>>,
    /// What helps, the replayed first.
    pub fixes: Vec<Fix<'a>>,
    /// The peak.
    pub peak: Peak<u64, Option<u64>>,
    /// The bounds of the peak where the recording begins late: from the least value to the most, null without a bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Peak<[Option<u64>; 2]>>,
    /// Where the peak is.
    pub peak_at: Place<'a>,
    /// What the bytes at the requested peak are for.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::composition"))]
    pub composition: Composition,
    /// How many of these bytes are guesses.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::composition"))]
    pub uncertain: Composition,
    /// The largest blocks at the peak.
    pub top: Vec<Block<'a>>,
    /// Who holds the peak, by line or module.
    pub owners: Vec<Owner<'a>>,
    /// Who holds the peak, by stack.
    pub sites: Vec<Site<'a>>,
    /// What grows from step to step.
    pub leaks: Vec<Leak<'a>>,
    /// Free memory inside the allocator: at the failure, else at the reserved peak.
    pub fragmentation: Fragmentation<'a>,
    /// The allocator's segments at the peak.
    pub segments: Segments,
    /// Whether the recorded placements follow the allocator's rules.
    pub replay: Fidelity,
    /// The same requests under other settings.
    pub what_if: Vec<WhatIf<'a>>,
    /// What else to know.
    pub notes: Vec<&'a str>,
}

/// Figures of the allocator; null where they are not known.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AllocatorFacts {
    /// What was asked for.
    pub tried_bytes: Option<u64>,
    /// What the device has.
    pub total_bytes: Option<u64>,
    /// What the device had left.
    pub free_bytes: Option<u64>,
    /// What was allocated.
    pub allocated_bytes: Option<u64>,
    /// What was reserved.
    pub reserved_bytes: Option<u64>,
    /// What was reserved and not allocated.
    pub reserved_unallocated_bytes: Option<u64>,
    /// What the process held on the device.
    pub process_in_use_bytes: Option<u64>,
}

/// Why a request failed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordedCause<'a> {
    /// The cause, as `brimful explain --cause` names it.
    pub class: &'a str,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// The failure in a sentence.
    pub sentence: &'a str,
    /// What speaks for it.
    pub evidence: &'a [String],
    /// The event's number.
    pub event: usize,
    /// The stack of the request, innermost frame first.
    pub stack: &'a [String],
}

/// Memory by the stack that made it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Site<'a> {
    /// Its bytes at the peak.
    pub bytes: u64,
    /// How many blocks.
    pub blocks: u64,
    /// What they are for.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::category"))]
    pub category: &'static str,
    /// The module or the line.
    pub owner: &'a str,
    /// The stack, innermost frame first.
    pub stack: &'a [String],
}

/// Memory by module or line.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Owner<'a> {
    /// Its bytes at the peak.
    pub bytes: u64,
    /// How many blocks.
    pub blocks: u64,
    /// What they are for.
    #[cfg_attr(feature = "schema", schemars(schema_with = "words::category"))]
    pub category: &'static str,
    /// The module or the line.
    pub owner: &'a str,
}

/// Memory that grows from step to step.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Leak<'a> {
    /// How much it grows in a step.
    pub bytes_per_step: u64,
    /// What it holds at the end.
    pub held: u64,
    /// How many steps were compared.
    pub intervals: u64,
    /// In how many of them it grew.
    pub grew: u64,
    /// The module or the line.
    pub owner: &'a str,
    /// The stack, innermost frame first.
    pub stack: &'a [String],
}

/// Free memory inside the allocator.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fragmentation<'a> {
    /// When; null for the start.
    pub event: Option<usize>,
    /// Free beside live blocks, so that it cannot be given back.
    pub stranded: u64,
    /// In free segments.
    pub releasable: u64,
    /// The largest free piece.
    pub largest_free: u64,
    /// The largest free piece beside a live block.
    pub largest_stranded: u64,
    /// How many pieces are stranded.
    pub pieces: u64,
    /// Lost to rounding.
    pub rounding: u64,
    /// Freed, and still in use by another stream.
    pub pending: u64,
    /// Free in private pools.
    pub private_free: u64,
    /// Free for other streams only.
    pub other_streams_free: u64,
    /// The segments with the most stranded memory.
    pub pinned: Vec<Pinned<'a>>,
}

/// A segment that live blocks keep.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pinned<'a> {
    /// Its address.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
    /// What is free in it.
    pub stranded: u64,
    /// How many blocks keep it.
    pub blocks: u64,
    /// These blocks, the largest first.
    pub pins: Vec<Block<'a>>,
}

/// The allocator's segments.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Segments {
    /// All of them.
    pub all: SegmentSum,
    /// Those for requests up to 1 MiB.
    pub small: SegmentSum,
    /// Those for larger requests.
    pub large: SegmentSum,
    /// Those that grow.
    pub expandable: SegmentSum,
    /// Those of private pools.
    pub private: SegmentSum,
}

/// Segments of a kind.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SegmentSum {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Whether the recorded placements follow the allocator's rules.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fidelity {
    /// Whether all do, and the final layout is the recorded one; false if no placement was recorded.
    pub faithful: bool,
    /// How many placements differ.
    pub mismatches: u64,
    /// How many were checked.
    pub checked: u64,
    /// The first event that differs, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_mismatch: Option<usize>,
}

/// The same requests under other settings.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhatIf<'a> {
    /// The name of the settings.
    pub id: &'static str,
    /// The value of PYTORCH_CUDA_ALLOC_CONF.
    pub conf: &'a str,
    /// The peak under them.
    pub peak: Peak,
    /// How often all cached memory was given back to make room.
    pub retries: u64,
    /// Whether every request is served; null where the capacity is not known.
    pub fits: Option<bool>,
}

/// The explanation as one line of JSON.
pub fn recording_json(answer: &RecordingAnswer<'_>) -> String {
    let fixes = fixes(answer.explanation);
    line(&json(answer, &fixes))
}

/// The explanation in its schema, with the fixes that belong to it.
fn json<'a>(answer: &RecordingAnswer<'a>, fixes: &'a [RecordedFix]) -> RecordingJson<'a> {
    let explanation = answer.explanation;
    let contents = &explanation.contents;
    let oom = explanation.out_of_memory.as_ref();
    RecordingJson {
        schema: "brimful.explain/1",
        input: answer.input,
        kind: "snapshot",
        is_gpu_oom: oom.is_some(),
        framework: "pytorch",
        format: answer.format,
        device: answer.device,
        events: answer.events,
        partial: answer.partial,
        consistent: explanation.is_consistent(),
        facts: oom.map_or_else(AllocatorFacts::default, facts),
        cause: oom.map(cause),
        fixes: fixes.iter().map(fix).collect(),
        peak: peak(explanation),
        // What a part of a file does not hold has no bound above.
        interval: (explanation.begins_late && !answer.partial).then(|| interval(explanation)),
        peak_at: Place::of_peak(explanation),
        composition: composition(contents, |share| share.bytes),
        uncertain: composition(contents, |share| share.uncertain),
        top: contents.blocks.iter().map(Block::from).collect(),
        owners: contents.owners.iter().map(owner).collect(),
        sites: contents.sites.iter().map(site).collect(),
        leaks: explanation.leaks.iter().map(leak).collect(),
        fragmentation: fragmentation(oom.map_or(&explanation.fragmentation, |oom| &oom.fragmentation)),
        segments: segments(explanation),
        replay: fidelity(explanation),
        what_if: explanation.what_if.iter().map(tried).collect(),
        notes: explanation.notes.iter().chain(answer.unread).map(String::as_str).collect(),
    }
}

fn facts(oom: &OutOfMemory) -> AllocatorFacts {
    AllocatorFacts {
        tried_bytes: Some(oom.tried.get()),
        free_bytes: oom.free.map(Bytes::get),
        allocated_bytes: Some(oom.held.allocated.get()),
        reserved_bytes: Some(oom.held.reserved.get()),
        reserved_unallocated_bytes: Some(oom.held.reserved.saturating_sub(oom.held.allocated).get()),
        ..AllocatorFacts::default()
    }
}

fn fix(fix: &RecordedFix) -> Fix<'_> {
    Fix {
        id: fix.id,
        title: &fix.title,
        apply: &fix.apply,
        keeps_result: fix.keeps.is_kept(),
        grounds: FixGrounds::Replayed {
            checked_by_replay: fix.reserved.is_some(),
            reserved_peak: fix.reserved.map(Bytes::get),
            fits: fix.fits,
        },
    }
}

fn peak(explanation: &Explanation) -> Peak<u64, Option<u64>> {
    let peak = &explanation.followed.peak;
    Peak {
        requested: peak.requested.get(),
        allocated: peak.allocated.get(),
        active: Some(explanation.followed.peak_active.get()),
        reserved: peak.reserved.get(),
        device: Some(None),
    }
}

fn interval(explanation: &Explanation) -> Peak<[Option<u64>; 2]> {
    let from = |bytes: Bytes| [Some(bytes.get()), None];
    let peak = &explanation.followed.peak;
    Peak {
        requested: from(peak.requested),
        allocated: from(peak.allocated),
        active: None,
        reserved: from(peak.reserved),
        device: Some(from(peak.reserved)),
    }
}

fn fidelity(explanation: &Explanation) -> Fidelity {
    let followed = &explanation.followed;
    Fidelity {
        faithful: followed.is_faithful(),
        mismatches: followed.mismatches,
        checked: followed.checked,
        first_mismatch: followed.first_mismatch.map(|mismatch| mismatch.event),
    }
}

fn cause(oom: &OutOfMemory) -> RecordedCause<'_> {
    RecordedCause {
        class: oom.class,
        confidence: oom.confidence,
        sentence: &oom.sentence,
        evidence: &oom.evidence,
        event: oom.event,
        stack: &oom.stack,
    }
}

fn site(site: &snapshot::Site) -> Site<'_> {
    Site {
        bytes: site.bytes.get(),
        blocks: site.blocks,
        category: site.category.public_name(),
        owner: &site.owner,
        stack: &site.stack,
    }
}

fn owner(owner: &snapshot::Owner) -> Owner<'_> {
    Owner {
        bytes: owner.bytes.get(),
        blocks: owner.blocks,
        category: owner.category.public_name(),
        owner: &owner.owner,
    }
}

fn leak(leak: &snapshot::Leak) -> Leak<'_> {
    Leak {
        bytes_per_step: leak.bytes_per_step.get(),
        held: leak.held.get(),
        intervals: leak.intervals,
        grew: leak.grew,
        owner: &leak.owner,
        stack: &leak.stack,
    }
}

fn fragmentation(found: &snapshot::Fragmentation) -> Fragmentation<'_> {
    Fragmentation {
        event: found.event,
        stranded: found.stranded.get(),
        releasable: found.releasable.get(),
        largest_free: found.largest_free.get(),
        largest_stranded: found.largest_stranded.get(),
        pieces: found.pieces,
        rounding: found.rounding.get(),
        pending: found.pending.get(),
        private_free: found.private_free.get(),
        other_streams_free: found.other_streams_free.get(),
        pinned: found.pinned.iter().map(pinned).collect(),
    }
}

fn pinned(pinned: &snapshot::Pinned) -> Pinned<'_> {
    Pinned {
        address: pinned.address,
        bytes: pinned.bytes.get(),
        stranded: pinned.stranded.get(),
        blocks: pinned.blocks,
        pins: pinned.pins.iter().map(Block::from).collect(),
    }
}

fn segments(explanation: &Explanation) -> Segments {
    let sum = |sum: snapshot::SegmentSum| SegmentSum { count: sum.segments, bytes: sum.bytes.get() };
    let sums = &explanation.segments;
    Segments {
        all: sum(sums.all),
        small: sum(sums.small),
        large: sum(sums.large),
        expandable: sum(sums.expandable),
        private: sum(sums.private),
    }
}

fn tried(what: &snapshot::WhatIf) -> WhatIf<'_> {
    WhatIf {
        id: what.id,
        conf: &what.conf,
        peak: (&what.peak).into(),
        retries: what.retries,
        fits: what.fits,
    }
}
