//! Which Linears get an adapter, and of which rank (`check_target_module_exists` in peft/tuners/tuners_utils.py, 0.21).

use brimful_models::Config;
use brimful_units::Shape;

use crate::{Lora, LoraLayers, LoraTargets};

/// transformers' name of the output layer.
pub(crate) const OUTPUT_LAYER: &str = "lm_head";
/// What `get_output_embeddings` gives: BERT's and RoBERTa's heads end in a decoder, BioGPT, Electra and Whisper have names of
/// their own.
const OUTPUT_LAYERS: [&str; 6] = [
    OUTPUT_LAYER,
    "lm_head.decoder",
    "predictions.decoder",
    "output_projection",
    "generator_lm_head",
    "proj_out",
];

/// Whether the module at a path is the model's output layer.
pub(crate) fn is_output_layer(path: &str) -> bool {
    OUTPUT_LAYERS.iter().any(|name| ends_in(path, name))
}

/// Whether a path's last parts are `name`.
fn ends_in(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

impl LoraTargets {
    /// Whether the option names the module at a path of the model, which begins with no prefix of PEFT's.
    pub(crate) fn include(&self, path: &str) -> bool {
        match self {
            LoraTargets::AllLinear => !is_output_layer(path),
            LoraTargets::Named(names) => names.iter().any(|name| ends_in(path, name)),
            LoraTargets::Pattern(pattern) => pattern.matches(path),
        }
    }
}

impl LoraLayers {
    /// Whether the module at a path is in one of the blocks. The first pattern that finds a number decides.
    fn include(&self, path: &str) -> bool {
        let block = self.patterns.iter().find_map(|pattern| pattern.block(path));
        block.is_some_and(|block| self.indices.contains(&block))
    }
}

impl Lora {
    /// The rank of the adapter on the Linear at a path of the model; `None` if the Linear gets no adapter.
    pub fn rank_of(&self, path: &str) -> Option<u64> {
        let pattern = self.modules.rank_pattern.iter().find(|(pattern, _)| pattern.matches(path));
        self.targets(path).then(|| pattern.map_or(self.r, |(_, rank)| *rank))
    }

    pub(crate) fn targets(&self, path: &str) -> bool {
        if self.modules.exclude_modules.as_ref().is_some_and(|excluded| excluded.include(path)) {
            return false;
        }
        let is_named = self.target_modules.include(path);
        match (&self.target_modules, &self.modules.layers_to_transform) {
            // A whole path among the names is taken in every block.
            (LoraTargets::Named(names), Some(layers)) => {
                is_named && (names.iter().any(|name| name == path) || layers.include(path))
            }
            _ => is_named,
        }
    }

    /// Elements of the adapters: for each adapted Linear `[r, in]` and `[out, r]`.
    pub(crate) fn parameter_count(&self, model: &Config) -> u64 {
        let adapted = linears(model).into_iter().filter_map(|(path, shape)| {
            let rank = self.rank_of(&path)?;
            let outputs = match model {
                // The weight of a `Conv1D` has the width of what goes in first.
                Config::Gpt2(_) if path != OUTPUT_LAYER => shape[1],
                _ => shape[0],
            };
            let lengths = if self.use_dora { outputs } else { 0 };
            let widths = shape.dims().iter().sum::<u64>();
            Some(rank.saturating_mul(widths).saturating_add(lengths))
        });
        adapted.fold(0u64, u64::saturating_add)
    }
}

/// The paths and shapes of the Linears (GPT-2: `Conv1D`s) that adapters can be put on. The output layer exists as a module
/// even if its weight is tied.
pub(crate) fn linears(model: &Config) -> Vec<(String, Shape)> {
    let tensors = model.parameter_tensors();
    // The first parameter of a language model is the table of its tokens, whose shape the output layer has.
    let table = tensors.first().map(|(_, shape)| shape.clone());
    let of_linear = |(name, shape): (String, Shape)| {
        let path = name.strip_suffix(".weight")?;
        (path == OUTPUT_LAYER || model.is_linear(&name, &shape)).then(|| (path.to_owned(), shape))
    };
    let mut linears: Vec<(String, Shape)> = tensors.into_iter().filter_map(of_linear).collect();
    if !linears.iter().any(|(path, _)| path == OUTPUT_LAYER) {
        linears.extend(table.map(|shape| (OUTPUT_LAYER.to_owned(), shape)));
    }
    linears
}
