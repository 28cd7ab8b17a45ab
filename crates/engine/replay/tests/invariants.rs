//! What holds for every sequence of requests.

use brimful_replay::{Allocator, AllocatorConfig, Handle};
use brimful_trace::LaneId;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Request {
    Alloc(u64, LaneId),
    Free(usize),
    EmptyCache,
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        6 => (1u64..200 << 20, 0u16..3).prop_map(|(n, s)| Request::Alloc(n, LaneId(s))),
        3 => (1u64..2 << 20, 0u16..3).prop_map(|(n, s)| Request::Alloc(n, LaneId(s))),
        6 => any::<usize>().prop_map(Request::Free),
        1 => Just(Request::EmptyCache),
    ]
}

fn settings() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("expandable_segments:True"),
        Just("max_split_size_mb:64"),
        Just("roundup_power2_divisions:8"),
        Just("expandable_segments:True,max_split_size_mb:32"),
        Just("garbage_collection_threshold:0.5,per_process_memory_fraction:0.9"),
    ]
}

fn overlap(live: &[(Handle, u64)], allocator: &Allocator) -> bool {
    let mut spans: Vec<(u64, u64)> = live.iter().map(|(handle, _)| allocator.block(*handle)).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[0].0 + pair[0].1 > pair[1].0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn memory_is_never_given_twice_or_lost(
        conf in settings(),
        capacity in prop_oneof![Just(None), (64u64 << 20..2 << 30).prop_map(Some)],
        requests in proptest::collection::vec(request(), 1..120),
    ) {
        let config: AllocatorConfig = conf.parse().unwrap();
        let mut allocator = Allocator::new(config, capacity, capacity);
        let mut live: Vec<(Handle, u64)> = Vec::new();
        for request in requests {
            match request {
                Request::Alloc(bytes, stream) => {
                    if let Ok(handle) = allocator.malloc(bytes, stream) {
                        live.push((handle, bytes));
                    }
                }
                Request::Free(at) if !live.is_empty() => allocator.free(live.swap_remove(at % live.len()).0),
                Request::Free(_) => {}
                Request::EmptyCache => allocator.empty_cache(),
            }
            prop_assert!(!overlap(&live, &allocator));
            prop_assert_eq!(allocator.requested(), live.iter().map(|l| l.1).sum::<u64>());
            prop_assert!(allocator.requested() <= allocator.allocated());
            prop_assert!(allocator.allocated() <= allocator.reserved());
            prop_assert!(capacity.is_none_or(|capacity| allocator.reserved() <= capacity));
        }
        for (handle, _) in live {
            allocator.free(handle);
        }
        allocator.empty_cache();
        prop_assert_eq!((allocator.allocated(), allocator.reserved()), (0, 0));
    }
}
