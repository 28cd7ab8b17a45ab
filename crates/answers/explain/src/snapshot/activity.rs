//! What the program was doing, event by event.

use brimful_trace::{ContextId, Event, Recording, Trace};

use super::sites::{Doing, Sites};

/// Who was running at an event.
pub(crate) fn site(trace: &Trace, at: usize) -> ContextId {
    let recorded = trace.recording.as_ref().and_then(|recording| recording.sites.get(at).copied());
    recorded.unwrap_or_else(|| match trace.event(at) {
        Event::Alloc(id) => trace.allocations.get(id).context,
        _ => ContextId::default(),
    })
}

/// What the program was doing at each event.
///
/// Recorded with `context="alloc"`, frees carry the stack of the block's birth: then they happen where
/// the event before them did. Named ranges (`Optimizer.step#…`) tell where stacks do not.
pub fn activity(trace: &Trace, sites: &Sites) -> Vec<Doing> {
    let own = frees_have_their_own_stack(trace);
    let mut optimizer = optimizer_ranges(trace.recording.as_ref());
    let mut all = Vec::with_capacity(trace.len());
    let mut before = Doing::Unknown;
    for (at, event) in trace.events().enumerate() {
        let free = matches!(event, Event::Free(_) | Event::FreeRequested(_) | Event::FreeCompleted(_));
        let told = if free && !own { before } else { sites.get(site(trace, at)).doing };
        let in_optimizer =
            optimizer.holds(at) && !matches!(told, Doing::Forward | Doing::Recompute | Doing::ZeroGrad);
        before = if in_optimizer { Doing::Optimizer } else { told };
        all.push(before);
    }
    all
}

fn frees_have_their_own_stack(trace: &Trace) -> bool {
    trace.events().enumerate().any(|(at, event)| match event {
        Event::FreeRequested(id) | Event::FreeCompleted(id) => {
            let context = trace.allocations.get(id).context;
            context != ContextId::default() && site(trace, at) != context
        }
        _ => false,
    })
}

/// The events within the optimizer's step, as ranges in order.
struct Ranges {
    all: Vec<(usize, usize)>,
    at: usize,
}

impl Ranges {
    /// Whether an event is in one of them; events are asked for in order.
    fn holds(&mut self, event: usize) -> bool {
        while self.all.get(self.at).is_some_and(|range| range.1 <= event) {
            self.at += 1;
        }
        self.all.get(self.at).is_some_and(|range| range.0 <= event)
    }
}

fn optimizer_ranges(recording: Option<&Recording>) -> Ranges {
    let mut all = Vec::new();
    let mut begun = None;
    let named = recording.into_iter().flat_map(|recording| &recording.annotations);
    for annotation in named.filter(|annotation| annotation.name.starts_with("Optimizer.step")) {
        match (annotation.begins, begun.take()) {
            (true, _) => begun = Some(annotation.event),
            (false, Some(start)) => all.push((start, annotation.event)),
            (false, None) => {}
        }
    }
    Ranges { all, at: 0 }
}
