use std::collections::BTreeMap;

use brimful_replay::Ledger;
use brimful_trace::Category;

use super::Amount;
use super::places::{frames, module};
use crate::holders::{TracedRun, holders};

/// A place that holds memory of one purpose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub category: Category,
    pub place: Vec<String>,
}

/// What is in memory at a run's requested peak, by names that stay the same from run to run.
pub(super) struct Inventory {
    pub peak: Ledger,
    pub places: BTreeMap<Key, Amount>,
}

impl Inventory {
    /// The holders of a run at its requested peak, by place.
    pub fn of(run: TracedRun<'_>) -> Inventory {
        let (peak, holders) = holders(run);
        let mut places: BTreeMap<Key, Amount> = BTreeMap::new();
        for holder in holders {
            let place = if run.is_predicted() { module(&holder.place) } else { frames(&holder.place) };
            let held = places.entry(Key { category: holder.category, place }).or_default();
            held.bytes += holder.bytes;
            held.blocks += holder.blocks;
        }
        Inventory { peak, places }
    }
}
