//! PEFT's `LoraConfig`, the keys that decide memory.

use std::cell::RefCell;

use brimful_models::Config;
use brimful_units::Shape;
use serde_json::Value;

use crate::section::Section;
use crate::{JobFault, Lora, LoraTargets, Recipe};

const PATH: &str = "train.lora";
/// transformers' name of the output layer.
const OUTPUT_LAYER: &str = "lm_head";
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

/// The adapters of `[train]`; `None` for full fine-tuning.
pub(crate) fn lora(
    train: &Section,
    config: &Config,
    recipe: &RefCell<Recipe>,
) -> Result<Option<Lora>, JobFault> {
    let Some(table) = train.get("lora") else { return Ok(None) };
    let section = Section::of(PATH, table, recipe)?;
    Ok(Some(Lora {
        r: section.count("r")?,
        lora_dropout: section.given_number("lora_dropout").unwrap_or(0.0),
        target_modules: targets(&section, config)?,
        autocast_adapter_dtype: section.flag("autocast_adapter_dtype"),
        use_dora: section.flag("use_dora"),
        enable_input_require_grads: section.flag("enable_input_require_grads"),
    }))
}

/// `"all-linear"`, or names of modules of which the model has at least one. PEFT takes another text for a regular
/// expression over whole paths, which is not followed here.
fn targets(section: &Section, config: &Config) -> Result<LoraTargets, JobFault> {
    let expected = "\"all-linear\" or a list of module names";
    let names = match section.get("target_modules") {
        None => return Ok(section_default(section)),
        Some(Value::String(text)) if text == "all-linear" => return Ok(LoraTargets::AllLinear),
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(other) => return Err(section.wrong_type("target_modules", other, expected)),
    };
    let name = |item: &Value| {
        item.as_str().map(str::to_owned).ok_or_else(|| section.wrong_type("target_modules", item, expected))
    };
    let names: Vec<String> = names.iter().map(name).collect::<Result<_, _>>()?;
    let known = modules(config);
    let ends_in =
        |name: &str| known.iter().any(|module| name == module || name.ends_with(&format!(".{module}")));
    if !names.iter().any(|name| ends_in(name)) {
        let expected = format!("the model has none of them; its modules are {}", known.join(", "));
        return Err(section.bad("target_modules", names.join(", "), expected));
    }
    Ok(LoraTargets::Named(names))
}

/// The names of the Linears (GPT-2: `Conv1D`s) that adapters can be put on: those of the first block, and the output
/// layer, which exists as a module even if its weight is tied.
fn modules(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, shape) in config.parameter_tensors() {
        let path = name.strip_suffix(".weight").filter(|_| config.is_linear(&name, &shape));
        let Some(last) = path.and_then(|path| path.rsplit('.').next()) else { continue };
        if last != OUTPUT_LAYER && !names.iter().any(|known| known == last) {
            names.push(last.to_owned());
        }
    }
    names.push(OUTPUT_LAYER.to_owned());
    names
}

fn section_default(section: &Section) -> LoraTargets {
    section.assume("target_modules", "all-linear", "every Linear but the output layer");
    LoraTargets::AllLinear
}

/// Whether the module at a path is the model's output layer.
pub(crate) fn is_output_layer(path: &str) -> bool {
    OUTPUT_LAYERS.iter().any(|name| path == *name || path.ends_with(&format!(".{name}")))
}

impl LoraTargets {
    /// Whether the Linear at a path gets an adapter (`check_target_module_exists` and
    /// `_maybe_include_all_linear_layers` in peft/tuners/tuners_utils.py).
    pub fn include(&self, path: &str) -> bool {
        let ends_in = |name: &str| path == name || path.ends_with(&format!(".{name}"));
        match self {
            LoraTargets::AllLinear => !is_output_layer(path),
            LoraTargets::Named(names) => names.iter().any(|name| ends_in(name)),
        }
    }
}

impl Lora {
    /// Elements of the adapters: for each adapted Linear `[r, in]` and `[out, r]`.
    pub(crate) fn parameter_count(&self, model: &Config) -> u64 {
        let mut linears: Vec<(String, Shape)> = model.parameter_tensors();
        // A tied output layer is a Linear without a tensor of its own.
        if !linears.iter().any(|(name, _)| name == "lm_head.weight") {
            // The first parameter of a language model is the table of its tokens, whose shape the output layer has.
            let table = linears.first().map(|(_, shape)| shape.clone());
            linears.extend(table.map(|shape| ("lm_head.weight".to_owned(), shape)));
        }
        let adapted = linears.iter().filter_map(|(name, shape)| {
            let linear = name == "lm_head.weight" || model.is_linear(name, shape);
            let path = name.strip_suffix(".weight").filter(|_| linear)?;
            let outputs = if matches!(model, Config::Gpt2(_)) && name != "lm_head.weight" {
                shape[1]
            } else {
                shape[0]
            };
            let lengths = if self.use_dora { outputs } else { 0 };
            let widths = shape.dims().iter().sum::<u64>();
            self.target_modules.include(path).then(|| self.r.saturating_mul(widths).saturating_add(lengths))
        });
        adapted.fold(0u64, u64::saturating_add)
    }
}
