//! What changed between two runs, each at its peak: by ledger, by purpose, and by place in the program.

mod inventory;
mod places;

use std::collections::BTreeMap;

use brimful_replay::Ledger;
use brimful_trace::Category;
use brimful_units::Bytes;

use crate::holders::TracedRun;
use inventory::{Inventory, Key};

/// Memory of one purpose in both runs (ledger: requested).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareChange {
    /// What it is for.
    pub category: Category,
    /// In the first run.
    pub before: Bytes,
    /// In the second run.
    pub after: Bytes,
}

/// How much a place holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Ledger: requested.
    pub bytes: Bytes,
    /// In how many blocks.
    pub blocks: u64,
}

/// Memory of one place in the program in both runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceChange {
    /// What it is for.
    pub category: Category,
    /// The place: the frames of a recording, innermost first, without folders and lines; module and op of a
    /// prediction, with `*` for the number of a block.
    pub place: Vec<String>,
    /// In the first run.
    pub before: Amount,
    /// In the second run.
    pub after: Amount,
}

/// What changed between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Peaks of the first and the second run.
    pub peaks: [Ledger; 2],
    /// By purpose, in the order of [`Category::ALL`]; those that neither run has are left out.
    pub shares: Vec<ShareChange>,
    /// By place, those that changed, the largest change first.
    pub places: Vec<PlaceChange>,
    /// Whether places could be compared: a prediction names modules, a recording names lines.
    pub comparable: bool,
}

impl Diff {
    /// Whether the two are the same at their peaks.
    pub fn is_empty(&self) -> bool {
        self.peaks[0] == self.peaks[1]
            && self.places.is_empty()
            && self.shares.iter().all(|share| share.before == share.after)
    }
}

/// Compares two runs at their requested peaks.
pub fn diff(before: TracedRun<'_>, after: TracedRun<'_>) -> Diff {
    let comparable = before.is_predicted() == after.is_predicted();
    let inventories = [Inventory::of(before), Inventory::of(after)];
    let places = if comparable { places(&inventories) } else { Vec::new() };
    Diff {
        peaks: [inventories[0].peak, inventories[1].peak],
        shares: shares(&inventories),
        places,
        comparable,
    }
}

fn shares(inventories: &[Inventory; 2]) -> Vec<ShareChange> {
    let sum = |inventory: &Inventory, category: Category| -> Bytes {
        inventory.places.iter().filter(|(key, _)| key.category == category).map(|(_, held)| held.bytes).sum()
    };
    let change = |category: &Category| ShareChange {
        category: *category,
        before: sum(&inventories[0], *category),
        after: sum(&inventories[1], *category),
    };
    let held = |share: &ShareChange| share.before.max(share.after) > Bytes::ZERO;
    Category::ALL.iter().map(change).filter(held).collect()
}

fn places([before, after]: &[Inventory; 2]) -> Vec<PlaceChange> {
    let mut all: BTreeMap<&Key, [Amount; 2]> = BTreeMap::new();
    for (side, inventory) in [before, after].into_iter().enumerate() {
        for (key, amount) in &inventory.places {
            all.entry(key).or_default()[side] = *amount;
        }
    }
    let change = |(key, [before, after]): (&Key, [Amount; 2])| PlaceChange {
        category: key.category,
        place: key.place.clone(),
        before,
        after,
    };
    let mut places: Vec<PlaceChange> =
        all.into_iter().filter(|(_, [before, after])| before != after).map(change).collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.before.bytes.get().abs_diff(place.after.bytes.get())));
    places
}
