use brimful_replay::{follow, recorded_config};
use brimful_trace::{Event, Origin, Trace};
use serde_json::{Value, json};

/// More points are thinned: of each interval the highest is kept.
const MOST_POINTS: usize = 100_000;

/// Chrome's trace events, which Perfetto opens: memory in use as a counter over the events, phases as slices. An event
/// of the trace is a microsecond.
pub fn perfetto(trace: &Trace) -> String {
    let mut events =
        vec![json!({"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "GPU memory"}})];
    events.extend(slices(trace));
    events.extend(counters(trace));
    json!({"traceEvents": events, "displayTimeUnit": "ms"}).to_string()
}

fn slices(trace: &Trace) -> Vec<Value> {
    let starts: Vec<(usize, String)> = trace
        .events()
        .enumerate()
        .filter_map(|(at, event)| match event {
            Event::Phase(id) => Some((at, trace.contexts.str(trace.phase(id).name).to_owned())),
            _ => None,
        })
        .collect();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([trace.len()]);
    let slice = |((at, name), end): (&(usize, String), usize)| json!({"ph": "X", "pid": 1, "tid": 1, "name": name, "ts": at, "dur": end - at});
    starts.iter().zip(ends).map(slice).collect()
}

/// Bytes in use (ledger: requested) and in segments that were recorded.
fn counters(trace: &Trace) -> Vec<Value> {
    let interval = trace.len().div_ceil(MOST_POINTS).max(1);
    let (mut used, mut reserved) = before(trace);
    let mut points = Vec::new();
    let mut highest = (0, used, reserved);
    for (at, event) in trace.events().enumerate() {
        apply(trace, event, &mut used, &mut reserved);
        if at % interval == 0 || used > highest.1 {
            highest = (at, used, reserved);
        }
        if at % interval == interval - 1 || at + 1 == trace.len() {
            let (at, used, reserved) = highest;
            let mut args = json!({"requested": used.max(0)});
            if reserved > 0 {
                args["reserved"] = json!(reserved);
            }
            points.push(json!({"ph": "C", "pid": 1, "name": "bytes", "ts": at, "args": args}));
        }
    }
    points
}

/// What was there before the first event of a recording.
fn before(trace: &Trace) -> (i128, i128) {
    if trace.origin == Origin::Predicted {
        return (0, 0);
    }
    let start = follow(trace, &recorded_config(trace)).start;
    (i128::from(start.requested.get()), i128::from(start.reserved.get()))
}

fn apply(trace: &Trace, event: Event, used: &mut i128, reserved: &mut i128) {
    let bytes = |id| i128::from(trace.allocations.bytes(id).get());
    let segment = |id| i128::from(trace.segments.get(id).bytes.get());
    match event {
        Event::Alloc(id) => *used += bytes(id),
        Event::Free(id) | Event::FreeCompleted(id) => *used -= bytes(id),
        Event::SegmentAlloc(id) | Event::SegmentMap(id) => *reserved += segment(id),
        Event::SegmentFree(id) | Event::SegmentUnmap(id) => *reserved -= segment(id),
        Event::FreeRequested(_) | Event::Oom(_) | Event::EmptyCache | Event::Phase(_) | Event::Remark => {}
    }
}
