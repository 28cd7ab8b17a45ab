use brimful_explain::{Amount, Diff, PlaceChange, ShareChange};
use serde::Serialize;

use super::DiffAnswer;
use crate::wire::{Peak, line};

/// The schema `brimful.diff/1`: pairs are the first run's and the second run's, in bytes.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.diff/1")))]
    pub schema: &'static str,
    /// The first input as it was named in the call.
    pub before: &'a str,
    /// The second input as it was named in the call.
    pub after: &'a str,
    /// Whether both are the same at the peak, to the byte.
    pub equal: bool,
    /// The peaks.
    pub peak: Peak<[u64; 2]>,
    /// What the bytes at the requested peak are for.
    pub composition: Vec<Share>,
    /// Where bytes at the peak changed, most first.
    pub places: Vec<ChangedPlace<'a>>,
    /// Whether each input was cut off: its peak is then a lower bound.
    pub partial: [bool; 2],
    /// What else to know.
    pub notes: &'a [String],
}

/// Memory by what it is for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Share {
    /// What it is for, in brimful's finer categories.
    pub category: &'static str,
    /// The bytes.
    pub bytes: [u64; 2],
    /// The second less the first.
    pub change: i128,
}

/// A place whose memory changed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangedPlace<'a> {
    /// What the memory is for, in brimful's finer categories.
    pub category: &'static str,
    /// The frames or the module, innermost first.
    pub place: &'a [String],
    /// The bytes.
    pub bytes: [u64; 2],
    /// The number of blocks.
    pub blocks: [u64; 2],
    /// The second less the first, in bytes.
    pub change: i128,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// The first run does not have it.
    New,
    /// The second run does not have it.
    Gone,
    /// It holds more.
    Grown,
    /// It holds less.
    Shrunk,
    /// It holds as much, in another number of blocks.
    Split,
}

impl ChangeKind {
    /// What became of a place.
    pub(crate) fn of(place: &PlaceChange) -> ChangeKind {
        match (place.before.blocks, place.after.blocks) {
            (0, _) => ChangeKind::New,
            (_, 0) => ChangeKind::Gone,
            _ if place.after.bytes > place.before.bytes => ChangeKind::Grown,
            _ if place.after.bytes < place.before.bytes => ChangeKind::Shrunk,
            _ => ChangeKind::Split,
        }
    }

    /// The word in answers.
    pub const fn name(self) -> &'static str {
        match self {
            ChangeKind::New => "new",
            ChangeKind::Gone => "gone",
            ChangeKind::Grown => "grown",
            ChangeKind::Shrunk => "shrunk",
            ChangeKind::Split => "split",
        }
    }
}

/// The comparison as one line of JSON.
pub fn diff_json(answer: &DiffAnswer<'_>) -> String {
    line(&DiffJson::from(answer))
}

impl<'a> From<&DiffAnswer<'a>> for DiffJson<'a> {
    fn from(answer: &DiffAnswer<'a>) -> DiffJson<'a> {
        let diff = answer.diff;
        DiffJson {
            schema: "brimful.diff/1",
            before: answer.before,
            after: answer.after,
            equal: diff.is_empty(),
            peak: peaks(diff),
            composition: diff.shares.iter().map(share).collect(),
            places: diff.places.iter().map(place).collect(),
            partial: answer.partial,
            notes: answer.notes,
        }
    }
}

fn peaks(diff: &Diff) -> Peak<[u64; 2]> {
    Peak {
        requested: diff.peaks.map(|peak| peak.requested.get()),
        allocated: diff.peaks.map(|peak| peak.allocated.get()),
        active: None,
        reserved: diff.peaks.map(|peak| peak.reserved.get()),
        device: None,
    }
}

fn share(share: &ShareChange) -> Share {
    let bytes = [share.before.get(), share.after.get()];
    Share { category: share.category.name(), bytes, change: change(bytes) }
}

fn place(changed: &PlaceChange) -> ChangedPlace<'_> {
    let of = |get: fn(&Amount) -> u64| [get(&changed.before), get(&changed.after)];
    let bytes = of(|amount| amount.bytes.get());
    ChangedPlace {
        category: changed.category.name(),
        place: &changed.place,
        bytes,
        blocks: of(|amount| amount.blocks),
        change: change(bytes),
        kind: ChangeKind::of(changed),
    }
}

fn change([before, after]: [u64; 2]) -> i128 {
    i128::from(after) - i128::from(before)
}
