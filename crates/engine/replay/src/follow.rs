//! Following a recording as a whole: once, or until the address space of its segments is found.

use brimful_trace::{Event, Trace};
use brimful_units::Bytes;

use crate::config::AllocatorConfig;
use crate::infer::{recorded_driver, recorded_ties};
use crate::layout::{Doubt, Followed, Follower, LayoutBlock};
use crate::ledger::Ledger;

/// Follows a recording under the settings it was made with.
///
/// Where memory was there before the first event (the ring wrapped, or the recording began late), the
/// start is rebuilt by undoing the events from the recorded end. Bytes throughout.
///
/// The rules are those of `DeviceCachingAllocator` in `c10/cuda/CUDACachingAllocator.cpp`.
pub fn follow(trace: &Trace, config: &AllocatorConfig) -> Followed {
    follow_with_layouts(trace, config, None).0
}

/// The memory at the instants that matter, by address.
#[derive(Clone, Debug, Default)]
pub struct Layouts {
    /// When most was requested.
    pub at_peak: Vec<LayoutBlock>,
    /// When most was reserved.
    pub at_fullest: Vec<LayoutBlock>,
    /// After the event that was asked for.
    pub after: Vec<LayoutBlock>,
}

/// Follows a recording as [`follow`] does, and keeps the memory at its peaks and after an event.
pub fn follow_with_layouts(
    trace: &Trace,
    config: &AllocatorConfig,
    after: Option<usize>,
) -> (Followed, Layouts) {
    let mut config = config.clone();
    config.driver.get_or_insert_with(|| recorded_driver(trace));
    let mut first = follow_once(trace, &config, after, None);
    // Most recordings are as the newest version's rules say; only the others are tried under every version's.
    if config.ties.is_none() && first.followed.mismatches > 0 {
        let ties = recorded_ties(trace, &config);
        config.ties = Some(ties);
        if ties != first.followed.ties {
            first = follow_once(trace, &config, after, None);
        }
    }
    if first.doubt.is_none() {
        return (first.followed, first.layouts);
    }
    fit_space(trace, &config, after, first)
}

/// Looks for the address space of expandable segments under which every placement is as the rules say.
///
/// It is nine eighths of the device (`ExpandableSegment`), which a recording does not tell. It matters where nearly
/// all of it is in use: among free blocks the one that can grow least is preferred.
fn fit_space(
    trace: &Trace,
    config: &AllocatorConfig,
    after: Option<usize>,
    first: Once,
) -> (Followed, Layouts) {
    let page = config.large_segment_size;
    let (mut low, mut high) = (first.longest_space / page, 2 * first.longest_space / page);
    let mut best = first;
    for _ in 0..MOST_SPACES {
        let middle = low + (high - low) / 2;
        let once = follow_once(trace, config, after, Some(middle * page));
        match once.doubt {
            Some(Doubt::TooLong) => high = middle,
            Some(Doubt::TooShort) => low = middle + 1,
            None => {}
        }
        let settled = once.doubt.is_none() || low >= high;
        if once.followed.mismatches < best.followed.mismatches {
            best = once;
        }
        if settled {
            break;
        }
    }
    (best.followed, best.layouts)
}

/// How many lengths of expandable segments are tried.
const MOST_SPACES: usize = 12;

struct Once {
    followed: Followed,
    layouts: Layouts,
    doubt: Option<Doubt>,
    /// The least that the address space of a segment must be.
    longest_space: u64,
}

/// Follows a recording, given the address space of expandable segments, if it is known.
fn follow_once(trace: &Trace, config: &AllocatorConfig, after: Option<usize>, space: Option<u64>) -> Once {
    let mut follower = Follower::new(trace, config);
    follower.shadow.space = space;
    follower.followed.unverified.address_space = space.map(Bytes::new);
    let (peak, fullest) = peaks(trace, &follower.followed.start);
    let mut layouts = Layouts::default();
    let mut wanted =
        [(peak, &mut layouts.at_peak), (fullest, &mut layouts.at_fullest), (after, &mut layouts.after)];
    wanted.sort_by_key(|wanted| wanted.0);
    for (event, layout) in wanted {
        follower.advance(event.map_or(0, |event| event.saturating_add(1).min(trace.len())));
        *layout = follower.blocks();
    }
    follower.advance(trace.len());
    let (doubt, longest_space) = (follower.doubt, follower.shadow.longest_space);
    Once { followed: follower.finish(), layouts, doubt, longest_space }
}

/// The events at which most is requested and most is reserved, from the sizes alone; `None` for the start.
fn peaks(trace: &Trace, start: &Ledger) -> (Option<usize>, Option<usize>) {
    let (mut requested, mut reserved) = (i128::from(start.requested.get()), i128::from(start.reserved.get()));
    let (mut most_requested, mut most_reserved) = ((requested, None), (reserved, None));
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::Alloc(id) => requested += i128::from(trace.allocations.bytes(id).get()),
            Event::Free(id) | Event::FreeCompleted(id) => {
                requested -= i128::from(trace.allocations.bytes(id).get());
            }
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => {
                reserved += i128::from(trace.segments.get(id).bytes.get());
            }
            Event::SegmentFree(id) | Event::SegmentUnmap(id) => {
                reserved -= i128::from(trace.segments.get(id).bytes.get());
            }
            _ => {}
        }
        if requested > most_requested.0 {
            most_requested = (requested, Some(at));
        }
        if reserved > most_reserved.0 {
            most_reserved = (reserved, Some(at));
        }
    }
    (most_requested.1, most_reserved.1)
}
