//! The requested peak of each phase of a run, and who holds memory at it.

use std::collections::BTreeMap;

use brimful_trace::{ContextId, Event, PhaseKind, Trace};
use brimful_units::Bytes;

use crate::holders::TracedRun;
use crate::snapshot::{owner, phases_of};

/// A phase of a run at its requested peak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhasePeak {
    /// The phase's name in answers; `script` where a recording shows none.
    pub phase: &'static str,
    /// The most bytes that were asked for at a time (ledger: requested).
    pub requested: Bytes,
    /// Bytes by place. A place is the op and the module of a prediction, with `*` for the numbers of layers, and the
    /// innermost line outside of PyTorch of a recording.
    pub places: BTreeMap<String, Bytes>,
}

/// The phases of a run in the order of its first event in each.
///
/// Phases in which only data is moved or gradients are dropped are left out of predictions, as in [`PhaseKind`]'s answers.
pub fn phase_peaks(run: TracedRun<'_>) -> Vec<PhasePeak> {
    let trace = run.trace;
    let mut memory = Memory::at_start(trace);
    let mut highest: Vec<(&'static str, u64, usize)> = Vec::new();
    for (at, phase) in phase_of_each_event(run).into_iter().enumerate() {
        memory.step(trace, trace.event(at));
        let Some(name) = phase else { continue };
        match highest.iter_mut().find(|row| row.0 == name) {
            Some(row) if memory.requested > row.1 => *row = (name, memory.requested, at),
            Some(_) => {}
            None => highest.push((name, memory.requested, at)),
        }
    }
    // A second pass, since what is alive is only worth listing at the peaks.
    let mut memory = Memory::at_start(trace);
    let mut places = vec![BTreeMap::new(); highest.len()];
    for at in 0..trace.len() {
        memory.step(trace, trace.event(at));
        for (row, places) in highest.iter().zip(&mut places).filter(|(row, _)| row.2 == at) {
            debug_assert_eq!(row.1, memory.requested);
            *places = memory.by_place(run);
        }
    }
    let peak =
        |((phase, requested, _), places)| PhasePeak { phase, requested: Bytes::new(requested), places };
    highest.into_iter().zip(places).map(peak).collect()
}

/// The phase at each event; `None` where the event belongs to none that answers name.
fn phase_of_each_event(run: TracedRun<'_>) -> Vec<Option<&'static str>> {
    let trace = run.trace;
    if !run.is_predicted() {
        let name = |phase: Option<PhaseKind>| Some(phase.map_or("script", PhaseKind::name));
        return phases_of(trace).into_iter().map(name).collect();
    }
    let mut now = None;
    let phase = |event| {
        if let Event::Phase(id) = event {
            let kind = trace.phase(id).kind;
            now = (!matches!(kind, PhaseKind::Data | PhaseKind::ZeroGrad)).then(|| kind.name());
        }
        now
    };
    trace.events().map(phase).collect()
}

/// What is alive, block by block.
struct Memory {
    alive: Vec<bool>,
    requested: u64,
}

impl Memory {
    /// Blocks without a birth were there before the first event.
    fn at_start(trace: &Trace) -> Memory {
        let mut alive = vec![true; trace.allocations.len()];
        for event in trace.events() {
            if let Event::Alloc(id) = event {
                alive[id.0 as usize] = false;
            }
        }
        let there = trace.allocations.ids().filter(|id| alive[id.0 as usize]);
        let requested = there.map(|id| trace.allocations.bytes(id).get()).sum();
        Memory { alive, requested }
    }

    fn step(&mut self, trace: &Trace, event: Event) {
        let (id, born) = match event {
            Event::Alloc(id) => (id, true),
            Event::Free(id) | Event::FreeCompleted(id) => (id, false),
            _ => return,
        };
        let bytes = trace.allocations.bytes(id).get();
        if std::mem::replace(&mut self.alive[id.0 as usize], born) != born {
            self.requested = if born { self.requested + bytes } else { self.requested - bytes };
        }
    }

    fn by_place(&self, run: TracedRun<'_>) -> BTreeMap<String, Bytes> {
        let allocations = &run.trace.allocations;
        let mut by_context: BTreeMap<ContextId, Bytes> = BTreeMap::new();
        for id in allocations.ids().filter(|id| self.alive[id.0 as usize]) {
            *by_context.entry(allocations.get(id).context).or_default() += allocations.bytes(id);
        }
        let mut by_place = BTreeMap::new();
        for (context, bytes) in by_context {
            *by_place.entry(place(run, context)).or_default() += bytes;
        }
        by_place
    }
}

fn place(run: TracedRun<'_>, id: ContextId) -> String {
    let contexts = &run.trace.contexts;
    if !run.is_predicted() {
        return owner(run.trace, id);
    }
    let context = contexts.get(id);
    let (op, module) = (contexts.str(context.op), contexts.str(context.module));
    if module.is_empty() { op.to_owned() } else { format!("{op} in {}", any_layer(module)) }
}

/// `model.layers.3.mlp` as `model.layers.*.mlp`: the layers of a model do the same.
fn any_layer(module: &str) -> String {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    module.split('.').map(|part| if number(part) { "*" } else { part }).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful_replay::AllocatorConfig;
    use brimful_trace::{Allocation, Origin};

    #[test]
    fn numbers_of_layers_are_one_place() {
        assert_eq!(any_layer("model.layers.31.mlp.up_proj"), "model.layers.*.mlp.up_proj");
        assert_eq!(any_layer("h1.c_attn"), "h1.c_attn");
    }

    #[test]
    fn a_phase_counts_what_was_there_when_it_began() {
        let mut trace = Trace::new(Origin::Predicted);
        let of = |bytes| Allocation { bytes, ..Allocation::default() };
        trace.begin_phase(PhaseKind::Load, "build");
        let weight = trace.alloc(of(Bytes::mib(8)));
        trace.begin_phase(PhaseKind::Forward, "it0.forward");
        let activation = trace.alloc(of(Bytes::mib(4)));
        trace.free(activation);
        trace.free(weight);
        let config = AllocatorConfig::default();
        let peaks = phase_peaks(TracedRun { trace: &trace, config: &config });
        let found: Vec<_> = peaks.iter().map(|peak| (peak.phase, peak.requested)).collect();
        assert_eq!(found, [("load", Bytes::mib(8)), ("forward", Bytes::mib(12))]);
        assert_eq!(peaks[1].places.values().copied().sum::<Bytes>(), Bytes::mib(12));
    }
}
