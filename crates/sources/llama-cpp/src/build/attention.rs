//! Attention over a cache (`build_qkv`, `build_attn`, `build_attn_mha`).

use brimful_gguf::GgmlType;

use super::builder::{Builder, CacheInputs};
use crate::Error;
use crate::ggml::{Id, Unary};

/// Queries, keys and values of the tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Qkv {
    pub q: Id,
    pub k: Id,
    pub v: Id,
}

/// What attention takes beside queries, keys and values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AttentionWeights {
    pub sinks: Option<Id>,
    /// The matrix that expands the values of a latent attention.
    pub latent_values: Option<Id>,
    /// Is the product with the output's matrix left to the caller?
    pub bare: bool,
}

impl Builder<'_> {
    /// Queries, keys and values with one head per `head` elements.
    pub fn qkv(&mut self, current: Id, layer: usize) -> Result<Qkv, Error> {
        let (heads, kv) = (self.hparams.heads_at(layer), self.hparams.heads_kv_at(layer));
        let head = self.hparams.head_k(layer);
        if self.maybe_at(layer, "attn_qkv.weight").is_some() {
            return self.fused_qkv(current, layer, head, [heads, kv]);
        }
        let Qkv { q, k, v } = self.flat_qkv(current, layer)?;
        let tokens = self.run.tokens;
        Ok(Qkv {
            q: self.graph.reshape_3d(q, head, heads, tokens),
            k: self.graph.reshape_3d(k, head, kv, tokens),
            v: self.graph.reshape_3d(v, self.hparams.head_v(layer), kv, tokens),
        })
    }

    /// The three products without the split into heads.
    pub fn flat_qkv(&mut self, current: Id, layer: usize) -> Result<Qkv, Error> {
        let mut parts = [current; 3];
        for (place, name) in parts.iter_mut().zip(["attn_q", "attn_k", "attn_v"]) {
            *place = self.linear(current, layer, name)?;
            if self.hparams.clamp_kqv {
                *place = self.graph.clamp(*place);
            }
        }
        let [q, k, v] = parts;
        Ok(Qkv { q, k, v })
    }

    fn fused_qkv(&mut self, current: Id, layer: usize, head: u64, heads: [u64; 2]) -> Result<Qkv, Error> {
        let mut all = self.linear(current, layer, "attn_qkv")?;
        if self.hparams.clamp_kqv {
            all = self.graph.clamp(all);
        }
        let row = self.graph.get(all).nb[1];
        let tokens = self.run.tokens;
        let bytes = 4 * head;
        let [q_heads, kv_heads] = heads;
        let mut part = |count: u64, before: u64| {
            self.graph.view_3d(all, [head, count, tokens], bytes, row, before * bytes)
        };
        Ok(Qkv { q: part(q_heads, 0), k: part(kv_heads, q_heads), v: part(kv_heads, q_heads + kv_heads) })
    }

    /// Inputs of attention over the cache of a layer, made at their first use.
    fn cache_inputs(&mut self, layer: usize) -> CacheInputs {
        let windowed = self.hparams.is_windowed(layer);
        let index = usize::from(windowed);
        if let Some(inputs) = self.cache_inputs.get(index).copied().flatten() {
            return inputs;
        }
        let (tokens, memory) = (self.run.tokens, self.memory);
        let k_ids = self.graph.input(GgmlType::I64, [tokens, 1, 1, 1]);
        let v_rows = if memory.v_transposed { tokens * self.hparams.value_width_max() } else { tokens };
        let v_ids = memory.has_values.then(|| self.graph.input(GgmlType::I64, [v_rows, 1, 1, 1]));
        let ty = if self.run.flash { GgmlType::F16 } else { GgmlType::F32 };
        let streams = self.streams();
        let mask = self.graph.input(ty, [memory.cells(windowed), tokens / streams, 1, streams]);
        let mut rotation =
            |side: Option<u64>| side.map(|side| self.graph.input(GgmlType::F32, [side, side, 1, 1]));
        let [k_side, v_side] = memory.rotations(windowed);
        let inputs =
            CacheInputs { k_ids, v_ids, mask, k_rotation: rotation(k_side), v_rotation: rotation(v_side) };
        if let Some(place) = self.cache_inputs.get_mut(index) {
            *place = Some(inputs);
        }
        inputs
    }

    /// Caches that are attended at the same time: one for each sequence unless they share one.
    fn streams(&self) -> u64 {
        if self.memory.unified { 1 } else { self.run.sequences }
    }

    /// Multiplies rows of quantised caches with a Hadamard matrix (`llama_mul_mat_hadamard`).
    fn rotated(&mut self, current: Id, rotation: Option<Id>) -> Id {
        let Some(rotation) = rotation else { return current };
        let side = self.graph.get(rotation).ne[0].max(1);
        let tensor = *self.graph.get(current);
        let rows = tensor.elements() / side;
        let flat = if tensor.contiguous() {
            self.graph.reshape_2d(current, side, rows)
        } else {
            self.graph.cont_2d(current, side, rows)
        };
        let product = self.graph.mul_mat(rotation, flat);
        self.graph.reshape(product, tensor.ne)
    }

    /// Attention of a layer: writes keys and values into the cache, and attends to all of it.
    pub fn attend(&mut self, qkv: Qkv, layer: usize, with: AttentionWeights) -> Result<Id, Error> {
        let inputs = self.cache_inputs(layer);
        let q = self.rotated(qkv.q, inputs.k_rotation);
        let k = self.rotated(qkv.k, inputs.k_rotation);
        let v = self.rotated(qkv.v, inputs.v_rotation);
        // With windows the keys come before the values (`llm_graph_input_attn_kv_iswa`).
        let order = if self.hparams.has_window { [q, k, v] } else { [q, v, k] };
        order.into_iter().for_each(|id| self.graph.expand(id));
        let (k_cached, v_cached) = self.store(k, v, layer, inputs);
        let mut current = self.heads(q, k_cached, v_cached, inputs.mask, with);
        current = self.rotated(current, inputs.v_rotation);
        if with.bare {
            return Ok(current);
        }
        self.linear(current, layer, "attn_output")
    }

    /// Writes keys and values into the cache and returns views of all cells.
    fn store(&mut self, k: Id, v: Id, layer: usize, inputs: CacheInputs) -> (Id, Id) {
        let memory = self.memory;
        let cells = memory.cells(self.hparams.is_windowed(layer));
        let streams = memory.streams;
        let width = self.hparams.key_width(layer);
        let cache = self.cache(layer, "k", memory.type_k, [width, cells, streams, 1]);
        self.store_rows(cache, k, inputs.k_ids);
        let heads = self.hparams.heads_kv_at(layer);
        let k_all = self.cached_heads(cache, self.hparams.head_k(layer), heads, cells);
        let Some(v_ids) = inputs.v_ids else {
            // Values of a latent attention are the first elements of its keys.
            let (of, head) = (*self.graph.get(k_all), self.graph.get(v).ne[0]);
            let view = self.graph.view(
                k_all,
                [head, of.ne[1], of.ne[2], of.ne[3]],
                [of.nb[1], of.nb[2], of.nb[3]],
                0,
            );
            return (k_all, view);
        };
        if memory.v_transposed {
            return (k_all, self.store_columns(v, layer, v_ids, cells));
        }
        let cache =
            self.cache(layer, "v", memory.type_v, [self.hparams.value_width(layer), cells, streams, 1]);
        self.store_rows(cache, v, v_ids);
        (k_all, self.cached_heads(cache, self.hparams.head_v(layer), heads, cells))
    }

    fn store_rows(&mut self, cache: Id, rows: Id, ids: Id) {
        let of = *self.graph.get(rows);
        let width = of.ne[0] * of.ne[1];
        let flat = self.graph.view_2d(rows, [width, of.ne[2]], of.nb[2], 0);
        let shape = self.graph.get(cache).ne;
        let all = if shape[2] > 1 { self.graph.reshape_2d(cache, width, shape[1] * shape[2]) } else { cache };
        let stored = self.graph.set_rows(all, flat, ids);
        self.graph.expand(stored);
    }

    fn cached_heads(&mut self, cache: Id, head: u64, heads: u64, cells: u64) -> Id {
        let ty = self.graph.get(cache).ty;
        let shape = self.graph.get(cache).ne;
        let bytes = |elements: u64| ty.row_bytes(elements).unwrap_or(0);
        let row = bytes(shape[0]);
        let streams = self.streams();
        self.graph.view(cache, [head, heads, cells, streams], [bytes(head), row, row * shape[1]], 0)
    }

    /// Values with one row for each element of a head: the layout without flash attention.
    fn store_columns(&mut self, v: Id, layer: usize, ids: Id, cells: u64) -> Id {
        let memory = self.memory;
        let width = self.hparams.value_width_max();
        let cache = self.cache(layer, "v", memory.type_v, [width, cells, memory.streams, 1]);
        let of = *self.graph.get(v);
        let own = of.ne[0] * of.ne[1];
        let mut flat = if own * 4 == of.nb[2] {
            self.graph.reshape_2d(v, own, of.ne[2])
        } else {
            self.graph.cont_2d(v, own, of.ne[2])
        };
        if own < width {
            flat = self.graph.pad_rows(flat, width - own);
        }
        let elements = self.graph.get(cache).elements();
        let column = self.graph.reshape_2d(cache, 1, elements);
        let count = self.graph.get(flat).elements();
        let values = self.graph.reshape_2d(flat, 1, count);
        let stored = self.graph.set_rows(column, values, ids);
        self.graph.expand(stored);
        let bytes = |elements: u64| memory.type_v.row_bytes(elements).unwrap_or(0);
        let head = self.hparams.head_v(layer);
        let shape = [cells, self.hparams.heads_kv_at(layer), head, self.streams()];
        self.graph.view(cache, shape, [bytes(cells * head), bytes(cells), bytes(cells * width)], 0)
    }

    /// The heads themselves (`build_attn_mha`).
    fn heads(&mut self, q: Id, k: Id, v: Id, mask: Id, with: AttentionWeights) -> Id {
        let columns = self.graph.get(v).nb[1] > self.graph.get(v).nb[2];
        let streams = self.graph.get(k).ne[3].max(1);
        let of = *self.graph.get(q);
        let shape = [of.ne[0], of.ne[1], of.ne[2] / streams, streams];
        let q = self.graph.view(q, shape, [of.nb[1], of.nb[2], of.nb[3] / streams], 0);
        let q = self.graph.permute_0213(q);
        let k = self.graph.permute_0213(k);
        let v = self.graph.permute_0213(v);
        let current = if self.run.flash {
            self.flash(q, k, v, mask, columns, with)
        } else {
            self.scores(q, k, v, mask, columns, with)
        };
        self.graph.expand(current);
        current
    }

    fn flash(&mut self, q: Id, k: Id, v: Id, mask: Id, columns: bool, with: AttentionWeights) -> Id {
        let v = if columns { self.graph.transpose(v) } else { v };
        let mut half = |id: Id| match self.graph.get(id).ty {
            GgmlType::F32 => self.graph.cast(id, GgmlType::F16),
            _ => id,
        };
        let (k, v) = (half(k), half(v));
        let mut current = self.graph.flash_attention(q, k, v, mask, with.sinks);
        if let Some(matrix) = with.latent_values {
            current = self.graph.permute_0213(current);
            current = self.graph.mul_mat(matrix, current);
            current = self.graph.permute_0213(current);
            current = self.graph.cont(current);
        }
        let ne = self.graph.get(current).ne;
        self.graph.reshape_2d(current, ne[0] * ne[1], ne[2] * ne[3])
    }

    fn scores(&mut self, q: Id, k: Id, v: Id, mask: Id, columns: bool, with: AttentionWeights) -> Id {
        let mut scores = self.graph.mul_mat(k, q);
        if self.hparams.attention_soft_cap {
            scores = self.graph.scale(scores);
            scores = self.graph.unary(Unary::Tanh, scores);
            scores = self.graph.scale(scores);
        }
        let weights = self.graph.soft_max(scores, Some(mask), with.sinks);
        let v = if columns {
            v
        } else {
            let turned = self.graph.transpose(v);
            self.graph.cont(turned)
        };
        let mut current = self.graph.mul_mat(v, weights);
        if let Some(matrix) = with.latent_values {
            current = self.graph.mul_mat(matrix, current);
        }
        current = self.graph.permute_0213(current);
        let ne = self.graph.get(current).ne;
        current = self.graph.cont_2d(current, ne[0] * ne[1], ne[2] * ne[3]);
        if !self.run.offload_kv {
            // Everything between the cache and the output of attention runs where the cache is.
            self.pin_to_cpu(current);
        }
        current
    }
}
