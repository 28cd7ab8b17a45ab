//! PEFT's `LoraConfig`, the keys that decide memory.

use std::cell::RefCell;

use brimful_models::Config;
use brimful_units::Shape;
use serde_json::Value;

use crate::section::Section;
use crate::{JobFault, Lora, LoraTargets, Recipe};

const PATH: &str = "train.lora";

const KEYS: [&str; 9] = [
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "autocast_adapter_dtype",
    "enable_input_require_grads",
    "bias",
    "task_type",
    "use_rslora",
];

/// Arguments of PEFT that make other adapters.
const UNFOLLOWED: [&str; 6] = [
    "use_dora",
    "modules_to_save",
    "layers_to_transform",
    "layer_replication",
    "rank_pattern",
    "exclude_modules",
];

/// The adapters of `[train]`; `None` for full fine-tuning.
pub(crate) fn lora(
    train: &Section,
    config: &Config,
    recipe: &RefCell<Recipe>,
) -> Result<Option<Lora>, JobFault> {
    let Some(table) = train.get("lora") else { return Ok(None) };
    let keys: Vec<&str> = KEYS.iter().chain(&UNFOLLOWED).copied().collect();
    let section = Section::new(PATH, table, &keys, recipe)?;
    for name in UNFOLLOWED {
        if let Some(value) = section.get(name).filter(|value| **value != Value::Bool(false)) {
            return Err(section.not_simulated(name, value, "leave it out"));
        }
    }
    section.number("lora_alpha")?;
    section.flag("use_rslora")?;
    section.text("task_type", "a text such as \"CAUSAL_LM\"")?;
    if let Some(bias) = section.get("bias").filter(|bias| bias.as_str() != Some("none")) {
        return Err(section.not_simulated("bias", bias, "\"none\" is simulated"));
    }
    Ok(Some(Lora {
        r: section.count_or("r", (1, 1 << 20), 8)?,
        lora_dropout: dropout(&section)?,
        target_modules: targets(&section, config)?,
        autocast_adapter_dtype: section.optional_flag("autocast_adapter_dtype")?.unwrap_or(true),
        enable_input_require_grads: section.flag("enable_input_require_grads")?,
    }))
}

fn dropout(section: &Section) -> Result<f64, JobFault> {
    let dropout = section.number("lora_dropout")?.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&dropout) {
        return Err(section.bad("lora_dropout", dropout, "a probability lies between 0 and 1"));
    }
    Ok(dropout)
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
        |name: &str| known.iter().any(|module| name == *module || name.ends_with(&format!(".{module}")));
    if !names.iter().any(|name| ends_in(name)) {
        let expected = format!("the model has none of them; its modules are {}", known.join(", "));
        return Err(section.bad("target_modules", names.join(", "), expected));
    }
    Ok(LoraTargets::Named(names))
}

/// The Linears (GPT-2: `Conv1D`s) that adapters can be put on.
fn modules(config: &Config) -> &'static [&'static str] {
    match config {
        Config::Decoder(_) => {
            &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
        }
        Config::Gpt2(_) => &["c_attn", "c_proj", "c_fc", "lm_head"],
    }
}

fn section_default(section: &Section) -> LoraTargets {
    section.assume("target_modules", "all-linear", "every Linear but the output layer");
    LoraTargets::AllLinear
}

impl LoraTargets {
    /// Whether the Linear at a path gets an adapter (`check_target_module_exists` and
    /// `_maybe_include_all_linear_layers` in peft/tuners/tuners_utils.py).
    pub fn include(&self, path: &str) -> bool {
        let ends_in = |name: &str| path == name || path.ends_with(&format!(".{name}"));
        match self {
            LoraTargets::AllLinear => !ends_in("lm_head"),
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
            let table = linears.iter().find(|(name, _)| is_table(name)).map(|(_, shape)| shape.clone());
            linears.extend(table.map(|shape| ("lm_head.weight".to_owned(), shape)));
        }
        let adapted = linears.iter().filter_map(|(name, shape)| {
            let path = name.strip_suffix(".weight").filter(|_| shape.rank() == 2 && !is_table(name))?;
            self.target_modules.include(path).then(|| shape.dims().iter().sum::<u64>())
        });
        adapted.fold(0u64, |sum, widths| sum.saturating_add(self.r.saturating_mul(widths)))
    }
}

/// Embeddings are no Linears.
fn is_table(name: &str) -> bool {
    ["embed_tokens.weight", "wte.weight", "wpe.weight"].iter().any(|table| name.ends_with(table))
}
