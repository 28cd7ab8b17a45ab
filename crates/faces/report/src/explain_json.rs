use std::collections::BTreeMap;

use brimful_explain::snapshot::{
    Contents, Explanation, Fix, Fragmentation, Held, Leak, OutOfMemory, Owner, Pinned, SegmentSum, Site,
    WhatIf, fixes,
};
use brimful_trace::Category;
use brimful_units::Bytes;
use serde::Serialize;

use crate::replay_json::LedgerJson;

/// The explanation of a recorded snapshot with what stands around it.
pub struct RecordingAnswer<'a> {
    /// The input as it was named in the call.
    pub input: &'a str,
    /// How it was written, such as "PyTorch memory snapshot (torch 2.14 or later)".
    pub format: &'a str,
    /// The GPU, by its number.
    pub device: usize,
    /// How many events it has.
    pub events: usize,
    /// The explanation.
    pub explanation: &'a Explanation,
    /// What could not be read.
    pub unread: &'a [String],
    /// Whether only a part of the file could be read.
    pub partial: bool,
}

/// The schema `brimful.explain/1` (DESIGN.md) of a snapshot.
#[derive(Serialize)]
struct ExplainJson<'a> {
    schema: &'static str,
    input: &'a str,
    is_gpu_oom: bool,
    framework: &'static str,
    format: &'a str,
    device: usize,
    events: usize,
    partial: bool,
    facts: FactsJson,
    cause: Option<CauseJson<'a>>,
    fixes: Vec<FixJson>,
    peak: PeakJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<IntervalJson>,
    peak_at: PlaceJson<'a>,
    composition: BTreeMap<&'static str, u64>,
    uncertain: BTreeMap<&'static str, u64>,
    top: Vec<BlockJson<'a>>,
    owners: Vec<OwnerJson<'a>>,
    sites: Vec<SiteJson<'a>>,
    leaks: Vec<LeakJson<'a>>,
    fragmentation: FragmentationJson<'a>,
    segments: SegmentsJson,
    replay: ReplayJson,
    what_if: Vec<WhatIfJson<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct FactsJson {
    tried_bytes: Option<u64>,
    total_bytes: Option<u64>,
    free_bytes: Option<u64>,
    allocated_bytes: Option<u64>,
    reserved_bytes: Option<u64>,
    reserved_unallocated_bytes: Option<u64>,
    process_in_use_bytes: Option<u64>,
}

#[derive(Serialize)]
struct CauseJson<'a> {
    class: &'a str,
    confidence: f64,
    sentence: &'a str,
    evidence: &'a [String],
    event: usize,
    stack: &'a [String],
}

#[derive(Serialize)]
struct FixJson {
    id: &'static str,
    title: String,
    apply: String,
    keeps_result: bool,
    checked_by_replay: bool,
    reserved_peak: Option<u64>,
    fits: Option<bool>,
}

#[derive(Serialize)]
struct PeakJson {
    requested: u64,
    allocated: u64,
    active: u64,
    reserved: u64,
    device: Option<u64>,
}

/// From the least value to the most; null where there is no bound.
#[derive(Serialize)]
struct IntervalJson {
    requested: [Option<u64>; 2],
    allocated: [Option<u64>; 2],
    reserved: [Option<u64>; 2],
    device: [Option<u64>; 2],
}

#[derive(Serialize)]
struct PlaceJson<'a> {
    phase: &'static str,
    op: &'a str,
    module: &'a str,
    event: Option<usize>,
    stack: &'a [String],
}

#[derive(Serialize)]
pub(crate) struct BlockJson<'a> {
    bytes: u64,
    category: &'static str,
    uncertain: bool,
    shape: Option<Vec<u64>>,
    dtype: Option<&'static str>,
    op: &'a str,
    module: &'a str,
    address: u64,
    stack: &'a [String],
}

#[derive(Serialize)]
struct SiteJson<'a> {
    bytes: u64,
    blocks: u64,
    category: &'static str,
    owner: &'a str,
    stack: &'a [String],
}

#[derive(Serialize)]
struct OwnerJson<'a> {
    bytes: u64,
    blocks: u64,
    category: &'static str,
    owner: &'a str,
}

#[derive(Serialize)]
struct LeakJson<'a> {
    bytes_per_step: u64,
    held: u64,
    intervals: u64,
    grew: u64,
    owner: &'a str,
    stack: &'a [String],
}

#[derive(Serialize)]
struct FragmentationJson<'a> {
    event: Option<usize>,
    stranded: u64,
    releasable: u64,
    largest_free: u64,
    largest_stranded: u64,
    pieces: u64,
    rounding: u64,
    pending: u64,
    private_free: u64,
    other_streams_free: u64,
    pinned: Vec<PinnedJson<'a>>,
}

#[derive(Serialize)]
struct PinnedJson<'a> {
    address: u64,
    bytes: u64,
    stranded: u64,
    blocks: u64,
    pins: Vec<BlockJson<'a>>,
}

#[derive(Serialize)]
struct SegmentsJson {
    all: SegmentSumJson,
    small: SegmentSumJson,
    large: SegmentSumJson,
    expandable: SegmentSumJson,
    private: SegmentSumJson,
}

#[derive(Serialize)]
struct SegmentSumJson {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ReplayJson {
    faithful: bool,
    mismatches: u64,
    checked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_mismatch: Option<usize>,
}

#[derive(Serialize)]
struct WhatIfJson<'a> {
    id: &'static str,
    conf: &'a str,
    peak: LedgerJson,
    retries: u64,
    fits: Option<bool>,
}

/// The explanation as one line of JSON.
pub fn recording_json(answer: &RecordingAnswer<'_>) -> String {
    let explanation = answer.explanation;
    let oom = explanation.out_of_memory.as_ref();
    let notes = explanation.notes.iter().chain(answer.unread).map(String::as_str).collect();
    let json = ExplainJson {
        schema: "brimful.explain/1",
        input: answer.input,
        is_gpu_oom: oom.is_some(),
        framework: "pytorch",
        format: answer.format,
        device: answer.device,
        events: answer.events,
        partial: answer.partial,
        facts: facts(oom),
        cause: oom.map(cause),
        fixes: fixes(explanation).into_iter().map(fix).collect(),
        peak: peak(explanation),
        interval: explanation.begins_late.then(|| interval(explanation)),
        peak_at: PlaceJson {
            phase: explanation.doing.phase().map_or("", |phase| phase.name()),
            op: "",
            module: module_or_line(&explanation.module, &explanation.owner),
            event: explanation.followed.peak_event,
            stack: &explanation.stack,
        },
        composition: composition(&explanation.contents, |share| share.bytes),
        uncertain: composition(&explanation.contents, |share| share.uncertain),
        top: explanation.contents.blocks.iter().map(block).collect(),
        owners: explanation.contents.owners.iter().map(owner).collect(),
        sites: explanation.contents.sites.iter().map(site).collect(),
        leaks: explanation.leaks.iter().map(leak).collect(),
        fragmentation: fragmentation(oom.map_or(&explanation.fragmentation, |oom| &oom.fragmentation)),
        segments: segments(explanation),
        replay: ReplayJson {
            faithful: explanation.followed.is_faithful(),
            mismatches: explanation.followed.mismatches,
            checked: explanation.followed.checked,
            first_mismatch: explanation.followed.first_mismatch.map(|mismatch| mismatch.event),
        },
        what_if: explanation.what_if.iter().map(tried).collect(),
        notes,
    };
    serde_json::to_string(&json).unwrap_or_default()
}

fn facts(oom: Option<&OutOfMemory>) -> FactsJson {
    FactsJson {
        tried_bytes: oom.map(|oom| oom.tried.get()),
        total_bytes: None,
        free_bytes: oom.and_then(|oom| oom.free).map(Bytes::get),
        allocated_bytes: oom.map(|oom| oom.held.allocated.get()),
        reserved_bytes: oom.map(|oom| oom.held.reserved.get()),
        reserved_unallocated_bytes: oom.map(|oom| oom.held.reserved.saturating_sub(oom.held.allocated).get()),
        process_in_use_bytes: None,
    }
}

fn cause(oom: &OutOfMemory) -> CauseJson<'_> {
    CauseJson {
        class: oom.class,
        confidence: oom.confidence,
        sentence: &oom.sentence,
        evidence: &oom.evidence,
        event: oom.event,
        stack: &oom.stack,
    }
}

fn fix(fix: Fix) -> FixJson {
    FixJson {
        id: fix.id,
        title: fix.title,
        apply: fix.apply,
        keeps_result: fix.keeps_result,
        checked_by_replay: fix.reserved.is_some(),
        reserved_peak: fix.reserved.map(Bytes::get),
        fits: fix.fits,
    }
}

fn peak(explanation: &Explanation) -> PeakJson {
    let peak = &explanation.followed.peak;
    PeakJson {
        requested: peak.requested.get(),
        allocated: peak.allocated.get(),
        active: explanation.followed.peak_active.get(),
        reserved: peak.reserved.get(),
        device: None,
    }
}

fn interval(explanation: &Explanation) -> IntervalJson {
    let from = |bytes: Bytes| [Some(bytes.get()), None];
    let peak = &explanation.followed.peak;
    IntervalJson {
        requested: from(peak.requested),
        allocated: from(peak.allocated),
        reserved: from(peak.reserved),
        device: from(peak.reserved),
    }
}

/// The nine public keys and `other`; every key is there, also at zero.
pub(crate) fn composition(
    contents: &Contents,
    of: impl Fn(&brimful_explain::snapshot::Share) -> Bytes,
) -> BTreeMap<&'static str, u64> {
    let mut all: BTreeMap<&'static str, u64> =
        Category::ALL.iter().map(|category| (category.public_name(), 0)).collect();
    for share in &contents.shares {
        *all.entry(share.category.public_name()).or_default() += of(share).get();
    }
    all
}

/// The module's path, or the line where the recording tells no module.
pub(crate) fn module_or_line<'a>(module: &'a str, owner: &'a str) -> &'a str {
    if module.is_empty() { owner } else { module }
}

pub(crate) fn block(held: &Held) -> BlockJson<'_> {
    BlockJson {
        bytes: held.bytes.get(),
        category: held.purpose.category.public_name(),
        uncertain: held.purpose.uncertain,
        shape: None,
        dtype: None,
        op: "",
        module: module_or_line(&held.module, &held.owner),
        address: held.address,
        stack: &held.stack,
    }
}

fn site(site: &Site) -> SiteJson<'_> {
    SiteJson {
        bytes: site.bytes.get(),
        blocks: site.blocks,
        category: site.category.public_name(),
        owner: &site.owner,
        stack: &site.stack,
    }
}

fn owner(owner: &Owner) -> OwnerJson<'_> {
    OwnerJson {
        bytes: owner.bytes.get(),
        blocks: owner.blocks,
        category: owner.category.public_name(),
        owner: &owner.owner,
    }
}

fn leak(leak: &Leak) -> LeakJson<'_> {
    LeakJson {
        bytes_per_step: leak.bytes_per_step.get(),
        held: leak.held.get(),
        intervals: leak.intervals,
        grew: leak.grew,
        owner: &leak.owner,
        stack: &leak.stack,
    }
}

fn fragmentation(found: &Fragmentation) -> FragmentationJson<'_> {
    FragmentationJson {
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

fn pinned(pinned: &Pinned) -> PinnedJson<'_> {
    PinnedJson {
        address: pinned.address,
        bytes: pinned.bytes.get(),
        stranded: pinned.stranded.get(),
        blocks: pinned.blocks,
        pins: pinned.pins.iter().map(block).collect(),
    }
}

fn segments(explanation: &Explanation) -> SegmentsJson {
    let sum = |sum: SegmentSum| SegmentSumJson { count: sum.segments, bytes: sum.bytes.get() };
    let sums = &explanation.segments;
    SegmentsJson {
        all: sum(sums.all),
        small: sum(sums.small),
        large: sum(sums.large),
        expandable: sum(sums.expandable),
        private: sum(sums.private),
    }
}

fn tried(what: &WhatIf) -> WhatIfJson<'_> {
    WhatIfJson {
        id: what.id,
        conf: &what.conf,
        peak: (&what.peak).into(),
        retries: what.retries,
        fits: what.fits,
    }
}
