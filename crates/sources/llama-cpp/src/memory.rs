//! The caches of a context: cells, types, and the bytes on each device; src/llama-kv-cache.cpp,
//! src/llama-kv-cache-iswa.cpp and src/llama-memory-recurrent.cpp, v0.5.0.

use brimful_gguf::GgmlType;

use crate::context::Context;
use crate::ggml;
use crate::hparams::Hparams;
use crate::weights::Weights;
use crate::{Error, Settings};

/// The caches of a context.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// Cells of a sequence's cache in layers without and with a window.
    cells: [u64; 2],
    pub context_of_sequence: u64,
    pub streams: u64,
    pub unified: bool,
    pub type_k: GgmlType,
    pub type_v: GgmlType,
    /// Are values stored with one row for each element? So they are without flash attention.
    pub v_transposed: bool,
    /// Does the cache hold values? A latent attention has none.
    pub has_values: bool,
    /// Sequences with a recurrent state.
    pub states: u64,
    rotations: [[Option<u64>; 2]; 2],
}

/// Bytes of the caches on each device; the CPU's are last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryBytes {
    pub kv: Vec<u64>,
    pub recurrent: Vec<u64>,
}

impl Memory {
    pub(crate) fn new(hparams: &Hparams, settings: &Settings, context: &Context) -> Result<Self, Error> {
        let streams = if settings.kv_unified { 1 } else { context.sequences };
        let full = context.of_sequence;
        let shared = if settings.kv_unified { context.sequences } else { 1 };
        let window = (hparams.window * shared + context.ubatch).min(full).next_multiple_of(256);
        let windowed = if settings.swa_full { full } else { window };
        let mut memory = Memory {
            cells: [full, windowed],
            context_of_sequence: full,
            streams,
            unified: settings.kv_unified,
            type_k: settings.cache_type_k,
            type_v: settings.cache_type_v,
            v_transposed: settings.flash_attn == crate::FlashAttention::Off,
            has_values: hparams.latent.is_none(),
            states: context.sequences,
            rotations: [[None; 2]; 2],
        };
        memory.check(hparams)?;
        for with_window in [false, true] {
            memory.rotations[usize::from(with_window)] = memory.rotations_of(hparams, with_window);
        }
        Ok(memory)
    }

    /// Rows of a cache are whole blocks of its type.
    fn check(&self, hparams: &Hparams) -> Result<(), Error> {
        let attended = || (0..hparams.layers).filter(|layer| hparams.heads_kv_at(*layer) > 0);
        let rows = |ty: GgmlType, width: fn(&Hparams, usize) -> u64| {
            attended().all(|layer| ty.row_bytes(width(hparams, layer)).is_some())
        };
        let refuse = |key, ty: GgmlType| Error::Setting {
            key,
            found: ty.to_string(),
            reason: "the rows of the cache are no whole number of its blocks; take f16".into(),
        };
        if !rows(self.type_k, Hparams::head_k) {
            return Err(refuse("cache-type-k", self.type_k));
        }
        if self.has_values && !rows(self.type_v, Hparams::head_v) {
            return Err(refuse("cache-type-v", self.type_v));
        }
        Ok(())
    }

    pub(crate) fn cells(&self, windowed: bool) -> u64 {
        self.cells[usize::from(windowed)]
    }

    /// Sides of the Hadamard matrices that keys and values of quantised caches are multiplied with; `None` without one.
    pub fn rotations(&self, windowed: bool) -> [Option<u64>; 2] {
        self.rotations[usize::from(windowed)]
    }

    /// All layers of a cache must have the same head width, a multiple of 64.
    fn rotations_of(&self, hparams: &Hparams, windowed: bool) -> [Option<u64>; 2] {
        // The latent of a latent attention is not rotated.
        if !self.has_values {
            return [None; 2];
        }
        let layers: Vec<usize> = (0..hparams.layers_all())
            .filter(|layer| {
                cached(hparams, *layer)
                    && hparams.has_window == (hparams.has_window && hparams.is_windowed(*layer) == windowed)
            })
            .collect();
        let same = |width: fn(&Hparams, usize) -> u64| {
            let first = width(hparams, *layers.first()?);
            layers.iter().all(|layer| width(hparams, *layer) == first).then_some(first)
        };
        let wide = |ty: GgmlType, width: Option<u64>, first: u64| {
            width.filter(|width| *width > 0 && ty.is_quantized() && first.is_multiple_of(64))
        };
        // For keys the largest power of two that divides the width, for values always 64.
        let k = wide(self.type_k, same(Hparams::head_k), hparams.head_k(0))
            .map(|width| 1 << width.trailing_zeros());
        let v = wide(self.type_v, same(Hparams::head_v), hparams.head_v(0)).map(|_| 64);
        [k, v]
    }

    /// The bytes on each device.
    pub fn bytes(&self, hparams: &Hparams, weights: &Weights<'_>, offload: bool) -> MemoryBytes {
        let mut bytes = MemoryBytes { kv: vec![0; weights.cpu + 1], recurrent: vec![0; weights.cpu + 1] };
        for layer in 0..hparams.layers {
            let home = if offload { weights.layer(layer) } else { weights.cpu };
            if cached(hparams, layer) {
                add(&mut bytes.kv, home, self.layer_bytes(hparams, layer, home < weights.cpu));
            }
            if hparams.is_recurrent(layer) {
                let rows = |width: u64| {
                    padded(width.saturating_mul(4).saturating_mul(self.states), home < weights.cpu)
                };
                let state = if hparams.shortconv > 0 { 0 } else { hparams.ssm_state() };
                add(&mut bytes.recurrent, home, rows(hparams.conv_state()).saturating_add(rows(state)));
            }
        }
        bytes
    }

    fn layer_bytes(&self, hparams: &Hparams, layer: usize, on_gpu: bool) -> u64 {
        let rows = self.cells(hparams.is_windowed(layer)).saturating_mul(self.streams);
        let bytes = |ty: GgmlType, width: u64| {
            let bytes = ty.row_bytes(width).unwrap_or(0).saturating_mul(rows);
            // On a GPU the last row of a quantised cache is padded like that of a weight.
            padded(if on_gpu { ggml::cuda_bytes(ty, width, bytes) } else { bytes }, on_gpu)
        };
        let values = if self.v_transposed { hparams.value_width_max() } else { hparams.value_width(layer) };
        let values = if self.has_values { bytes(self.type_v, values) } else { 0 };
        bytes(self.type_k, hparams.key_width(layer)).saturating_add(values)
    }
}

/// Does a layer have a cache of keys and values?
pub(crate) fn cached(hparams: &Hparams, layer: usize) -> bool {
    let attends = !hparams.is_recurrent(layer) || hparams.arch == "falcon-h1";
    // Layers of Nemotron-H with a feed-forward layer have nothing else.
    let attends = attends && !(hparams.arch == "nemotron_h" && hparams.feed_forward_at(layer) > 0);
    layer < hparams.layers && attends && !matches!(hparams.arch.as_str(), "mamba" | "mamba2")
}

fn add(bytes: &mut [u64], home: usize, more: u64) {
    if let Some(place) = bytes.get_mut(home) {
        *place = place.saturating_add(more);
    }
}

fn padded(bytes: u64, on_gpu: bool) -> u64 {
    let alignment = if on_gpu { ggml::CUDA_ALIGNMENT } else { ggml::HOST_ALIGNMENT };
    bytes.checked_next_multiple_of(alignment).unwrap_or(bytes)
}
