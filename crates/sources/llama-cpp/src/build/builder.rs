//! The builder: inputs, weights, caches, and the norms and products that all graphs are made of.

use std::collections::HashMap;

use brimful_gguf::GgmlType;

use crate::Error;
use crate::ggml::{Graph, Id, Machine, Op, Tensor};
use crate::hparams::Hparams;
use crate::memory::Memory;
use crate::weights::Weights;

/// A longer side is a damaged file, and no product of sizes overflows below it.
const LONGEST_SIDE: u64 = 1 << 32;

/// What a graph is built for.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub tokens: u64,
    pub sequences: u64,
    pub outputs: u64,
    pub flash: bool,
    /// Is the attention computed where the cache is?
    pub offload_kv: bool,
}

impl Run {
    pub(crate) fn tokens_of_sequence(&self) -> u64 {
        self.tokens / self.sequences.max(1)
    }
}

/// How rows are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norm {
    Layer,
    Rms,
}

/// The inputs of attention over one cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheInputs {
    pub k_ids: Id,
    pub v_ids: Option<Id>,
    pub mask: Id,
    pub k_rotation: Option<Id>,
    pub v_rotation: Option<Id>,
}

/// Builds one graph.
pub(crate) struct Builder<'a> {
    pub graph: Graph,
    pub hparams: &'a Hparams,
    pub run: Run,
    pub(super) memory: &'a Memory,
    weights: &'a Weights<'a>,
    machine: &'a Machine,
    loaded: HashMap<String, Id>,
    caches: HashMap<(usize, &'static str), Id>,
    /// Inputs of the cache without and with windows.
    pub(super) cache_inputs: [Option<CacheInputs>; 2],
    pub(super) state_ids: Option<(Id, Id)>,
    positions: Option<Id>,
    out_ids: Option<Id>,
    temperature: Option<Id>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        hparams: &'a Hparams,
        memory: &'a Memory,
        weights: &'a Weights<'a>,
        machine: &'a Machine,
        run: Run,
    ) -> Self {
        Builder {
            graph: Graph::default(),
            hparams,
            run,
            memory,
            weights,
            machine,
            loaded: HashMap::new(),
            caches: HashMap::new(),
            cache_inputs: [None; 2],
            state_ids: None,
            positions: None,
            out_ids: None,
            temperature: None,
        }
    }

    // Weights.

    fn load(&mut self, name: &str, shape: [u64; 4], ty: GgmlType, home: usize) -> Id {
        let id = self.graph.add(Tensor { home: Some(home), weight: true, ..Tensor::new(ty, shape) });
        self.loaded.insert(name.into(), id);
        id
    }

    /// A weight; `None` if the file has none of this name.
    pub fn maybe(&mut self, name: &str) -> Option<Id> {
        if let Some(id) = self.loaded.get(name) {
            return Some(*id);
        }
        let tensor = self.weights.get(name)?;
        if tensor.shape.iter().any(|side| *side > LONGEST_SIDE) {
            self.graph.fault.get_or_insert("a side of a tensor has more than 2^32 elements");
            return None;
        }
        Some(self.load(name, tensor.shape, tensor.ty, self.weights.home(tensor)))
    }

    /// A weight that the graph cannot do without.
    pub fn weight(&mut self, name: &str) -> Result<Id, Error> {
        self.maybe(name).ok_or_else(|| Error::Tensor(name.into()))
    }

    /// A weight of a layer; `part` with its suffix, for example `attn_q.weight`.
    pub fn at(&mut self, layer: usize, part: &str) -> Result<Id, Error> {
        self.weight(&format!("blk.{layer}.{part}"))
    }

    /// A weight of a layer, if the file has it.
    pub fn maybe_at(&mut self, layer: usize, part: &str) -> Option<Id> {
        self.maybe(&format!("blk.{layer}.{part}"))
    }

    /// A weight of a layer with another shape than the file gives it (`TENSOR_ALLOW_RESHAPE`).
    pub fn reshaped_at(&mut self, layer: usize, part: &str, shape: [u64; 4]) -> Result<Id, Error> {
        let id = self.at(layer, part)?;
        let tensor = *self.graph.get(id);
        *self.graph.get_mut(id) = Tensor { home: tensor.home, weight: true, ..Tensor::new(tensor.ty, shape) };
        Ok(id)
    }

    /// The matrix of the output, or the embedding's if the file has none.
    fn output_matrix(&mut self) -> Result<Id, Error> {
        if let Some(id) = self.maybe("output.weight") {
            return Ok(id);
        }
        let tied =
            self.weights.get("token_embd.weight").ok_or_else(|| Error::Tensor("token_embd.weight".into()))?;
        let home = self.weights.output_home(tied);
        if home == self.machine.cpu() {
            return self.weight("token_embd.weight");
        }
        Ok(self.load("output.weight", tied.shape, tied.ty, home))
    }

    /// A cache of a layer, made at its first use.
    pub(super) fn cache(&mut self, layer: usize, kind: &'static str, ty: GgmlType, shape: [u64; 4]) -> Id {
        if let Some(id) = self.caches.get(&(layer, kind)) {
            return *id;
        }
        let home = if self.run.offload_kv { self.weights.layer(layer) } else { self.machine.cpu() };
        let id = self.graph.add(Tensor { home: Some(home), ..Tensor::new(ty, shape) });
        self.caches.insert((layer, kind), id);
        id
    }

    // Inputs.

    /// The rows of the embedding for the tokens (`build_inp_embd`).
    pub fn embed(&mut self) -> Result<Id, Error> {
        let width = self.hparams.embedding;
        let tokens = self.graph.input(GgmlType::I32, [self.run.tokens, 1, 1, 1]);
        // The other way in, rows of floats, is part of every graph and has its memory, too.
        let rows = self.graph.input(GgmlType::F32, [width, self.run.tokens, 1, 1]);
        let matrix = self.weight("token_embd.weight")?;
        let mut current = self.graph.get_rows(matrix, tokens);
        self.graph.expand(current);
        self.graph.expand(rows);
        if self.hparams.embedding_scale {
            current = self.graph.scale(current);
        }
        self.graph.expand(current);
        Ok(current)
    }

    pub(crate) fn positions(&mut self) -> Id {
        let count = self.run.tokens * self.hparams.positions();
        *self.positions.get_or_insert_with(|| self.graph.input(GgmlType::I32, [count, 1, 1, 1]))
    }

    /// Rows of the tokens whose outputs are wanted.
    pub fn outputs_of(&mut self, current: Id) -> Id {
        let outputs = self.run.outputs;
        let ids = *self.out_ids.get_or_insert_with(|| self.graph.input(GgmlType::I32, [outputs, 1, 1, 1]));
        self.graph.get_rows(current, ids)
    }

    /// The scale of attention by position (`build_inp_attn_scale`).
    pub fn temperature(&mut self) -> Id {
        let tokens = self.run.tokens;
        *self.temperature.get_or_insert_with(|| self.graph.input(GgmlType::F32, [1, 1, tokens, 1]))
    }

    // Parts.

    /// Pins a node to its layer's device, so that it does not run on the one of the layer before (`graph_get_cb`).
    pub(super) fn pin(&mut self, id: Id, layer: Option<usize>) {
        let Some(layer) = layer else { return };
        if self.run.tokens < 32 || self.weights.all_on_gpus(self.hparams) {
            let backend = self.weights.layer(layer);
            if self.machine.runs(&self.graph, self.graph.get(id), backend) {
                self.graph.pinned.push((id, backend));
            }
        }
    }

    pub(super) fn pin_to_cpu(&mut self, id: Id) {
        self.graph.pinned.push((id, self.machine.cpu()));
    }

    /// Normalises rows (`build_norm`). `layer`: whose device computes it.
    pub fn norm(
        &mut self,
        current: Id,
        weight: Option<Id>,
        bias: Option<Id>,
        norm: Norm,
        layer: Option<usize>,
    ) -> Id {
        let op = if norm == Norm::Rms { Op::RmsNorm } else { Op::Norm };
        let mut current = self.graph.same(op, current);
        if weight.is_some() || bias.is_some() {
            self.pin(current, layer);
        }
        if let Some(weight) = weight {
            current = self.graph.mul(current, weight);
        }
        if let Some(bias) = bias {
            current = self.graph.add2(current, bias);
        }
        current
    }

    /// The norm of a layer by its name without suffix, for example `attn_norm`; with its bias if the file has one.
    pub fn layer_norm(&mut self, current: Id, layer: usize, part: &str, norm: Norm) -> Result<Id, Error> {
        let weight = self.at(layer, &format!("{part}.weight"))?;
        let bias = self.maybe_at(layer, &format!("{part}.bias"));
        Ok(self.norm(current, Some(weight), bias, norm, Some(layer)))
    }

    /// The same, without the pin to the layer's device.
    pub fn loose_norm(&mut self, current: Id, layer: usize, part: &str, norm: Norm) -> Result<Id, Error> {
        let weight = self.at(layer, &format!("{part}.weight"))?;
        Ok(self.norm(current, Some(weight), None, norm, None))
    }

    /// A product with a layer's matrix, its scale (of NVFP4) and its bias, as far as the file has them.
    pub fn linear(&mut self, current: Id, layer: usize, part: &str) -> Result<Id, Error> {
        let matrix = self.at(layer, &format!("{part}.weight"))?;
        let mut result = self.graph.mul_mat(matrix, current);
        if let Some(scale) = self.maybe_at(layer, &format!("{part}.scale")) {
            result = self.graph.mul(result, scale);
        }
        if let Some(bias) = self.maybe_at(layer, &format!("{part}.bias")) {
            result = self.graph.add2(result, bias);
        }
        Ok(result)
    }

    /// The last norm and the product with the output's matrix. Both results stay until the graph has run.
    pub fn head(&mut self, current: Id, norm: Norm) -> Result<Id, Error> {
        let weight = self.weight("output_norm.weight")?;
        let bias = self.maybe("output_norm.bias");
        let normed = self.norm(current, Some(weight), bias, norm, None);
        self.logits(normed)
    }

    /// The product with the output's matrix.
    pub fn logits(&mut self, normed: Id) -> Result<Id, Error> {
        self.graph.get_mut(normed).output = true;
        let matrix = self.output_matrix()?;
        let mut logits = self.graph.mul_mat(matrix, normed);
        if let Some(bias) = self.maybe("output.bias") {
            logits = self.graph.add2(logits, bias);
        }
        Ok(logits)
    }

    /// Marks the logits and adds them to the graph.
    pub fn finish(mut self, logits: Id) -> Result<Graph, Error> {
        self.graph.get_mut(logits).output = true;
        self.graph.expand(logits);
        match self.graph.fault {
            Some(fault) => Err(Error::Shape(fault)),
            None => Ok(self.graph),
        }
    }

    /// The factors of RoPE's frequencies in the memory of the layer's device (`get_rope_factors`).
    pub fn rope_factors(&mut self, layer: usize) -> Option<Id> {
        let long = self.memory.context_of_sequence > self.hparams.original_context;
        let by_length = if long { "rope_factors_long.weight" } else { "rope_factors_short.weight" };
        let tensor = ["rope_freqs.weight", by_length].into_iter().find_map(|name| self.weights.get(name))?;
        let home = self.weights.layer(layer);
        let copy = format!("{} on {home}", tensor.name);
        let loaded = self.loaded.get(&copy).copied();
        Some(loaded.unwrap_or_else(|| self.load(&copy, tensor.shape, tensor.ty, home)))
    }
}
