use brimful_replay::Timeline;
use brimful_trace::{AllocationId, Category, Event, PhaseKind, Trace};
use brimful_units::{Bytes, Dtype, Shape};

/// Where in the program something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The part of the run.
    pub phase: Option<PhaseKind>,
    /// The phase's own name, such as `it1.backward.0`.
    pub phase_name: String,
    /// The ATen op.
    pub op: String,
    /// The module's path; empty outside of modules.
    pub module: String,
    /// The autograd node; empty in the forward.
    pub node: String,
}

/// Bytes by purpose, in the order of [`Category::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition(Vec<(Category, Bytes)>);

impl Composition {
    /// Bytes of one purpose.
    pub fn get(&self, category: Category) -> Bytes {
        self.0.iter().find(|row| row.0 == category).map_or(Bytes::ZERO, |row| row.1)
    }

    /// Bytes by the nine public names; every name is there, also at zero.
    pub fn public(&self) -> Vec<(&'static str, Bytes)> {
        const NAMES: [&str; 9] = [
            "parameter",
            "buffer",
            "gradient",
            "optimizer",
            "input",
            "activation",
            "logits",
            "temporary",
            "kv_cache",
        ];
        let of = |name: &str| self.0.iter().filter(|row| row.0.public_name() == name).map(|row| row.1).sum();
        NAMES.into_iter().map(|name| (name, of(name))).collect()
    }
}

/// A block that was alive at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its size (ledger: requested).
    pub bytes: Bytes,
    /// What it is for.
    pub category: Category,
    /// Shape and dtype; `None` for a kernel's own buffer.
    pub tensor: Option<(Shape, Dtype)>,
    /// Who made it.
    pub made: Place,
}

/// The instant of a trace at which most memory was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Where the program was.
    pub place: Place,
    /// What filled memory.
    pub composition: Composition,
    /// The largest blocks, largest first.
    pub top: Vec<Block>,
}

/// Explains the peak of a replayed trace; `None` for a trace without allocations.
pub fn peak(trace: &Trace, timeline: &Timeline, top: usize) -> Option<Peak> {
    timeline.peak_event.map(|event| at_event(trace, event, top))
}

/// Explains the instant after an event: what is alive, by purpose and by size.
pub fn at_event(trace: &Trace, event: usize, top: usize) -> Peak {
    let (alive, born_in) = alive_after(trace, event);
    let mut by_category: Vec<(Category, Bytes)> = Category::ALL.iter().map(|c| (*c, Bytes::ZERO)).collect();
    for id in &alive {
        by_category[trace.allocations.category(*id) as usize].1 += trace.allocations.bytes(*id);
    }
    let mut largest = alive;
    largest.sort_by_key(|id| (std::cmp::Reverse(trace.allocations.bytes(*id)), *id));
    let block = |id: &AllocationId| Block {
        bytes: trace.allocations.bytes(*id),
        category: trace.allocations.category(*id),
        tensor: trace.tensor(*id).map(|tensor| (tensor.shape.clone(), tensor.dtype)),
        made: place(trace, *id, born_in[id.index()]),
    };
    let here = match trace.event(event) {
        Event::Alloc(id) => place(trace, id, born_in[id.index()]),
        _ => Place {
            phase: None,
            phase_name: String::new(),
            op: String::new(),
            module: String::new(),
            node: String::new(),
        },
    };
    Peak {
        place: here,
        composition: Composition(by_category),
        top: largest.iter().take(top).map(block).collect(),
    }
}

/// The blocks alive after an event, and by block the number of phases begun at its birth.
fn alive_after(trace: &Trace, event: usize) -> (Vec<AllocationId>, Vec<u32>) {
    let mut alive = vec![false; trace.allocations.len()];
    let mut born_in = vec![0u32; trace.allocations.len()];
    let mut phases = 0;
    for event in trace.events().take(event + 1) {
        match event {
            Event::Phase(_) => phases += 1,
            Event::Alloc(id) => {
                alive[id.index()] = true;
                born_in[id.index()] = phases;
            }
            Event::Free(id) | Event::FreeCompleted(id) => alive[id.index()] = false,
            _ => {}
        }
    }
    (trace.allocations.ids().filter(|id| alive[id.index()]).collect(), born_in)
}

fn place(trace: &Trace, id: AllocationId, phases_begun: u32) -> Place {
    let context = trace.contexts.get(trace.allocations.get(id).context);
    let phase = (phases_begun as usize).checked_sub(1).map(|at| trace.phases()[at]);
    let text = |id| trace.contexts.str(id).to_owned();
    Place {
        phase: phase.map(|phase| phase.kind),
        phase_name: phase.map(|phase| text(phase.name)).unwrap_or_default(),
        op: text(context.op),
        module: text(context.module),
        node: text(context.node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful_replay::{AllocatorConfig, Capacity, replay};
    use brimful_trace::{Allocation, Origin};

    #[test]
    fn the_peak_names_what_is_alive() {
        let mut trace = Trace::new(Origin::Predicted);
        let weight =
            Allocation { bytes: Bytes::mib(8), category: Category::Parameter, ..Allocation::default() };
        trace.alloc(weight);
        let gone = trace.alloc(Allocation { bytes: Bytes::mib(4), ..Allocation::default() });
        trace.free(gone);
        trace.alloc(Allocation { bytes: Bytes::mib(6), category: Category::Logits, ..Allocation::default() });
        let timeline = replay(&trace, &AllocatorConfig::default(), &Capacity::unlimited());
        let peak = peak(&trace, &timeline, 1).unwrap();
        assert_eq!(peak.composition.get(Category::Parameter), Bytes::mib(8));
        assert_eq!(peak.composition.get(Category::Logits), Bytes::mib(6));
        assert_eq!(peak.composition.get(Category::Unknown), Bytes::ZERO);
        assert_eq!(peak.top[0].bytes, Bytes::mib(8));
    }
}
