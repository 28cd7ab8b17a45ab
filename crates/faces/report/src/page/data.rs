use std::collections::BTreeMap;

use brimful_explain::{Holder, Life, SegmentLife};
use brimful_trace::{Category, ContextId, LaneId, Trace};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::answer::{Failure, answer, capacity, difference, failures, sentence, tone, value};
use super::paths::Paths;
use super::{PageAnswer, PageRun};
use crate::diff::diff_json;

/// The data of a page. Its rows are arrays, since a key for each of a hundred thousand rows would be most of the file, and
/// they are written as they are, without a tree of JSON values. Keys are in the order of the alphabet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data<'a> {
    categories: [&'static str; Category::ALL.len()],
    diff: Option<Value>,
    diff_sentence: Option<String>,
    first: usize,
    runs: Vec<Run<'a>>,
    title: &'a str,
}

/// A run of a page.
#[derive(Serialize)]
struct Run<'a> {
    allocations: usize,
    answer: Value,
    blocks: Vec<Block>,
    capacity: Option<u64>,
    events: usize,
    failures: Vec<Failure>,
    frames: Vec<String>,
    holders: Vec<Held>,
    label: &'a str,
    /// Event, most reserved, bytes by category.
    moments: Vec<(usize, u64, &'a [u64])>,
    names: Vec<Vec<usize>>,
    notes: &'a [String],
    /// Event, kind, name.
    phases: Vec<(usize, &'static str, &'a str)>,
    predicted: bool,
    segments: Vec<Segment>,
    streams: Vec<String>,
    tone: &'static str,
    verdict: String,
}

/// Birth, death, bytes, category, stack, address, tensor, lane, rounded bytes.
#[derive(Serialize)]
struct Block(Option<usize>, Option<usize>, u64, usize, usize, Option<Hex>, Option<String>, u16, u64);

/// Bytes, category, stack, blocks.
#[derive(Serialize)]
struct Held(u64, usize, usize, u64);

/// Address, bytes, birth, death.
#[derive(Serialize)]
struct Segment(Hex, u64, Option<usize>, Option<usize>);

/// An address. It is text, since a number in a page has 53 bits.
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// The data of a page, with the paths of frames shortened, the same in every run of it.
pub(super) fn data<'a>(answer: &'a PageAnswer<'_>) -> Data<'a> {
    let mut runs: Vec<Run> = answer.runs.iter().map(run).collect();
    let mut diff = answer.diff.as_ref().map(|diff| value(&diff_json(diff)));
    let frames = runs.iter().flat_map(|run| &run.frames).map(String::as_str);
    let paths = Paths::of(frames);
    diff.iter_mut().for_each(|diff| paths.shorten_answer(diff));
    for run in &mut runs {
        paths.shorten_frames(&mut run.frames);
        paths.shorten_answer(&mut run.answer);
        run.failures.iter_mut().for_each(|failure| paths.shorten_frames(&mut failure.place));
    }
    Data {
        categories: Category::ALL.map(Category::name),
        diff,
        diff_sentence: answer.diff.as_ref().map(difference),
        first: answer.first,
        runs,
        title: &answer.title,
    }
}

fn run<'a>(page: &'a PageRun<'_>) -> Run<'a> {
    let (history, trace) = (page.history, page.run.trace);
    let mut names = Names::default();
    let config = brimful_replay::recorded_config(trace);
    let config = if page.run.is_predicted() { page.run.config } else { &config };
    let block = |life: &Life| {
        block(trace, life, config.round_size(trace.allocations.bytes(life.id).get()), &mut names)
    };
    let blocks = history.blocks.iter().map(block).collect();
    let holders = page.holders.iter().map(|holder| held(holder, &mut names)).collect();
    let moments = history.moments.iter().map(|moment| (moment.event, moment.reserved, &moment.used[..]));
    Run {
        allocations: trace.allocations.len(),
        answer: answer(page),
        blocks,
        capacity: capacity(page),
        events: trace.len(),
        failures: failures(page),
        frames: names.frames.list,
        holders,
        label: &page.label,
        moments: moments.collect(),
        names: names.list,
        notes: page.notes,
        phases: history.phases.iter().map(|(at, kind, name)| (*at, kind.name(), name.as_str())).collect(),
        predicted: page.run.is_predicted(),
        segments: history.segments.iter().map(segment).collect(),
        streams: streams(trace),
        tone: tone(page),
        verdict: sentence(page),
    }
}

/// The stream and the pool of each lane, as text.
fn streams(trace: &Trace) -> Vec<String> {
    let lane = |lane: &brimful_trace::Lane| match lane.pool {
        (0, 0) => format!("stream {:x}", lane.stream),
        (owner, id) => format!("stream {:x}, pool ({owner}, {id})", lane.stream),
    };
    trace.recording.iter().flat_map(|recording| recording.lanes.iter().map(lane)).collect()
}

fn segment(life: &SegmentLife) -> Segment {
    Segment(Hex(life.address), life.bytes.get(), life.born, life.died)
}

/// Texts by number.
#[derive(Default)]
struct Texts {
    list: Vec<String>,
    ids: BTreeMap<String, usize>,
}

impl Texts {
    fn of(&mut self, text: String) -> usize {
        *self.ids.entry(text).or_insert_with_key(|text| {
            self.list.push(text.clone());
            self.list.len() - 1
        })
    }
}

/// Stacks by number, each a list of its frames' numbers: many blocks have the same.
#[derive(Default)]
struct Names {
    frames: Texts,
    list: Vec<Vec<usize>>,
    ids: BTreeMap<Vec<usize>, usize>,
    of_contexts: BTreeMap<ContextId, usize>,
}

impl Names {
    fn of(&mut self, trace: &Trace, context: ContextId) -> usize {
        if let Some(id) = self.of_contexts.get(&context) {
            return *id;
        }
        let id = self.of_frames(name(trace, context));
        self.of_contexts.insert(context, id);
        id
    }

    fn of_frames(&mut self, frames: Vec<String>) -> usize {
        let frames = frames.into_iter().map(|frame| self.frames.of(frame)).collect();
        *self.ids.entry(frames).or_insert_with_key(|frames| {
            self.list.push(frames.clone());
            self.list.len() - 1
        })
    }
}

/// What is known of a context, innermost first: op, module and node of a predicted one, module and stack of a recorded.
fn name(trace: &Trace, id: ContextId) -> Vec<String> {
    let context = trace.contexts.get(id);
    let parts = [context.op, context.module, context.node].map(|id| trace.contexts.str(id).to_owned());
    let stack = brimful_explain::snapshot::stack_text(trace, id);
    parts.into_iter().filter(|part| !part.is_empty()).chain(stack).collect()
}

fn block(trace: &Trace, life: &Life, rounded: u64, names: &mut Names) -> Block {
    let row = trace.allocations.get(life.id);
    let name = names.of(trace, row.context);
    let tensor = trace.tensor(life.id).map(|tensor| format!("{} {}", tensor.shape, tensor.dtype));
    let LaneId(lane) = row.lane;
    Block(
        life.born,
        life.died,
        row.bytes.get(),
        life.category as usize,
        name,
        row.address.map(Hex),
        tensor,
        lane,
        rounded,
    )
}

fn held(holder: &Holder, names: &mut Names) -> Held {
    let stack = names.of_frames(holder.place.clone());
    Held(holder.bytes.get(), holder.category as usize, stack, holder.blocks)
}
