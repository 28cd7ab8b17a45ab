//! What decides between equal free blocks, by version, and how a recording shows it.

use std::collections::BTreeMap;

use brimful_replay::{
    Addresses, Allocator, AllocatorConfig, Capacity, Driver, Handle, Ties, follow, recorded_config, replay,
};
use brimful_trace::{
    Allocation, AllocationId, BlockState, Event, FinalBlock, FinalSegment, Lane, LaneId, Origin, Recording,
    Segment, Trace,
};
use brimful_units::Bytes;

const MIB: u64 = 1 << 20;
const ALL: [Ties; 3] = [Ties::Address, Ties::BlockCounter, Ties::SegmentCounter];

fn config(ties: Ties, driver: Driver) -> AllocatorConfig {
    AllocatorConfig { ties: Some(ties), driver: Some(driver), ..AllocatorConfig::default() }
}

fn allocator(ties: Ties, driver: Driver) -> Allocator {
    Allocator::new(config(ties, driver), None, None)
}

/// Four blocks of 40 MiB at falling addresses, freed and asked for again: torch 2.14.0 and 2.15.0 reuse them as 0, 1, 2, 3.
#[test]
fn four_equal_segments_are_reused_in_the_order_of_the_version() {
    let reused = |ties, driver| {
        let mut allocator = allocator(ties, driver);
        let four = |allocator: &mut Allocator| -> Vec<Handle> {
            (0..4).map(|_| allocator.malloc(40 * MIB, LaneId::default()).unwrap()).collect()
        };
        let first = four(&mut allocator);
        let places: Vec<u64> = first.iter().map(|handle| allocator.block(*handle).0).collect();
        first.into_iter().for_each(|handle| allocator.free(handle));
        let again = four(&mut allocator).into_iter().map(|handle| allocator.block(handle).0);
        again.map(|at| places.iter().position(|place| *place == at).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(reused(Ties::SegmentCounter, Driver::Linux), [0, 1, 2, 3]);
    assert_eq!(reused(Ties::BlockCounter, Driver::Linux), [0, 1, 2, 3]);
    assert_eq!(reused(Ties::Address, Driver::Linux), [3, 2, 1, 0]);
    assert_eq!(reused(Ties::Address, Driver::Windows), [0, 1, 2, 3]);
}

/// The low end that is split off is a new object, and it stays when its neighbour is merged into it.
#[test]
fn torch_2_12_orders_blocks_by_their_own_age() {
    let is_first_reused = |ties| {
        let mut allocator = allocator(ties, Driver::Windows);
        let malloc = |allocator: &mut Allocator, mib| allocator.malloc(mib * MIB, LaneId::default()).unwrap();
        let (first, second) = (malloc(&mut allocator, 20), malloc(&mut allocator, 20));
        let place = allocator.block(first).0;
        allocator.free(first);
        let low_end = malloc(&mut allocator, 8);
        assert_eq!(allocator.block(low_end).0, place);
        allocator.free(low_end);
        allocator.free(second);
        let again = malloc(&mut allocator, 20);
        allocator.block(again).0 == place
    };
    assert_eq!(ALL.map(is_first_reused), [true, false, true]);
}

/// A recording of an allocator: requests of a few sizes that come and go, so that equal free blocks are many.
fn recorded(ties: Ties, driver: Driver) -> Trace {
    let mut trace = Trace::new(Origin::Recorded);
    let mut allocator = allocator(ties, driver);
    let mut live: Vec<(AllocationId, Handle)> = Vec::new();
    let mut state = 7u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    // The allocator's own addresses are the driver's only where they decide something.
    let mut placed = BTreeMap::new();
    let mut addresses = Addresses::new(driver, 1 << 30, 1 << 46);
    for _ in 0..3000 {
        if live.len() > 40 || (!live.is_empty() && random(2) == 0) {
            let (id, handle) = live.swap_remove(random(live.len() as u64) as usize);
            allocator.free(handle);
            trace.push(Event::FreeRequested(id));
            trace.push(Event::FreeCompleted(id));
            continue;
        }
        let bytes = [3, 6, 12, 40, 40, 90][random(6) as usize] * MIB;
        let before = allocator.reserved();
        let handle = allocator.malloc(bytes, LaneId::default()).unwrap();
        let own = allocator.block(handle).0;
        if allocator.reserved() > before {
            let bytes = Bytes::new(allocator.reserved() - before);
            let address = addresses.take(bytes.get()).unwrap();
            placed.insert(own, address);
            let id = trace.segment(Segment {
                address,
                bytes,
                lane: LaneId::default(),
                context: Default::default(),
            });
            trace.push(Event::SegmentAlloc(id));
        }
        let (start, address) = placed.range(..=own).next_back().unwrap();
        let address = address + (own - start);
        let row = Allocation { bytes: Bytes::new(bytes), address: Some(address), ..Allocation::default() };
        live.push((trace.alloc(row), handle));
    }
    trace.recording = Some(Recording { lanes: vec![Lane::default()], ..Recording::default() });
    trace
}

#[test]
fn a_recording_is_followed_by_the_rule_of_its_version() {
    for driver in [Driver::Linux, Driver::Windows] {
        for ties in ALL {
            let trace = recorded(ties, driver);
            let followed = follow(&trace, &config(ties, driver));
            assert_eq!((followed.mismatches, followed.ties), (0, ties), "{driver:?}");
            assert!(followed.checked > 1000, "{followed:?}");
            // The addresses of Windows rise as the segments do, so that two orders are nearly one there.
            if driver == Driver::Linux {
                let others = ALL.into_iter().filter(|other| *other != ties);
                others.for_each(|other| assert!(follow(&trace, &config(other, driver)).mismatches > 0));
            }
        }
    }
}

#[test]
fn a_recording_that_names_no_version_shows_it() {
    for ties in ALL {
        let trace = recorded(ties, Driver::Linux);
        let inferred = recorded_config(&trace);
        assert_eq!(inferred.driver, Some(Driver::Linux));
        let followed = follow(&trace, &inferred);
        assert_eq!((followed.mismatches, followed.ties), (0, ties));
        // A replay on addresses of its own reserves what the recording did.
        let timeline = replay(&trace, &AllocatorConfig::default(), &Capacity::unlimited());
        assert_eq!(timeline.peak, followed.peak, "{ties:?}");
    }
    assert_eq!(recorded_config(&recorded(Ties::Address, Driver::Windows)).driver, Some(Driver::Windows));
}

/// The memory at the end of a recording: one segment, free as a whole.
fn one_free_segment(address: u64, bytes: u64) -> Recording {
    let (bytes, lane, context) = (Bytes::new(bytes), LaneId::default(), Default::default());
    let block =
        FinalBlock { address, bytes, requested: Bytes::ZERO, state: BlockState::Inactive, allocation: None };
    let segment =
        FinalSegment { address, bytes, lane, small: false, expandable: false, blocks: 0..1, context };
    Recording {
        lanes: vec![Lane::default()],
        segments: vec![segment],
        blocks: vec![block],
        begins_late: true,
        ..Recording::default()
    }
}

/// Less than 1 MiB is not split off, so a block can be larger than its request. A block that comes behind it shows how much.
#[test]
fn a_block_of_the_start_is_as_large_as_the_next_one_shows() {
    let (start, rest) = (1 << 30, 983_040);
    let follow_with_rest = |rest: u64| {
        let mut trace = Trace::new(Origin::Recorded);
        let row = |bytes: u64, at: u64| Allocation {
            bytes: Bytes::new(bytes),
            address: Some(at),
            ..Allocation::default()
        };
        let behind = trace.alloc(row(3 * MIB, start + 8 * MIB + rest));
        let early = trace.allocations.push(row(8 * MIB, start));
        for id in [behind, early] {
            trace.push(Event::FreeRequested(id));
            trace.push(Event::FreeCompleted(id));
        }
        trace.recording = Some(one_free_segment(start, 20 * MIB));
        follow(&trace, &recorded_config(&trace))
    };
    let followed = follow_with_rest(rest);
    assert_eq!((followed.mismatches, followed.unverified.rounding_at_start), (0, 1));
    assert!(followed.is_faithful());
    // More than 1 MiB would have been split off.
    assert!(follow_with_rest(2 * MIB).mismatches > 0);
}

#[test]
fn a_snapshot_without_events_shows_no_placement_that_is_faithful() {
    let mut trace = Trace::new(Origin::Recorded);
    trace.recording = Some(one_free_segment(1 << 30, 20 * MIB));
    let followed = follow(&trace, &recorded_config(&trace));
    assert_eq!((followed.checked, followed.mismatches), (0, 0));
    assert!(!followed.is_faithful());
}
