//! PEFT's `LoraConfig`, the keys that decide memory.

use std::cell::RefCell;

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

/// The adapters of `[train]`; `None` for full fine-tuning.
pub(crate) fn lora(train: &Section, recipe: &RefCell<Recipe>) -> Result<Option<Lora>, JobFault> {
    let Some(table) = train.get("lora") else { return Ok(None) };
    let section = Section::new(PATH, table, &KEYS, recipe)?;
    section.number("lora_alpha")?;
    section.flag("use_rslora")?;
    section.text("task_type", "a text such as \"CAUSAL_LM\"")?;
    if let Some(bias) = section.get("bias").filter(|bias| bias.as_str() != Some("none")) {
        return Err(section.not_simulated("bias", bias, "\"none\" is simulated"));
    }
    Ok(Some(Lora {
        r: section.count_or("r", (1, 1 << 20), 8)?,
        lora_dropout: dropout(&section)?,
        target_modules: targets(&section)?,
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

fn targets(section: &Section) -> Result<LoraTargets, JobFault> {
    let expected = "\"all-linear\" or a list of module names";
    match section.get("target_modules") {
        None => Ok(section_default(section)),
        Some(Value::String(text)) if text == "all-linear" => Ok(LoraTargets::AllLinear),
        Some(Value::String(name)) => Ok(LoraTargets::Named(vec![name.clone()])),
        Some(Value::Array(items)) if !items.is_empty() => {
            let name = |item: &Value| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| section.wrong_type("target_modules", item, expected))
            };
            items.iter().map(name).collect::<Result<_, _>>().map(LoraTargets::Named)
        }
        Some(other) => Err(section.wrong_type("target_modules", other, expected)),
    }
}

fn section_default(section: &Section) -> LoraTargets {
    section.assume("target_modules", "all-linear", "every Linear but the output layer");
    LoraTargets::AllLinear
}
