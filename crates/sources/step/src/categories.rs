//! What each block was for, where only its life tells: kept for the backward or temporary, as
//! wide as the vocabulary or not.

use brimful_models::Config;
use brimful_trace::{AllocationId, Category, Event, PhaseKind, Trace};

/// Names the purpose of every block that nobody named when it was made.
pub(crate) fn categorize(trace: &mut Trace, model: &Config) {
    let vocabulary = match model {
        Config::Decoder(config) => config.vocab_size,
        Config::Gpt2(config) => config.vocab_size,
    };
    let lives = lives(trace);
    for (id, life) in trace.allocations.ids().zip(lives).collect::<Vec<_>>() {
        if trace.allocations.category(id) == Category::Unknown {
            let category = purpose(trace, id, life, vocabulary);
            trace.categorize(id, category);
        }
    }
}

/// The phase a block was born in, and whether it outlived that phase.
#[derive(Clone, Copy)]
struct Life {
    phase: Option<PhaseKind>,
    outlives: bool,
}

fn lives(trace: &Trace) -> Vec<Life> {
    let mut lives = vec![Life { phase: None, outlives: true }; trace.allocations.len()];
    let mut born_in = vec![usize::MAX; trace.allocations.len()];
    let (mut kind, mut number) = (None, 0);
    for event in trace.events() {
        match event {
            Event::Phase(id) => {
                kind = Some(trace.phase(id).kind);
                number += 1;
            }
            Event::Alloc(id) => {
                lives[id.0 as usize].phase = kind;
                born_in[id.0 as usize] = number;
            }
            Event::Free(id) => lives[id.0 as usize].outlives = born_in[id.0 as usize] != number,
            _ => {}
        }
    }
    lives
}

fn purpose(trace: &Trace, id: AllocationId, life: Life, vocabulary: u64) -> Category {
    let Some(tensor) = trace.tensor(id) else { return Category::KernelBuffer };
    let wide = tensor.shape.rank() >= 2 && tensor.shape.last(0) == vocabulary;
    match life.phase {
        Some(PhaseKind::Forward | PhaseKind::Prefill | PhaseKind::Decode) if wide => Category::Logits,
        Some(PhaseKind::Forward | PhaseKind::Prefill | PhaseKind::Decode) if life.outlives => {
            Category::Activation
        }
        Some(PhaseKind::Backward) if wide => Category::Logits,
        Some(PhaseKind::Data) => Category::Input,
        _ => Category::Temporary,
    }
}
