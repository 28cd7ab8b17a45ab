use std::collections::BTreeMap;

use brimful_explain::{Holder, Life};
use brimful_trace::{Category, ContextId, Trace};
use serde_json::{Value, json};

use super::PageAnswer;

/// The data of a page, in arrays: a key for each of a hundred thousand rows would be most of the file.
pub(super) fn data(answer: &PageAnswer<'_>) -> Value {
    let history = answer.history;
    let trace = answer.run.trace;
    let mut names = Names::default();
    let blocks: Vec<Value> = history.blocks.iter().map(|life| block(trace, life, &mut names)).collect();
    let segments: Vec<Value> = history
        .segments
        .iter()
        .map(|life| json!([life.address.to_string(), life.bytes.get(), life.born, life.died]))
        .collect();
    let moments: Vec<Value> =
        history.moments.iter().map(|moment| json!([moment.event, moment.reserved, moment.used])).collect();
    json!({
        "name": answer.input,
        "verdict": answer.verdict,
        "predicted": answer.run.is_predicted(),
        "events": trace.len(),
        "categories": Category::ALL.map(Category::name),
        "moments": moments,
        "phases": history.phases.iter().map(|(at, kind, name)| json!([at, kind.name(), name])).collect::<Vec<_>>(),
        "blocks": blocks,
        "names": names.list,
        "segments": segments,
        "flame": flame(answer.holders, answer.run.is_predicted()),
        "tables": answer.tables,
        "notes": answer.notes,
    })
}

/// Stacks by number: many blocks have the same.
#[derive(Default)]
struct Names {
    list: Vec<Vec<String>>,
    ids: BTreeMap<Vec<String>, usize>,
    of_contexts: BTreeMap<ContextId, usize>,
}

impl Names {
    fn of(&mut self, trace: &Trace, context: ContextId) -> usize {
        if let Some(id) = self.of_contexts.get(&context) {
            return *id;
        }
        let id = *self.ids.entry(name(trace, context)).or_insert_with_key(|name| {
            self.list.push(name.clone());
            self.list.len() - 1
        });
        self.of_contexts.insert(context, id);
        id
    }
}

/// What is known of a context, innermost first: op, module and node of a predicted one, module and stack of a recorded.
fn name(trace: &Trace, id: ContextId) -> Vec<String> {
    let context = trace.contexts.get(id);
    let parts = [context.op, context.module, context.node].map(|id| trace.contexts.str(id).to_owned());
    let stack = brimful_explain::snapshot::stack_text(trace, id);
    parts.into_iter().filter(|part| !part.is_empty()).chain(stack).collect()
}

/// Birth, death, bytes, category, stack, address, tensor.
fn block(trace: &Trace, life: &Life, names: &mut Names) -> Value {
    let row = trace.allocations.get(life.id);
    let name = names.of(trace, row.context);
    let tensor = trace.tensor(life.id).map(|tensor| format!("{} {}", tensor.shape, tensor.dtype));
    let address = row.address.map(|address| address.to_string());
    json!([life.born, life.died, row.bytes.get(), life.category as usize, name, address, tensor])
}

/// A tree of frames: name, bytes, children.
fn flame(holders: &[Holder], predicted: bool) -> Value {
    let mut root = Frame::default();
    for holder in holders {
        let mut at = &mut root;
        at.bytes += holder.bytes.get();
        for name in crate::export::path(holder, predicted) {
            at = at.children.entry(name).or_default();
            at.bytes += holder.bytes.get();
        }
    }
    root.json("all")
}

#[derive(Default)]
struct Frame {
    bytes: u64,
    children: BTreeMap<String, Frame>,
}

impl Frame {
    fn json(&self, name: &str) -> Value {
        let mut children: Vec<(&String, &Frame)> = self.children.iter().collect();
        children.sort_by_key(|(_, child)| std::cmp::Reverse(child.bytes));
        json!([name, self.bytes, children.iter().map(|(name, child)| child.json(name)).collect::<Vec<_>>()])
    }
}
