//! Blocks whose purpose the program itself has recorded: a rehearsal marks parameters, gradients and optimizer states.

use std::collections::HashMap;

use brimful_trace::{AllocationId, Category, Event, Trace};

/// Named ranges that are marks: `brimful:parameter:7f0012000000`, an address in hexadecimal digits.
const PREFIX: &str = "brimful:";

/// What a mark says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What the block is for.
    pub category: Category,
    /// Whether it is a parameter that gets no gradient.
    pub frozen: bool,
}

/// The blocks that were marked, with the last mark of each.
pub fn marked(trace: &Trace) -> HashMap<AllocationId, Mark> {
    let named = trace.recording.iter().flat_map(|recording| &recording.annotations);
    let mut marks = named.filter_map(|range| Some((range.event, mark(&range.name)?))).peekable();
    let mut found = HashMap::new();
    if marks.peek().is_none() {
        return found;
    }
    let mut alive: HashMap<u64, AllocationId> = HashMap::new();
    for (at, event) in trace.events().map(Some).chain([None]).enumerate() {
        while let Some((_, (mark, address))) = marks.next_if(|(event, _)| *event <= at) {
            if let Some(id) = alive.get(&address) {
                found.insert(*id, mark);
            }
        }
        match event {
            Some(Event::Alloc(id)) => {
                alive.extend(trace.allocations.get(id).address.map(|address| (address, id)));
            }
            Some(Event::Free(id) | Event::FreeRequested(id)) => {
                trace.allocations.get(id).address.map(|address| alive.remove(&address));
            }
            _ => {}
        }
    }
    found
}

fn mark(name: &str) -> Option<(Mark, u64)> {
    let (kind, address) = name.strip_prefix(PREFIX)?.split_once(':')?;
    let category = match kind {
        "parameter" | "frozen" => Category::Parameter,
        "gradient" => Category::Gradient,
        "optimizer" => Category::Optimizer,
        _ => return None,
    };
    Some((Mark { category, frozen: kind == "frozen" }, u64::from_str_radix(address, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful_trace::{Allocation, Annotation, Origin, Recording};

    #[test]
    fn an_address_means_the_block_that_is_there() {
        let mut trace = Trace::new(Origin::Recorded);
        let at = |address| Allocation { address: Some(address), ..Allocation::default() };
        let weight = trace.alloc(at(0x10));
        let first = trace.alloc(at(0x20));
        trace.free(first);
        let second = trace.alloc(at(0x20));
        let range = |name: &str, event| Annotation { name: name.to_owned(), begins: true, event };
        let annotations = vec![
            range("brimful:frozen:10", 1),
            range("brimful:gradient:20", 2),
            range("Optimizer.step#AdamW.step", 3),
            range("brimful:optimizer:20", 4),
            range("brimful:optimizer:99", 4),
        ];
        trace.recording = Some(Recording { annotations, ..Recording::default() });
        let found = marked(&trace);
        assert_eq!(found.len(), 3);
        assert_eq!(found[&weight], Mark { category: Category::Parameter, frozen: true });
        let category = |id| found[id].category;
        assert_eq!((category(&first), category(&second)), (Category::Gradient, Category::Optimizer));
        assert!(!found[&first].frozen);
    }
}
