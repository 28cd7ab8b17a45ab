//! transformers' `BitsAndBytesConfig` (utils/quantization_config.py, 5.23), and the modules that it replaces.

use std::cell::RefCell;
use std::collections::BTreeSet;

use brimful_models::{Config, ConfigFile};
use brimful_units::Dtype;
use serde_json::{Map, Value};

use crate::keys::keys_of;
use crate::section::Section;
use crate::targets::is_output_layer;
use crate::{FourBitType, JobFault, Precision, Quantization, QuantizedForm, Recipe, Train};

/// What bitsandbytes does instead of `None` and `False`.
const LLM_INT8_THRESHOLD: f64 = 6.0;
/// The dtypes in which 4-bit weights can be computed with (`quantize_4bit` in bitsandbytes/functional.py, 0.50).
const COMPUTE: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];
/// Types whose class keeps Linears in fp32 (`_keep_in_fp32_modules`), which a quantizer leaves alone.
const KEEP_LINEARS_IN_FP32: [&str; 3] = ["t5", "mt5", "umt5"];

/// The quantized weights of a run at `path`; `None` if its weights are not quantized.
///
/// # Errors
/// Values that transformers refuses, or that are not simulated.
pub(crate) fn quantization(
    run: &Section,
    path: &str,
    file: &ConfigFile,
    recipe: &RefCell<Recipe>,
) -> Result<Option<Quantization>, JobFault> {
    let given = match run.get("quantization") {
        Some(Value::String(word)) => Some(of_word(run, word)?),
        other => other.cloned(),
    };
    let stored = file.quantization().map(|table| stored(run, table));
    let Some(table) = stored.as_ref().or(given.as_ref()) else { return Ok(None) };
    let config = &file.config;
    let section = Section::of(path, table, recipe)?;
    let form = match (section.flag("load_in_4bit"), section.flag("load_in_8bit")) {
        (true, true) => {
            let expected = "transformers refuses load_in_4bit and load_in_8bit together; write one of them";
            return Err(section.bad("load_in_8bit", true, expected));
        }
        (false, false) => return Ok(None),
        (true, false) => four_bit(&section)?,
        (false, true) => eight_bit(&section)?,
    };
    if KEEP_LINEARS_IN_FP32.contains(&file.model_type) || !is_of_transformers(config) {
        let known =
            "bitsandbytes' weights are simulated for transformers' models whose Linears all have one dtype";
        return Err(run.not_simulated("quantization", table, known));
    }
    let kept = kept_modules(&section, config)?;
    Ok(Some(Quantization { form, kept }))
}

/// The table that a word such as "nf4" stands for.
fn of_word(run: &Section, word: &str) -> Result<Value, JobFault> {
    let spelled = keys_of("train").filter(|key| key.name == "quantization").flat_map(|key| key.spelled);
    let words: Vec<&(&str, &str)> = spelled.collect();
    let table = words.iter().find(|row| row.0 == word).and_then(|row| serde_json::from_str(row.1).ok());
    table.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|row| row.0).collect();
        let expected =
            format!(
            "expected one of {}, or a table of BitsAndBytesConfig's keys; others are measured with your own script: brimful rehearse \
             -- python train.py",
            known.join(", ")
        );
        run.bad("quantization", format!("{word:?}"), expected)
    })
}

/// The `quantization_config` of the model, which decides in place of the job's (`merge_quantization_configs` in
/// transformers/quantizers/auto.py, 5.23). transformers writes some keys twice, once with an underscore.
fn stored(run: &Section, table: &Map<String, Value>) -> Value {
    let known = table.iter().filter(|(key, _)| !key.starts_with('_'));
    let known = Value::Object(known.map(|(key, value)| (key.clone(), value.clone())).collect());
    run.assume(
        "quantization",
        &known,
        "the quantization_config of the model, which decides in place of the job's",
    );
    run.note(
        "the model's weights are stored quantized: loading takes less than is predicted here, where each is quantized on the GPU",
    );
    known
}

fn is_of_transformers(config: &Config) -> bool {
    match config {
        Config::Recorded(config) => config.program.header.library.name == "transformers",
        Config::Decoder(_) | Config::Gpt2(_) => true,
    }
}

fn four_bit(section: &Section) -> Result<QuantizedForm, JobFault> {
    let four_bit_type: FourBitType = section.word("bnb_4bit_quant_type")?;
    let double_quant = section.flag("bnb_4bit_use_double_quant");
    let compute_dtype = dtype(section, "bnb_4bit_compute_dtype", &COMPUTE)?;
    let storage = dtype(section, "bnb_4bit_quant_storage", &STORAGE)?;
    let (compute_dtype, storage) = match (compute_dtype, storage) {
        (Some(compute), storage) => (compute, storage),
        (None, storage) => {
            let why = "transformers' default, which converts each layer's input and weight to fp32 while it computes";
            section.assume("bnb_4bit_compute_dtype", "fp32", why);
            (Dtype::F32, storage)
        }
    };
    Ok(QuantizedForm::FourBit {
        four_bit_type,
        double_quant,
        compute_dtype,
        storage: storage.unwrap_or(Dtype::U8),
    })
}

/// What transformers takes for `bnb_4bit_quant_storage`.
const STORAGE: [Dtype; 6] = [Dtype::U8, Dtype::I8, Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64];

fn eight_bit(section: &Section) -> Result<QuantizedForm, JobFault> {
    let threshold = section.given_number("llm_int8_threshold").unwrap_or(LLM_INT8_THRESHOLD);
    if threshold < 0.0 {
        let expected = "bitsandbytes refuses a negative threshold; 0 turns the search for outliers off";
        return Err(section.bad("llm_int8_threshold", threshold, expected));
    }
    let looks_for_outliers = threshold > 0.0;
    if looks_for_outliers {
        let note = "no activation is taken for an outlier of LLM.int8(): those above llm_int8_threshold are kept in fp16, \
                    and how many there are depends on the numbers";
        section.note(note);
    }
    Ok(QuantizedForm::EightBit { looks_for_outliers })
}

/// A dtype among those that the key takes; `None` if the key is absent.
fn dtype(section: &Section, key: &str, known: &[Dtype]) -> Result<Option<Dtype>, JobFault> {
    let Some(text) = section.given_text(key) else { return Ok(None) };
    match text.parse() {
        Ok(dtype) if known.contains(&dtype) => Ok(Some(dtype)),
        _ => {
            let names: Vec<String> = known.iter().map(ToString::to_string).collect();
            Err(section.bad(key, format!("{text:?}"), format!("expected one of {}", names.join(", "))))
        }
    }
}

/// `get_modules_to_not_convert` (quantizers/base.py): the modules of the job, or else the output layer, tied ones and the
/// last.
fn kept_modules(section: &Section, config: &Config) -> Result<Vec<String>, JobFault> {
    let all = config.parameter_tensors();
    let ties = ties(config, &all);
    let Some(skipped) = section.get("llm_int8_skip_modules") else {
        let output = all.iter().filter_map(|(name, shape)| {
            let path = name.strip_suffix(".weight").filter(|_| config.is_linear(name, shape))?;
            is_output_layer(path).then(|| path.to_owned())
        });
        let last = all.last().map(|(name, _)| name.strip_suffix(".weight").unwrap_or(name).to_owned());
        return Ok(output.chain(last).chain(ties).collect());
    };
    let expected = "a list of module names";
    let wrong = || section.wrong_type("llm_int8_skip_modules", skipped, expected);
    let items = skipped.as_array().ok_or_else(wrong)?;
    let names: Vec<String> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    let is_plain = |name: &String| name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        return Err(section.not_simulated(
            "llm_int8_skip_modules",
            &Value::from(name.as_str()),
            "plain names of modules",
        ));
    }
    let quantization =
        |kept| Quantization { form: QuantizedForm::EightBit { looks_for_outliers: false }, kept };
    let found = quantization(names);
    // A tied output layer is not in the table of parameters by its own name.
    if let Some(tied) = ties.iter().find(|tie| is_output_layer(tie) && found.replaces(tie)) {
        let instead = format!("the weight of {tied} is that of the embeddings; name {tied} in the list, too");
        return Err(section.bad("llm_int8_skip_modules", skipped, instead));
    }
    Ok(found.kept)
}

/// `model.all_tied_weights_keys`: the modules whose weight is another one's, and the others.
fn ties(config: &Config, all: &[(String, brimful_units::Shape)]) -> Vec<String> {
    let module = |name: &String| name.strip_suffix(".weight").unwrap_or(name).to_owned();
    match config {
        Config::Recorded(config) => config.ties.iter().flat_map(|(a, b)| [module(a), module(b)]).collect(),
        Config::Decoder(_) | Config::Gpt2(_) if all.iter().any(|(name, _)| name == "lm_head.weight") => {
            Vec::new()
        }
        Config::Decoder(_) | Config::Gpt2(_) => {
            all.first().map(|(table, _)| module(table)).into_iter().chain(["lm_head".to_owned()]).collect()
        }
    }
}

/// Refuses what a quantized model cannot be trained with.
///
/// # Errors
/// No adapters, or some that the loop cannot train.
pub(crate) fn check_adapters(section: &Section, train: &Train) -> Result<(), JobFault> {
    let quantized = train.quantization.is_some();
    if train.prepare_model_for_kbit_training && !quantized {
        let expected =
            "the weights are not quantized; leave it out, or write quantization = {load_in_4bit = true}";
        return Err(section.bad("prepare_model_for_kbit_training", true, expected));
    }
    let Some(lora) = &train.lora else {
        let expected = "quantized weights are not trained, and transformers' Trainer refuses a model of them without \
                        adapters; write lora = {r = 16}";
        return if quantized {
            Err(section.bad("quantization", "without train.lora", expected))
        } else {
            Ok(())
        };
    };
    let form = train.quantization.as_ref().map(|quantization| quantization.form);
    let Some(QuantizedForm::FourBit { compute_dtype, .. }) = form else { return Ok(()) };
    // PEFT gives adapters the compute dtype of a 4-bit layer (`_get_base_layer_device_and_dtype` in
    // peft/tuners/tuners_utils.py, 0.21).
    let halves = !lora.autocast_adapter_dtype && compute_dtype != Dtype::F32;
    if halves && train.precision == Precision::AmpFp16 && train.optimizer.is_some() {
        let expected = "torch's GradScaler refuses gradients in fp16 and bf16, which adapters in bnb_4bit_compute_dtype \
                        have; leave train.lora.autocast_adapter_dtype out";
        return Err(section.bad("precision", "\"amp-fp16\"", expected));
    }
    Ok(())
}

impl Quantization {
    /// Elements of the layers that it replaces, their biases included.
    pub fn parameter_count(&self, model: &Config) -> u64 {
        let all = model.parameter_tensors();
        let replaced: BTreeSet<&str> = all
            .iter()
            .filter_map(|(name, shape)| name.strip_suffix(".weight").filter(|_| model.is_linear(name, shape)))
            .filter(|path| self.replaces(path))
            .collect();
        let of_layers = all
            .iter()
            .filter(|(name, _)| name.rsplit_once('.').is_some_and(|(path, _)| replaced.contains(path)));
        of_layers.map(|(_, shape)| shape.dims().iter().product::<u64>()).fold(0, u64::saturating_add)
    }

    /// Whether the Linear at a path becomes one of bitsandbytes' (`should_convert_module` in
    /// quantizers/quantizers_utils.py).
    pub fn replaces(&self, path: &str) -> bool {
        let begins_with = |name: &str| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || name.ends_with('.'))
        };
        !self.kept.iter().any(|name| begins_with(name) || path.ends_with(name.as_str()))
    }
}
