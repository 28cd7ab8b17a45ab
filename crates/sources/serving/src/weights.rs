//! The weights of a rank as vLLM places them: merged projections, a share for each rank, and what PyTorch's allocator adds.

use brimful_units::{Bytes, Dtype};

use crate::quantization::{Scales, Scheme};
use crate::{Architecture, Quantization};

/// A product that stays at the largest number where it would overflow.
pub(crate) fn product<const N: usize>(factors: [u64; N]) -> u64 {
    factors.into_iter().fold(1, u64::saturating_mul)
}

/// More bytes than any machine has: a config that asks for more is refused before.
const MOST: u64 = 1 << 60;

/// The allocator's unit (`kMinBlockSize` in c10/cuda/CUDACachingAllocator.cpp, torch 2.14).
const SMALLEST_BLOCK: u64 = 512;

/// Requests from this size on have a segment of their own, in units of 2 MiB (`kMinLargeAlloc`, `kRoundLarge`).
const OWN_SEGMENT: u64 = 10 << 20;
const SEGMENT_UNIT: u64 = 2 << 20;

/// No block from this size on is split while weights are loaded and in the profile run (`_scoped_allocator_max_split` in
/// v1/worker/gpu_worker.py, 0.33). A request takes a cached block only if that is less than 20 MiB larger (`kLargeBuffer`).
const UNSPLIT: u64 = 20 << 20;

/// What a tensor takes in PyTorch's allocator. A rest of up to 1 MiB of a segment is not split off (`kSmallSize`), and none of a
/// segment of more than 20 MiB.
pub(crate) fn held(bytes: u64) -> u64 {
    let block = bytes.checked_next_multiple_of(SMALLEST_BLOCK).unwrap_or(MOST);
    let segment = bytes.checked_next_multiple_of(SEGMENT_UNIT).unwrap_or(MOST);
    let is_whole = bytes > UNSPLIT || bytes >= OWN_SEGMENT && segment - block <= 1 << 20;
    if is_whole { segment } else { block }
}

/// The weights of one rank, with the tables of the rotary embedding.
///
/// `pads_experts` says that experts in MXFP4 are padded, as every GPU but Hopper's has it.
pub fn weights(model: &Architecture, quantization: &Quantization, ranks: u64, pads_experts: bool) -> Bytes {
    let mut loader = Loader {
        dtype: model.dtype,
        ranks: ranks.max(1),
        quantization,
        pads_experts,
        prefix: String::new(),
        cached: Vec::new(),
        total: 0,
    };
    model.load(&mut loader);
    Bytes::new(loader.total.min(MOST))
}

/// Adds up the tensors of a rank.
pub(crate) struct Loader<'a> {
    dtype: Dtype,
    /// Ranks of tensor parallelism.
    pub(crate) ranks: u64,
    quantization: &'a Quantization,
    pads_experts: bool,
    /// The path of the current layer, such as `model.layers.3`.
    pub(crate) prefix: String,
    /// Segments that were given back, by size: they are cached, and a later weight can take one that is larger than it.
    cached: Vec<u64>,
    total: u64,
}

impl Loader<'_> {
    /// The part of a width that a rank has. What does not divide is refused before.
    pub(crate) fn share(&self, width: u64) -> u64 {
        width.div_ceil(self.ranks)
    }

    /// A tensor in the model's dtype.
    pub(crate) fn plain(&mut self, elements: u64) {
        self.add(product([elements, self.dtype.size()]));
    }

    /// A tensor in fp32.
    pub(crate) fn single(&mut self, elements: u64) {
        self.add(product([elements, 4]));
    }

    /// A linear layer of this rank. `names` are the modules of the checkpoint in it, below the layer.
    pub(crate) fn linear(&mut self, names: &[&str], outputs: u64, inputs: u64, bias: bool) {
        let paths: Vec<String> = names.iter().map(|name| format!("{}.{name}", self.prefix)).collect();
        let scheme = self.quantization.of_linear(&paths);
        self.matrix(scheme, 1, outputs, inputs);
        if bias {
            self.plain(outputs);
        }
    }

    /// A linear layer that no method quantizes: a router, a state's small projection.
    pub(crate) fn unquantized(&mut self, outputs: u64, inputs: u64) {
        self.plain(product([outputs, inputs]));
    }

    /// The hidden size and the width of experts as their kernels take them: those for MXFP4 other than Hopper's take
    /// multiples of 256 and 128 only (mxfp4_round_up_hidden_size_and_intermediate_size in fused_moe/oracle/mxfp4.py, 0.33).
    pub(crate) fn expert_widths(&self, name: &str, hidden: u64, width: u64) -> (u64, u64) {
        let pads = self.scheme_of_experts(name) == Scheme::Mxfp4 && self.pads_experts;
        if pads { (hidden.next_multiple_of(256), width.next_multiple_of(128)) } else { (hidden, width) }
    }

    fn scheme_of_experts(&self, name: &str) -> Scheme {
        self.quantization.of_experts(&format!("{}.{name}", self.prefix))
    }

    /// A matrix of each expert, with a bias where the class has one.
    pub(crate) fn experts(&mut self, name: &str, experts: u64, outputs: u64, inputs: u64, bias: bool) {
        self.matrix(self.scheme_of_experts(name), experts, outputs, inputs);
        if bias {
            self.plain(product([experts, outputs]));
        }
    }

    /// `count` matrices that are one tensor.
    fn matrix(&mut self, scheme: Scheme, count: u64, outputs: u64, inputs: u64) {
        let elements = product([count, outputs, inputs]);
        match scheme {
            Scheme::Whole => self.plain(elements),
            Scheme::Eight(scales) => {
                self.add(elements);
                let scales = match scales {
                    Scales::Tensor => 1,
                    Scales::Channel => outputs,
                    Scales::Block(rows, columns) => outputs.div_ceil(rows) * inputs.div_ceil(columns),
                };
                self.single(product([count, scales]));
            }
            Scheme::Packed { bits, group, zeros } => {
                self.add(product([elements, bits]) / 8);
                let groups = product([count, outputs, inputs.div_ceil(group.unwrap_or(inputs).max(1))]);
                self.plain(groups);
                if zeros {
                    self.add(product([groups, bits]) / 8);
                }
            }
            Scheme::Mxfp4 => {
                self.add(elements / 2);
                self.add(elements / 32);
            }
        }
    }

    /// The table of a rotary embedding. It is computed in fp32 on the GPU, and what is freed of that is cached: angles, cosines and
    /// sines of half the columns, and both side by side (`_compute_cos_sin_cache` in layers/rotary_embedding/base.py, 0.33).
    pub(crate) fn rotary(&mut self, rows: u64, columns: u64) {
        let half = product([rows, columns / 2, 4]);
        let (parts, whole) =
            ([half; 3].map(|bytes| self.take(bytes)), self.take(product([rows, columns, 4])));
        parts.into_iter().for_each(|segment| self.give_back(segment));
        self.plain(product([rows, columns]));
        self.give_back(whole);
    }

    fn add(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(self.take(bytes));
    }

    /// What an allocation takes: the smallest cached segment that is not much larger, else a new one.
    fn take(&mut self, bytes: u64) -> u64 {
        let fresh = held(bytes);
        if bytes < UNSPLIT {
            return fresh;
        }
        let fits = |(_, size): &(usize, &u64)| **size >= fresh && **size - fresh < UNSPLIT;
        let best = self.cached.iter().enumerate().filter(fits).min_by_key(|(_, size)| **size);
        best.map(|(at, _)| at).map_or(fresh, |at| self.cached.swap_remove(at))
    }

    fn give_back(&mut self, segment: u64) {
        if segment >= UNSPLIT {
            self.cached.push(segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::held;

    #[test]
    fn a_rest_of_at_most_a_mebibyte_stays_with_its_tensor() {
        const MIB: u64 = 1 << 20;
        assert_eq!(held(145 * MIB), 146 * MIB);
        assert_eq!(held(144 * MIB), 144 * MIB);
        assert_eq!(held(12 * MIB + MIB / 2), 12 * MIB + MIB / 2);
        assert_eq!(held(32 * MIB + MIB / 4), 34 * MIB);
        assert_eq!(held(9 * MIB + 1), 9 * MIB + 512);
    }
}
