//! What each block was for, where only its life and its maker show it: kept for the backward or temporary, logits or not.

use brimful_models::Config;
use brimful_trace::{AllocationId, Category, Event, PhaseKind, Trace};

/// Names the purpose of every block that nobody named when it was made.
pub(crate) fn categorize(trace: &mut Trace, model: &Config) {
    let vocabulary = match model {
        Config::Decoder(config) => config.vocab_size,
        Config::Gpt2(config) => config.vocab_size,
        Config::Recorded(config) => config.number("vocab_size").unwrap_or(0),
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
    /// The backward had come through the loss to the head or further.
    past_loss: bool,
}

fn lives(trace: &Trace) -> Vec<Life> {
    let mut lives = vec![Life { phase: None, outlives: true, past_loss: false }; trace.allocations.len()];
    let mut born_in = vec![usize::MAX; trace.allocations.len()];
    let (mut kind, mut number, mut past_loss) = (None, 0, false);
    for event in trace.events() {
        match event {
            Event::Phase(id) => {
                kind = Some(trace.phase(id).kind);
                number += 1;
                past_loss = false;
            }
            Event::Alloc(id) => {
                past_loss =
                    past_loss || (kind == Some(PhaseKind::Backward) && maker(trace, id) != Maker::Model);
                lives[id.0 as usize] = Life { phase: kind, past_loss, ..lives[id.0 as usize] };
                born_in[id.0 as usize] = number;
            }
            Event::Free(id) => lives[id.0 as usize].outlives = born_in[id.0 as usize] != number,
            _ => {}
        }
    }
    lives
}

/// Whose op asked for a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// The language-model head, or an adapter in it.
    Head,
    /// The model itself, outside of its modules: the loss.
    Model,
    Other,
}

/// The names of heads over a vocabulary (`get_output_embeddings` in transformers): `cls` is BERT's for masked tokens, and `proj_out`
/// Whisper's.
const HEADS: [&str; 3] = ["lm_head", "cls", "proj_out"];
/// Where PEFT puts the model that it wraps.
const WRAPPED: &str = "base_model.model";

fn maker(trace: &Trace, id: AllocationId) -> Maker {
    let context = trace.contexts.get(trace.allocations.get(id).context);
    let path = trace.contexts.str(context.module);
    let path = path.strip_prefix(WRAPPED).map_or(path, |inner| inner.strip_prefix('.').unwrap_or(inner));
    match path.split('.').next() {
        Some("") | None => Maker::Model,
        Some(name) if HEADS.contains(&name) => Maker::Head,
        Some(_) => Maker::Other,
    }
}

fn purpose(trace: &Trace, id: AllocationId, life: Life, vocabulary: u64) -> Category {
    let Some(tensor) = trace.tensor(id) else { return Category::KernelBuffer };
    // The head's casts and its adapter's smaller products are not as wide as its output.
    let wide = tensor.shape.rank() >= 2 && tensor.shape.last(0) == vocabulary;
    let logits = wide
        && match maker(trace, id) {
            Maker::Head => true,
            // The backward runs from the loss to the head and on to the blocks: what bears no module's name by then is
            // a block's that runs again.
            Maker::Model => !life.past_loss,
            Maker::Other => false,
        };
    match life.phase {
        Some(PhaseKind::Forward | PhaseKind::Prefill | PhaseKind::Decode) if logits => Category::Logits,
        Some(PhaseKind::Forward | PhaseKind::Prefill | PhaseKind::Decode) if life.outlives => {
            Category::Activation
        }
        Some(PhaseKind::Backward) if logits => Category::Logits,
        Some(PhaseKind::Data) => Category::Input,
        _ => Category::Temporary,
    }
}
