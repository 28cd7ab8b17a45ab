use brimful_explain::{Amount, Diff, PlaceChange, ShareChange};
use serde::Serialize;

/// A comparison with what it is of.
pub struct DiffAnswer<'a> {
    /// The first input as it was named.
    pub before: &'a str,
    /// The second input as it was named.
    pub after: &'a str,
    /// What changed.
    pub diff: &'a Diff,
    /// What else to know.
    pub notes: &'a [String],
}

/// The schema `brimful.diff/1`: pairs are the first run's and the second run's, in bytes.
#[derive(Serialize)]
struct DiffJson<'a> {
    schema: &'static str,
    before: &'a str,
    after: &'a str,
    equal: bool,
    peak: PeakJson,
    composition: Vec<ShareJson>,
    places: Vec<PlaceJson<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct PeakJson {
    requested: [u64; 2],
    allocated: [u64; 2],
    reserved: [u64; 2],
}

#[derive(Serialize)]
struct ShareJson {
    category: &'static str,
    bytes: [u64; 2],
    change: i128,
}

#[derive(Serialize)]
struct PlaceJson<'a> {
    category: &'static str,
    place: &'a [String],
    bytes: [u64; 2],
    blocks: [u64; 2],
    change: i128,
    kind: &'static str,
}

/// What became of a place.
pub(crate) fn kind(place: &PlaceChange) -> &'static str {
    match (place.before.blocks, place.after.blocks) {
        (0, _) => "new",
        (_, 0) => "gone",
        _ if place.after.bytes > place.before.bytes => "grown",
        _ if place.after.bytes < place.before.bytes => "shrunk",
        _ => "split",
    }
}

/// The comparison as one line of JSON.
pub fn diff_json(answer: &DiffAnswer<'_>) -> String {
    let diff = answer.diff;
    let json = DiffJson {
        schema: "brimful.diff/1",
        before: answer.before,
        after: answer.after,
        equal: diff.is_empty(),
        peak: PeakJson {
            requested: diff.peaks.map(|peak| peak.requested.get()),
            allocated: diff.peaks.map(|peak| peak.allocated.get()),
            reserved: diff.peaks.map(|peak| peak.reserved.get()),
        },
        composition: diff.shares.iter().map(share).collect(),
        places: diff.places.iter().map(place).collect(),
        notes: answer.notes,
    };
    serde_json::to_string(&json).unwrap_or_default()
}

fn share(share: &ShareChange) -> ShareJson {
    let bytes = [share.before.get(), share.after.get()];
    ShareJson { category: share.category.name(), bytes, change: change(bytes) }
}

fn place(changed: &PlaceChange) -> PlaceJson<'_> {
    let of = |get: fn(&Amount) -> u64| [get(&changed.before), get(&changed.after)];
    let bytes = of(|amount| amount.bytes.get());
    PlaceJson {
        category: changed.category.name(),
        place: &changed.place,
        bytes,
        blocks: of(|amount| amount.blocks),
        change: change(bytes),
        kind: kind(changed),
    }
}

fn change([before, after]: [u64; 2]) -> i128 {
    i128::from(after) - i128::from(before)
}
