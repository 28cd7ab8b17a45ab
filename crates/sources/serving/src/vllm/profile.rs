//! The profile run: what is alive at its peak, and what stays of it beside the weights (v1/worker/gpu/model_runner.py profile_run,
//! vLLM 0.33).

use brimful_units::{Bytes, Dtype};

use super::defaults::Start;
use super::rules::Graphs;
use crate::architecture::Architecture;
use crate::weights::{held, product};

/// What torch holds at the peak of the profile run and gives back.
pub(super) fn activation_peak(model: &Architecture, start: &Start, is_cold: bool) -> Bytes {
    let layers = product([start.max_num_batched_tokens, model.bytes_of_token(start.ranks)]);
    // The first runner counts what stays of the run, too.
    let stays = if start.rules.first_runner { workspace(model, start) } else { 0 };
    let compiling = if is_cold && !start.eager { copy_of_embedding(model) } else { 0 };
    // One after another, not together: the largest decides.
    Bytes::new(sampler(model, start).max(layers).max(compiling).saturating_add(stays))
}

/// The sampler on a row of logits for each request: one copy in the model's dtype and some in fp32, beside the hidden states of all
/// tokens and of the rows that are sampled.
fn sampler(model: &Architecture, start: &Start) -> u64 {
    let logits = product([start.max_num_seqs, model.vocab_size]);
    let copies = product([3, held(product([logits, 4]))]);
    let of_kernel = if start.rules.first_runner { start.multiprocessors } else { 0 };
    let copies = copies.saturating_add(product([of_kernel, model.vocab_size, 4]));
    let own = held(product([logits, model.dtype.size()]));
    let rows = start.max_num_batched_tokens.saturating_add(start.max_num_seqs);
    let hidden = product([rows, model.hidden_size, model.dtype.size()]);
    copies.saturating_add(own).saturating_add(hidden).saturating_add(product([SMALL, start.max_num_seqs]))
}

/// Bytes of each request's positions, seeds and indices in the sampler: 46,592 for 1,024 requests, 12,288 for 256.
const SMALL: u64 = 46;

/// torch.compile with an empty cache: a copy of the embedding, and 34 MB (three starts; with a filled cache it is gone).
fn copy_of_embedding(model: &Architecture) -> u64 {
    product([model.padded_vocabulary(), model.hidden_size, model.dtype.size()]).saturating_add(34_000_000)
}

/// What stays taken after the profile run beside the weights.
pub(super) struct Kept {
    /// A block of fp32 logits, which a small tensor keeps from being given back.
    pub(super) logits: Bytes,
    /// The workspace of the experts' kernels.
    pub(super) experts: Bytes,
    /// The runner's buffers and what the allocator cannot give back: measured, not computed.
    pub(super) rest: Bytes,
    /// How far `rest` is off at most in the starts that it was measured on.
    pub(super) margin: Bytes,
}

impl Kept {
    pub(super) fn of(model: &Architecture, start: &Start, is_packed: bool) -> Kept {
        let block = held(product([start.max_num_seqs, model.vocab_size, 4]));
        let logits = if start.rules.first_runner { Bytes::ZERO } else { Bytes::new(block) };
        let experts = if start.rules.first_runner { 0 } else { workspace(model, start) };
        let experts = Bytes::new(experts);
        let (rest, margin) = rest(model, start, is_packed);
        Kept { logits, experts, rest, margin }
    }

    pub(super) fn together(&self) -> Bytes {
        self.logits + self.experts + self.rest
    }
}

/// The workspace of the experts' kernels; 0 in a dense model.
fn workspace(model: &Architecture, start: &Start) -> u64 {
    model.experts().map_or(0, |experts| {
        let elements = experts.workspace(start.max_num_batched_tokens, model.hidden_size, start.ranks);
        product([elements, model.dtype.size()])
    })
}

/// The rest in starts of vLLM 0.33 on the virtual GPU: 6 to 28 MiB for five dense models, 79 for weights in four bits, 107 and 111
/// with experts, 140 with gated delta nets, and 55 for a dense model with graphs.
fn rest(model: &Architecture, start: &Start, is_packed: bool) -> (Bytes, Bytes) {
    let compiled = if start.eager { 0 } else { 32 };
    let (mib, margin) = match () {
        // Starts of 0.19 and 0.20 (fixtures/serving/h100.jsonl) have nothing beside the libraries' memory.
        () if start.rules.first_runner => (0, 40),
        () if model.has_delta_net() => (140, 60),
        () if model.experts().is_some() => (108, 60),
        () if is_packed => (80, 60),
        () => (20, 40),
    };
    (Bytes::mib(mib + compiled), Bytes::mib(margin + compiled))
}

/// What is kept from the KV cache for CUDA graphs: an estimate of the engine, which is often twice what capture takes.
///
/// Calibrated: a full graph keeps about three times its largest batch's hidden states (150 MB for 35 graphs of Qwen3-8B, 747 MB for
/// 51 of Llama-3.1-8B on the virtual GPU; 0.2 to 0.9 GiB more than that in logs of real cards).
pub(super) fn graphs(model: &Architecture, start: &Start) -> Bytes {
    if start.eager || start.rules.graphs == Graphs::Nothing {
        return Bytes::ZERO;
    }
    let largest = largest_captured(start);
    let count = full_graphs(start.max_num_seqs.min(largest));
    let hidden = product([largest, model.hidden_size, Dtype::size(model.dtype)]);
    Bytes::new(product([3, count, hidden.max(1 << 20)]))
}

/// The largest batch that is captured: twice the requests, and at most 512 tokens (`_set_cudagraph_sizes` in config/vllm.py, 0.33).
fn largest_captured(start: &Start) -> u64 {
    product([2, start.max_num_seqs]).min(512).min(start.max_num_batched_tokens)
}

/// Batches up to this one that are captured: 1, 2, 4, then in steps of 8 up to 256, then of 16.
fn full_graphs(largest: u64) -> u64 {
    let small = [1, 2, 4].iter().filter(|size| **size <= largest).count() as u64;
    small + largest.min(256) / 8 + largest.saturating_sub(256) / 16
}

#[cfg(test)]
mod tests {
    use super::full_graphs;

    #[test]
    fn captured_batches_are_counted_as_the_engine_prints_them() {
        assert_eq!([2, 256, 512].map(full_graphs), [2, 35, 51]);
    }
}
