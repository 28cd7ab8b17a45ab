//! Who holds memory at a run's requested peak, be it recorded or predicted.

use brimful_replay::{AllocatorConfig, Capacity, Ledger, replay};
use brimful_trace::{Category, Origin, Trace};
use brimful_units::Bytes;

use crate::peak::at_event;
use crate::snapshot::{Contents, contents_at_peak};

/// A run: its trace, and the allocator's settings of a prediction. A recording has its own.
#[derive(Clone, Copy, Debug)]
pub struct TracedRun<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// The settings, where the trace is a prediction.
    pub config: &'a AllocatorConfig,
}

impl TracedRun<'_> {
    /// Whether it was simulated.
    pub fn is_predicted(&self) -> bool {
        self.trace.origin == Origin::Predicted
    }
}

/// A place in the program and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it is for.
    pub category: Category,
    /// Innermost first: the frames of a recording (`file:line function`); op and module of a prediction.
    pub place: Vec<String>,
    /// Ledger: requested.
    pub bytes: Bytes,
    /// In how many blocks.
    pub blocks: u64,
}

/// The peaks of a run, and every holder at the requested one.
pub fn holders(run: TracedRun<'_>) -> (Ledger, Vec<Holder>) {
    if run.is_predicted() { predicted(run.trace, run.config) } else { recorded(run.trace) }
}

fn predicted(trace: &Trace, config: &AllocatorConfig) -> (Ledger, Vec<Holder>) {
    let timeline = replay(trace, config, &Capacity::unlimited());
    let blocks = timeline.peak_event.map(|event| at_event(trace, event, usize::MAX).top);
    let holder = |block: crate::Block| Holder {
        category: block.category,
        place: [block.made.op, block.made.module].into_iter().filter(|name| !name.is_empty()).collect(),
        bytes: block.bytes,
        blocks: 1,
    };
    (timeline.peak, blocks.into_iter().flatten().map(holder).collect())
}

fn recorded(trace: &Trace) -> (Ledger, Vec<Holder>) {
    let (peak, contents) = contents_at_peak(trace);
    (peak, holders_of(&contents))
}

/// The holders among what an explanation found in memory: all of them where it was asked for all sites.
pub fn holders_of(contents: &Contents) -> Vec<Holder> {
    let holder = |site: &crate::snapshot::Site| Holder {
        category: site.category,
        place: site.stack.clone(),
        bytes: site.bytes,
        blocks: site.blocks,
    };
    contents.sites.iter().map(holder).collect()
}
