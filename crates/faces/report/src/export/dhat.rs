use std::collections::BTreeMap;

use brimful_explain::TracedRun;
use brimful_explain::snapshot::stack_text;
use brimful_trace::{ContextId, Event, Trace};
use serde::Serialize;

/// DHAT's file format, version 2 (valgrind, dhat/dh_main.c): opened by its viewer and by the Firefox Profiler.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    dhat_file_version: u32,
    mode: &'static str,
    verb: &'static str,
    bklt: bool,
    bkacc: bool,
    tu: &'static str,
    #[serde(rename = "Mtu")]
    many: &'static str,
    tuth: u64,
    cmd: String,
    pid: u32,
    te: usize,
    tg: usize,
    pps: Vec<Point>,
    ftbl: Vec<String>,
}

/// A place that allocates: totals, its own maximum, at the global maximum, at the end.
#[derive(Default, Serialize)]
struct Point {
    tb: u64,
    tbk: u64,
    tl: u64,
    mb: u64,
    mbk: u64,
    gb: u64,
    gbk: u64,
    eb: u64,
    ebk: u64,
    fs: Vec<usize>,
}

/// The run as a heap profile of the GPU's memory: an event of the trace is an instruction.
pub fn dhat(name: &str, run: TracedRun<'_>) -> String {
    let trace = run.trace;
    let (points, peak) = points(trace);
    let mut frames = Frames { list: vec!["[root]".to_owned()], ids: BTreeMap::new() };
    let pps = points
        .into_iter()
        .map(|(context, point)| Point { fs: frames.of(place(trace, context)), ..point })
        .collect();
    let file = File {
        dhat_file_version: 2,
        mode: "heap",
        verb: "Allocated",
        bklt: true,
        bkacc: false,
        tu: "events",
        many: "Mevents",
        tuth: 10,
        cmd: name.to_owned(),
        pid: 0,
        te: trace.len(),
        tg: peak,
        pps,
        ftbl: frames.list,
    };
    serde_json::to_string(&file).unwrap_or_default()
}

#[derive(Default)]
struct Frames {
    list: Vec<String>,
    ids: BTreeMap<String, usize>,
}

impl Frames {
    fn of(&mut self, names: Vec<String>) -> Vec<usize> {
        let id = |name: String| {
            *self.ids.entry(name).or_insert_with_key(|name| {
                self.list.push(name.clone());
                self.list.len() - 1
            })
        };
        names.into_iter().map(id).collect()
    }
}

/// Innermost first.
fn place(trace: &Trace, context: ContextId) -> Vec<String> {
    let stack = stack_text(trace, context);
    if !stack.is_empty() {
        return stack;
    }
    let names = trace.contexts.get(context);
    let text = |id| trace.contexts.str(id).to_owned();
    let named: Vec<String> =
        [text(names.op), text(names.module)].into_iter().filter(|name| !name.is_empty()).collect();
    if named.is_empty() { vec!["(no stack)".to_owned()] } else { named }
}

/// Sums by place, and the event of the largest sum of all.
fn points(trace: &Trace) -> (BTreeMap<ContextId, Point>, usize) {
    let mut points: BTreeMap<ContextId, Point> = BTreeMap::new();
    let peak = highest(trace);
    let mut born = vec![0; trace.allocations.len()];
    for id in before(trace) {
        let row = trace.allocations.get(id);
        points.entry(row.context).or_default().add(row.bytes.get());
    }
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::Alloc(id) => {
                let row = trace.allocations.get(id);
                born[id.index()] = at;
                points.entry(row.context).or_default().add(row.bytes.get());
            }
            Event::Free(id) | Event::FreeCompleted(id) => {
                let row = trace.allocations.get(id);
                let point = points.entry(row.context).or_default();
                point.eb = point.eb.saturating_sub(row.bytes.get());
                point.ebk = point.ebk.saturating_sub(1);
                point.tl += (at - born[id.index()]) as u64;
            }
            _ => {}
        }
        if at == peak {
            for point in points.values_mut() {
                (point.gb, point.gbk) = (point.eb, point.ebk);
            }
        }
    }
    (points, peak)
}

impl Point {
    fn add(&mut self, bytes: u64) {
        self.tb += bytes;
        self.tbk += 1;
        self.eb += bytes;
        self.ebk += 1;
        if self.eb > self.mb {
            (self.mb, self.mbk) = (self.eb, self.ebk);
        }
    }
}

/// The blocks that were there before the first event.
fn before(trace: &Trace) -> Vec<brimful_trace::AllocationId> {
    let mut made = vec![false; trace.allocations.len()];
    for event in trace.events() {
        if let Event::Alloc(id) = event {
            made[id.index()] = true;
        }
    }
    trace.allocations.ids().filter(|id| !made[id.index()]).collect()
}

/// The event at which most is in use.
fn highest(trace: &Trace) -> usize {
    let mut used: i128 = before(trace).iter().map(|id| i128::from(trace.allocations.bytes(*id).get())).sum();
    let (mut most, mut peak) = (i128::MIN, 0);
    for (at, event) in trace.events().enumerate() {
        match event {
            Event::Alloc(id) => used += i128::from(trace.allocations.bytes(id).get()),
            Event::Free(id) | Event::FreeCompleted(id) => {
                used -= i128::from(trace.allocations.bytes(id).get());
            }
            _ => {}
        }
        if used > most {
            (most, peak) = (used, at);
        }
    }
    peak
}
