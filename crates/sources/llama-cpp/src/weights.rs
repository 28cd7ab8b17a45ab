//! Where the tensors of a file are loaded, and how large the model buffers become; src/llama-model.cpp and
//! src/llama-model-loader.cpp, v0.5.0.

use std::collections::HashMap;

use brimful_gguf::{Header, Tensor};
use regex::Regex;

use crate::ggml;
use crate::hparams::Hparams;
use crate::{Error, Gpu, Settings};

/// The device of each layer, and of each tensor.
#[derive(Debug)]
pub(crate) struct Weights<'a> {
    tensors: HashMap<&'a str, &'a Tensor>,
    /// The backend of each repeating layer; GPUs first, the CPU behind them.
    pub layers: Vec<usize>,
    /// The backend of the output.
    pub output: usize,
    pub cpu: usize,
    /// The layers of the GPUs, with the output as one.
    pub gpu_layers: usize,
    kept: Kept,
}

/// Tensors that stay in host memory whatever their layer.
#[derive(Debug)]
struct Kept {
    all_experts: bool,
    experts_of: usize,
    patterns: Vec<Regex>,
}

impl Kept {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let pattern = |entry: &crate::Override| {
            Regex::new(&entry.pattern).map_err(|error| Error::Setting {
                key: "override-tensor",
                found: entry.pattern.clone(),
                reason: format!("it is no regular expression: {error}"),
            })
        };
        Ok(Kept {
            all_experts: settings.cpu_moe,
            experts_of: settings.n_cpu_moe as usize,
            patterns: settings.overrides.iter().map(pattern).collect::<Result<_, _>>()?,
        })
    }

    /// Is any tensor kept? A pipeline over several GPUs is then off.
    fn any(&self) -> bool {
        self.all_experts || self.experts_of > 0 || !self.patterns.is_empty()
    }

    fn holds(&self, name: &str) -> bool {
        let experts = is_expert(name)
            && (self.all_experts || layer_of(name).is_some_and(|layer| layer < self.experts_of));
        experts || self.patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

/// `\.ffn_(up|down|gate|gate_up)_(ch|)exps` (`LLM_FFN_EXPS_REGEX`, common/common.h).
fn is_expert(name: &str) -> bool {
    ["up", "down", "gate", "gate_up"].iter().any(|part| {
        name.contains(&format!(".ffn_{part}_exps")) || name.contains(&format!(".ffn_{part}_chexps"))
    })
}

/// The layer in `blk.N.…`.
fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// The buffers of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelBytes {
    pub gpus: Vec<u64>,
    /// The part of the file that host memory maps, by part of a split file.
    pub mapped: u64,
}

impl<'a> Weights<'a> {
    pub(crate) fn place(
        header: &'a Header,
        hparams: &Hparams,
        settings: &Settings,
        gpus: &[Gpu],
    ) -> Result<Self, Error> {
        for tensor in &header.tensors {
            if tensor.ty.block().is_none() {
                return Err(Error::Type { name: tensor.name.clone(), number: tensor.ty.0 });
            }
        }
        let all = hparams.layers_all();
        let wanted = settings.n_gpu_layers.map_or(all + 1, |layers| layers as usize);
        let start = (all + 1).saturating_sub(wanted);
        let on_gpus = if gpus.is_empty() { 0 } else { wanted.min(all + 1) };
        let shares = shares(settings, gpus);
        let device = |layer: usize| {
            if layer < start || layer - start >= on_gpus {
                return gpus.len();
            }
            let at = (layer - start) as f32 / on_gpus as f32;
            // The first GPU whose share ends behind the layer (std::upper_bound).
            shares.iter().position(|end| *end > at).unwrap_or(gpus.len().saturating_sub(1))
        };
        Ok(Weights {
            tensors: header.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            layers: (0..all).map(device).collect(),
            output: device(all),
            cpu: gpus.len(),
            gpu_layers: on_gpus.min(wanted),
            kept: Kept::new(settings)?,
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Tensor> {
        self.tensors.get(name).copied()
    }

    pub(crate) fn has_overrides(&self) -> bool {
        self.kept.any()
    }

    /// Are all layers and the output on GPUs?
    pub fn all_on_gpus(&self, hparams: &Hparams) -> bool {
        self.gpu_layers > hparams.layers_all()
    }

    pub(crate) fn layer(&self, layer: usize) -> usize {
        self.layers.get(layer).copied().unwrap_or(self.cpu)
    }

    /// The backend in whose memory a tensor lies.
    pub fn home(&self, tensor: &Tensor) -> usize {
        let name = tensor.name.as_str();
        let layer = match layer_of(name) {
            Some(layer) => self.layer(layer),
            // LFM2's last norm is named token_embd_norm, and lies with the output.
            None if matches!(name, "token_embd.weight" | "position_embd.weight" | "token_types.weight") => {
                self.cpu
            }
            None if name.starts_with("rope_f") => self.layer(0),
            None => self.output,
        };
        let multiplied = tensor.shape[1] > 1 && !ggml::cuda_multiplies(tensor.ty);
        if layer == self.cpu || multiplied || self.kept.holds(name) { self.cpu } else { layer }
    }

    /// The model buffers. Tensors of layers that are not computed are not loaded.
    pub fn bytes(&self, header: &Header, hparams: &Hparams) -> ModelBytes {
        let mut gpus = vec![0u64; self.cpu];
        let mut ranges: HashMap<u32, (u64, u64)> = HashMap::new();
        for tensor in &header.tensors {
            let name = tensor.name.as_str();
            if unused(name, hparams) {
                continue;
            }
            for home in self.homes(tensor) {
                if let Some(bytes) = gpus.get_mut(home) {
                    *bytes = bytes.saturating_add(gpu_bytes(tensor));
                } else {
                    let end = tensor.offset.saturating_add(tensor.bytes().map_or(0, |bytes| bytes.get()));
                    let range = ranges.entry(tensor.part).or_insert((u64::MAX, 0));
                    *range = (range.0.min(tensor.offset), range.1.max(end));
                }
            }
        }
        let mapped =
            ranges.values().fold(0u64, |sum, (start, end)| sum.saturating_add(end.saturating_sub(*start)));
        ModelBytes { gpus, mapped }
    }

    /// The backends that hold a copy of a tensor.
    fn homes(&self, tensor: &Tensor) -> Vec<usize> {
        let name = tensor.name.as_str();
        if name == "token_embd.weight" && self.get("output.weight").is_none() {
            // A tied embedding is loaded a second time where the output is computed.
            let mut homes = vec![self.cpu];
            homes.extend(Some(self.output_home(tensor)).filter(|output| *output != self.cpu));
            return homes;
        }
        if name.starts_with("rope_f") {
            // Each layer looks for the frequencies in the memory of its own device.
            let mut homes = self.layers.clone();
            homes.sort_unstable();
            homes.dedup();
            return homes;
        }
        vec![self.home(tensor)]
    }

    /// The backend of the output's matrix, which may be a copy of the embedding.
    pub fn output_home(&self, tensor: &Tensor) -> usize {
        if ggml::cuda_multiplies(tensor.ty) { self.output } else { self.cpu }
    }
}

/// Is the tensor one of a layer that only predicts further tokens?
fn unused(name: &str, hparams: &Hparams) -> bool {
    layer_of(name).is_some_and(|layer| layer >= hparams.layers)
}

fn gpu_bytes(tensor: &Tensor) -> u64 {
    let bytes = tensor.bytes().map_or(0, |bytes| bytes.get());
    let padded = ggml::cuda_bytes(tensor.ty, tensor.shape[0], bytes);
    padded.checked_next_multiple_of(ggml::CUDA_ALIGNMENT).unwrap_or(padded)
}

/// The share of the layers at which each GPU's part ends.
fn shares(settings: &Settings, gpus: &[Gpu]) -> Vec<f32> {
    let given = settings.tensor_split.iter().any(|share| *share != 0.0);
    let share = |index: usize, gpu: &Gpu| {
        if given { settings.tensor_split.get(index).copied().unwrap_or(0.0) } else { gpu.free.get() as f32 }
    };
    let mut sum = 0.0f32;
    let mut ends = Vec::with_capacity(gpus.len());
    for (index, gpu) in gpus.iter().enumerate() {
        sum += share(index, gpu);
        ends.push(sum);
    }
    ends.iter().map(|end| end / sum).collect()
}

#[cfg(test)]
mod tests {
    use brimful_gguf::GgmlType;

    use super::*;

    #[test]
    fn ternary_types_stay_in_host_memory() {
        let multiplies = |name| GgmlType::named(name).is_some_and(ggml::cuda_multiplies);
        assert!(multiplies("q4_k") && multiplies("mxfp4") && multiplies("nvfp4") && multiplies("bf16"));
        assert!(!multiplies("tq1_0") && !multiplies("tq2_0") && !multiplies("i8") && !multiplies("q8_1"));
    }

    #[test]
    fn experts_are_known_by_their_names() {
        assert!(is_expert("blk.3.ffn_up_exps.weight") && is_expert("blk.3.ffn_gate_up_exps.weight"));
        assert!(!is_expert("blk.3.ffn_up_shexp.weight") && !is_expert("blk.3.ffn_up.weight"));
        assert_eq!(layer_of("blk.12.attn_q.weight"), Some(12));
    }
}
