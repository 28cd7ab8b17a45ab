//! PEFT's `LoraConfig`, the keys that decide memory.

use std::cell::RefCell;

use brimful_models::Config;
use serde_json::Value;

use crate::pattern::Pattern;
use crate::section::Section;
use crate::targets::{OUTPUT_LAYER, linears};
use crate::{JobFault, Lora, LoraLayers, LoraModules, LoraTargets, Recipe};

const PATH: &str = "train.lora";

/// The adapters of `[train]`; `None` for full fine-tuning.
pub(crate) fn lora(
    train: &Section,
    config: &Config,
    recipe: &RefCell<Recipe>,
) -> Result<Option<Lora>, JobFault> {
    let Some(table) = train.get("lora") else { return Ok(None) };
    let section = Section::of(PATH, table, recipe)?;
    let reader = Reader { section: &section, linears: linears(config).into_iter().map(|it| it.0).collect() };
    let lora = Lora {
        r: section.count("r")?,
        lora_dropout: section.given_number("lora_dropout").unwrap_or(0.0),
        target_modules: reader.targets()?,
        modules: Box::new(LoraModules {
            exclude_modules: reader.modules("exclude_modules")?,
            layers_to_transform: reader.layers()?,
            rank_pattern: reader.ranks()?,
        }),
        autocast_adapter_dtype: section.flag("autocast_adapter_dtype"),
        use_dora: section.flag("use_dora"),
        enable_input_require_grads: section.flag("enable_input_require_grads"),
    };
    reader.check(&lora, config)?;
    Ok(Some(lora))
}

/// Reads the options that name modules.
struct Reader<'a> {
    section: &'a Section<'a>,
    /// The paths of the Linears.
    linears: Vec<String>,
}

impl Reader<'_> {
    /// `"all-linear"`, a regular expression over whole paths, or names of modules of which the model has at least one.
    fn targets(&self) -> Result<LoraTargets, JobFault> {
        match self.modules("target_modules")? {
            Some(targets) => Ok(targets),
            None => {
                self.section.assume("target_modules", "all-linear", "every Linear but the output layer");
                Ok(LoraTargets::AllLinear)
            }
        }
    }

    /// The modules that a key names, of which the model must have one.
    fn modules(&self, key: &str) -> Result<Option<LoraTargets>, JobFault> {
        let expected = "a regular expression or a list of module names";
        let named = match self.section.get(key) {
            None => return Ok(None),
            // PEFT reads this word in any case, and as the word among the targets only.
            Some(Value::String(text))
                if key == "target_modules" && text.eq_ignore_ascii_case("all-linear") =>
            {
                return Ok(Some(LoraTargets::AllLinear));
            }
            Some(Value::String(text)) => {
                LoraTargets::Pattern(self.pattern(key, text, Pattern::of_whole_path)?)
            }
            Some(value) => LoraTargets::Named(self.names(key, value, expected)?),
        };
        if self.linears.iter().any(|path| named.include(path)) {
            return Ok(Some(named));
        }
        let written = match &named {
            LoraTargets::Named(names) => names.join(", "),
            LoraTargets::Pattern(pattern) => pattern.text().to_owned(),
            LoraTargets::AllLinear => "all-linear".to_owned(),
        };
        Err(self.none_of(key, &written))
    }

    /// A list of texts that is not empty.
    fn names(&self, key: &str, value: &Value, expected: &str) -> Result<Vec<String>, JobFault> {
        let wrong = |value| self.section.wrong_type(key, value, expected);
        let items = value.as_array().filter(|items| !items.is_empty()).ok_or_else(|| wrong(value))?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
    }

    fn pattern(&self, key: &str, text: &str, read: fn(&str) -> Option<Pattern>) -> Result<Pattern, JobFault> {
        let expected = "it must be a regular expression without a look around and without a reference back";
        read(text).ok_or_else(|| self.section.bad(key, text, expected))
    }

    /// `layers_to_transform`, one number or several, with `layers_pattern`. PEFT takes both with a list of targets only.
    fn layers(&self) -> Result<Option<LoraLayers>, JobFault> {
        let given =
            ["layers_to_transform", "layers_pattern"].into_iter().find(|key| self.section.get(key).is_some());
        let Some(key) = given else { return Ok(None) };
        if !matches!(self.section.get("target_modules"), Some(Value::Array(_))) {
            let expected = "PEFT demands target_modules as a list of module names beside it";
            return Err(self.section.bad(key, self.section.get(key).unwrap_or(&Value::Null), expected));
        }
        let wrong =
            |key, value: &Value| self.section.wrong_type(key, value, "a whole number or a list of them");
        let indices = match self.section.get("layers_to_transform") {
            Some(value @ Value::Array(items)) => {
                let indices: Option<Vec<u64>> = items.iter().map(Value::as_u64).collect();
                indices.ok_or_else(|| wrong("layers_to_transform", value))?
            }
            Some(value) => vec![value.as_u64().ok_or_else(|| wrong("layers_to_transform", value))?],
            None => {
                return Err(self.section.bad(key, "given", "PEFT demands layers_to_transform beside it"));
            }
        };
        let patterns = match self.section.get("layers_pattern") {
            None => Pattern::of_any_blocks().into_iter().collect(),
            // PEFT takes what is empty for any list of blocks.
            Some(value) if value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty) => {
                Pattern::of_any_blocks().into_iter().collect()
            }
            Some(Value::String(text)) => vec![self.pattern("layers_pattern", text, Pattern::of_blocks)?],
            Some(value) => {
                let names = self.names("layers_pattern", value, "a text or a list of texts")?;
                let pattern = |name: &String| self.pattern("layers_pattern", name, Pattern::of_blocks);
                names.iter().map(pattern).collect::<Result<_, _>>()?
            }
        };
        // An empty list of numbers leaves out no block.
        Ok((!indices.is_empty()).then_some(LoraLayers { indices, patterns }))
    }

    /// `rank_pattern`, a table from patterns to ranks.
    fn ranks(&self) -> Result<Vec<(Pattern, u64)>, JobFault> {
        const KEY: &str = "rank_pattern";
        let Some(value) = self.section.get(KEY) else { return Ok(Vec::new()) };
        let expected = "a table from patterns of module names to ranks of at least 1";
        let table = value.as_object().ok_or_else(|| self.section.wrong_type(KEY, value, expected))?;
        let mut ranks: Vec<(Pattern, u64)> = Vec::new();
        for (text, rank) in table {
            let rank = rank.as_u64().filter(|rank| (1..=1 << 20).contains(rank));
            let rank = rank.ok_or_else(|| self.section.wrong_type(KEY, &table[text], expected))?;
            let pattern = self.pattern(KEY, text, Pattern::of_last_parts)?;
            if !self.linears.iter().any(|path| pattern.matches(path)) {
                return Err(self.none_of(KEY, text));
            }
            let both = |path: &&String| {
                pattern.matches(path) && ranks.iter().any(|(other, of)| *of != rank && other.matches(path))
            };
            // PEFT goes by the order of the table, which a job does not keep.
            if let Some(path) = self.linears.iter().find(both) {
                return Err(self.section.bad(
                    KEY,
                    text,
                    format!("another pattern gives {path} another rank; write one pattern for it"),
                ));
            }
            ranks.push((pattern, rank));
        }
        Ok(ranks)
    }

    /// The options together leave an adapter, and put none on what is no Linear.
    fn check(&self, lora: &Lora, config: &Config) -> Result<(), JobFault> {
        if !self.linears.iter().any(|path| lora.targets(path)) {
            let expected = format!(
                "exclude_modules and layers_to_transform leave no module to adapt; the modules are {}",
                self.known().join(", ")
            );
            return Err(self.section.bad("target_modules", "given", expected));
        }
        if lora.target_modules == LoraTargets::AllLinear {
            return Ok(());
        }
        for (name, _) in config.parameter_tensors() {
            let Some(path) = name.rsplit_once('.').map(|(path, _)| path) else { continue };
            // PEFT adapts embeddings and convolutions, too, and refuses all other modules.
            if !self.linears.iter().any(|linear| linear == path) && lora.targets(path) {
                let expected = "it is no Linear; adapters on other modules are not simulated";
                return Err(self.section.bad("target_modules", path, expected));
            }
        }
        Ok(())
    }

    fn none_of(&self, key: &str, written: &str) -> JobFault {
        let expected = format!("the model has none of them; its modules are {}", self.known().join(", "));
        self.section.bad(key, written, expected)
    }

    /// The last parts of the Linears' paths, each once; the output layer comes last.
    fn known(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for path in &self.linears {
            let last = path.rsplit('.').next().unwrap_or(path);
            if last != OUTPUT_LAYER && !names.contains(&last) {
                names.push(last);
            }
        }
        names.push(OUTPUT_LAYER);
        names
    }
}
