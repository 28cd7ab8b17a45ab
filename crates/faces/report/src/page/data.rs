use std::collections::BTreeMap;

use brimful_explain::{Holder, Life, SegmentLife};
use brimful_trace::{Category, ContextId, LaneId, Trace};
use serde_json::{Value, json};

use super::answer::{answer, capacity, difference, failures, sentence, tone, value};
use super::{PageAnswer, PageRun, paths};
use crate::diff::diff_json;

/// The data of a page, in arrays: a key for each of a hundred thousand rows would be most of the file.
pub(super) fn data(answer: &PageAnswer<'_>) -> Value {
    let mut data = json!({
        "title": answer.title,
        "first": answer.first,
        "categories": Category::ALL.map(Category::name),
        "runs": answer.runs.iter().map(run).collect::<Vec<_>>(),
        "diff": answer.diff.as_ref().map(|diff| value(&diff_json(diff))),
        "diffSentence": answer.diff.as_ref().map(difference),
    });
    paths::shorten(&mut data);
    data
}

fn run(page: &PageRun<'_>) -> Value {
    let (history, trace) = (page.history, page.run.trace);
    let mut names = Names::default();
    let config = brimful_replay::recorded_config(trace);
    let config = if page.run.is_predicted() { page.run.config } else { &config };
    let block = |life: &Life| {
        block(trace, life, config.round_size(trace.allocations.bytes(life.id).get()), &mut names)
    };
    let blocks: Vec<Value> = history.blocks.iter().map(block).collect();
    let holders: Vec<Value> = page.holders.iter().map(|holder| held(holder, &mut names)).collect();
    let moments: Vec<Value> =
        history.moments.iter().map(|moment| json!([moment.event, moment.reserved, moment.used])).collect();
    json!({
        "label": page.label,
        "verdict": sentence(page),
        "tone": tone(page),
        "predicted": page.run.is_predicted(),
        "events": trace.len(),
        "allocations": trace.allocations.len(),
        "capacity": capacity(page),
        "failures": failures(page),
        "moments": moments,
        "phases": history.phases.iter().map(|(at, kind, name)| json!([at, kind.name(), name])).collect::<Vec<_>>(),
        "blocks": blocks,
        "holders": holders,
        "frames": names.frames.list,
        "names": names.list,
        "streams": streams(trace),
        "segments": history.segments.iter().map(segment).collect::<Vec<_>>(),
        "answer": answer(page),
        "notes": page.notes,
    })
}

/// The stream and the pool of each lane, as text.
fn streams(trace: &Trace) -> Vec<String> {
    let lane = |lane: &brimful_trace::Lane| match lane.pool {
        (0, 0) => format!("stream {:x}", lane.stream),
        (owner, id) => format!("stream {:x}, pool ({owner}, {id})", lane.stream),
    };
    trace.recording.iter().flat_map(|recording| recording.lanes.iter().map(lane)).collect()
}

/// Address, bytes, birth, death.
fn segment(life: &SegmentLife) -> Value {
    json!([hex(life.address), life.bytes.get(), life.born, life.died])
}

/// Addresses are text, since a number in a page has 53 bits.
fn hex(address: u64) -> String {
    format!("0x{address:x}")
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

/// Birth, death, bytes, category, stack, address, tensor, lane, rounded bytes.
fn block(trace: &Trace, life: &Life, rounded: u64, names: &mut Names) -> Value {
    let row = trace.allocations.get(life.id);
    let name = names.of(trace, row.context);
    let tensor = trace.tensor(life.id).map(|tensor| format!("{} {}", tensor.shape, tensor.dtype));
    let LaneId(lane) = row.lane;
    json!([
        life.born,
        life.died,
        row.bytes.get(),
        life.category as usize,
        name,
        row.address.map(hex),
        tensor,
        lane,
        rounded
    ])
}

/// Bytes, category, stack, blocks.
fn held(holder: &Holder, names: &mut Names) -> Value {
    json!([
        holder.bytes.get(),
        holder.category as usize,
        names.of_frames(holder.place.clone()),
        holder.blocks
    ])
}
