//! `[serve]`: a job that a serving engine runs.

use std::cell::RefCell;

use brimful_devices::Gpu;
use brimful_models::{Files, model_keys};
use brimful_units::Dtype;
use serde_json::{Map, Value};

use crate::keys::engine_of;
use crate::llama_cpp::{self, LlamaCppJob};
use crate::load::{beside, is_gguf, job_tree, named};
use crate::section::Section;
use crate::{JobError, JobFault, Overrides, Recipe};

/// A job that a serving engine runs.
#[derive(Clone, Debug, PartialEq)]
pub enum ServedJob {
    /// vLLM runs it.
    Vllm(Box<VllmJob>),
    /// llama.cpp runs it.
    LlamaCpp(Box<LlamaCppJob>),
}

/// A job that vLLM runs.
#[derive(Clone, Debug, PartialEq)]
pub struct VllmJob {
    /// The model's name, as the job has it.
    pub model: String,
    /// The keys of its config.json.
    pub config: Map<String, Value>,
    /// The GPU; `None` where the user named none.
    pub gpu: Option<Gpu>,
    /// The engine's settings.
    pub settings: VllmSettings,
    /// What was assumed, and what else to say.
    pub recipe: Recipe,
    /// The file as it was named.
    pub origin: String,
}

/// The settings of vLLM that decide its memory; `None` where the engine chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct VllmSettings {
    /// The version, such as "0.33".
    pub version: String,
    /// The longest request, in tokens.
    pub max_model_len: Length,
    /// The share of the GPU's total that the engine takes.
    pub gpu_memory_utilization: Option<f64>,
    /// Bytes of the KV cache, in place of what is left of the share.
    pub kv_cache_memory_bytes: Option<u64>,
    /// Requests that run together.
    pub max_num_seqs: Option<u64>,
    /// Tokens of one batch.
    pub max_num_batched_tokens: Option<u64>,
    /// The dtype of keys and values, in vLLM's words.
    pub kv_cache_dtype: String,
    /// GPUs over which each layer is split.
    pub tensor_parallel_size: u64,
    /// Whether nothing is compiled and no graph captured.
    pub enforce_eager: bool,
    /// The quantization that is asked for.
    pub quantization: Option<String>,
    /// The dtype of weights and computation; `None` for the checkpoint's.
    pub dtype: Option<Dtype>,
    /// Tokens of a block of the KV cache.
    pub block_size: Option<u64>,
    /// Whether prompts' blocks are kept for later requests.
    pub enable_prefix_caching: Option<bool>,
    /// Whether the next batch is scheduled while one runs.
    pub async_scheduling: Option<bool>,
    /// Blocks of the KV cache, in place of what the memory holds.
    pub num_gpu_blocks_override: Option<u64>,
    /// Whether the engine runs within a Python program (`vllm.LLM`), whose batches are larger by default.
    pub in_program: bool,
    /// Whether the cache of `torch.compile` is from an earlier start.
    pub warm_compile_cache: bool,
}

/// The longest request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As long as the model's config allows.
    Model,
    /// As long as the memory allows (`-1`, or `auto`).
    Fitting,
    /// So many tokens.
    Tokens(u64),
}

/// Opens a job with a `[serve]` table, or a GGUF file, which llama.cpp then serves; `None` if the argument is another kind of
/// job, or none.
///
/// # Errors
/// As [`crate::open`].
pub fn open_served(
    argument: &str,
    files: &dyn Files,
    overrides: &Overrides,
) -> Result<Option<ServedJob>, JobError> {
    let Some(source) = job_tree(argument, files, overrides)? else { return Ok(None) };
    let has = |key: &str| source.tree.get(key).is_some_and(|value| !value.is_null());
    if !has("serve") && (!names_gguf(&source.tree) || has("train") || has("infer")) {
        return Ok(None);
    }
    served(argument, &source.tree, &[], files).map(Some).map_err(|fault| source.locate(argument, fault))
}

/// The job of a tree. `typed` are the words of llama.cpp's own command line, which the keys of the tree change.
pub(crate) fn served(
    origin: &str,
    tree: &Value,
    typed: &[String],
    files: &dyn Files,
) -> Result<ServedJob, JobFault> {
    let recipe = RefCell::new(Recipe::default());
    let root = Section::of("", tree, &recipe)?;
    if let Some(other) = ["train", "infer"].into_iter().find(|key| root.get(key).is_some()) {
        return Err(root.bad(other, "there beside `serve`", "a job has one of the two"));
    }
    let empty = Value::Object(Map::new());
    if let Some(key) = ["parallel", "allocator", "versions"].into_iter().find(|key| root.get(key).is_some()) {
        let expected =
            "a served job has the engine's own keys in [serve], such as tensor_parallel_size and version";
        return Err(root.bad(key, "there beside `serve`", expected));
    }
    let table = root.get("serve").unwrap_or(&empty);
    let section = Section::of("serve", table, &recipe)?;
    let engine = engine(&section, tree)?;
    only_its_own(&section, table, &engine)?;
    let gpu = root.given_text("gpu").map(Gpu::find).transpose().map_err(JobFault::Gpu)?;
    let origin = origin.to_owned();
    if engine == "llama.cpp" {
        let (model, file) = llama_cpp::model(&root, &origin, files)?;
        let words = llama_cpp::words(&section, typed)?;
        let n_outputs_max =
            section.given_count("n_outputs_max").and_then(|outputs| u32::try_from(outputs).ok());
        let recipe = recipe.into_inner();
        let job = LlamaCppJob { model, file, gpu, words, n_outputs_max, recipe, origin };
        return Ok(ServedJob::LlamaCpp(Box::new(job)));
    }
    let settings = settings(&section)?;
    let Found { model, config, note } = find_config(&root, &origin, files)?;
    recipe.borrow_mut().notes.extend(note);
    let recipe = recipe.into_inner();
    Ok(ServedJob::Vllm(Box::new(VllmJob { model, config, gpu, settings, recipe, origin })))
}

/// Is the model a GGUF file?
fn names_gguf(tree: &Value) -> bool {
    tree.get("model").and_then(Value::as_str).is_some_and(is_gguf)
}

/// The engine: the one that the job names, else the one that reads the model.
fn engine(section: &Section, tree: &Value) -> Result<String, JobFault> {
    if section.get("engine").is_none() && names_gguf(tree) {
        return Ok(section.assume("engine", "llama.cpp".to_owned(), "the model is a GGUF file"));
    }
    section.text("engine")
}

/// A key of another engine is a slip, or another engine was meant.
fn only_its_own(section: &Section, table: &Value, engine: &str) -> Result<(), JobFault> {
    let keys = table.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (key, value) in keys {
        if let Some(other) = engine_of(key).filter(|other| *other != engine) {
            let expected = format!(
                "this is a key of {other}, and the engine is {engine}; leave it out, or write engine = \"{other}\""
            );
            return Err(section.bad(key, value, expected));
        }
    }
    Ok(())
}

fn settings(section: &Section) -> Result<VllmSettings, JobFault> {
    Ok(VllmSettings {
        version: section.text("version")?,
        max_model_len: length(section)?,
        gpu_memory_utilization: utilization(section)?,
        kv_cache_memory_bytes: section.given_count("kv_cache_memory_bytes"),
        max_num_seqs: section.given_count("max_num_seqs"),
        max_num_batched_tokens: section.given_count("max_num_batched_tokens"),
        kv_cache_dtype: section.text("kv_cache_dtype")?,
        tensor_parallel_size: section.count("tensor_parallel_size")?,
        enforce_eager: section.flag("enforce_eager"),
        quantization: section.given_text("quantization").map(str::to_owned),
        dtype: dtype(section)?,
        block_size: section.given_count("block_size"),
        enable_prefix_caching: section.given_flag("enable_prefix_caching"),
        async_scheduling: section.given_flag("async_scheduling"),
        num_gpu_blocks_override: section.given_count("num_gpu_blocks_override"),
        in_program: section.text("usage")? == "llm-class",
        warm_compile_cache: section.text("compile_cache")? == "warm",
    })
}

/// `-1` and `auto` stand for the longest that fits.
fn length(section: &Section) -> Result<Length, JobFault> {
    let Some(value) = section.get("max_model_len") else { return Ok(Length::Model) };
    match (value.as_i64(), value.as_str()) {
        (Some(-1), _) | (_, Some("auto")) => Ok(Length::Fitting),
        (Some(tokens @ 1..=0x7fff_ffff), _) => Ok(Length::Tokens(tokens as u64)),
        _ => Err(section.bad(
            "max_model_len",
            value,
            "expected at least 1 token, or -1 for the longest that fits",
        )),
    }
}

fn utilization(section: &Section) -> Result<Option<f64>, JobFault> {
    match section.given_number("gpu_memory_utilization") {
        Some(share) if share <= 0.0 || share > 1.0 => {
            let expected = "vLLM takes a share of the GPU above 0 and at most 1; write 0.9 for 90 %";
            Err(section.bad("gpu_memory_utilization", share, expected))
        }
        share => Ok(share),
    }
}

fn dtype(section: &Section) -> Result<Option<Dtype>, JobFault> {
    match section.given_text("dtype") {
        None | Some("auto") => Ok(None),
        Some(name) => match name.parse() {
            Ok(dtype @ (Dtype::F16 | Dtype::Bf16 | Dtype::F32)) => Ok(Some(dtype)),
            _ => {
                let expected = "expected auto, bfloat16, float16, half, float or float32";
                Err(section.bad("dtype", format!("{name:?}"), expected))
            }
        },
    }
}

/// A model's name, the keys of its config.json, and what to say about how the name was read.
struct Found {
    model: String,
    config: Map<String, Value>,
    note: Option<String>,
}

fn find_config(root: &Section, origin: &str, files: &dyn Files) -> Result<Found, JobFault> {
    let of_name = |name: &str| {
        let found = model_keys(&beside(origin, name, files), files);
        let (config, note) = found.map_err(|error| JobFault::Model(Box::new(error)))?;
        Ok(Found { model: name.to_owned(), config, note })
    };
    match root.get("model") {
        Some(Value::String(name)) => of_name(name),
        Some(Value::Object(table)) => {
            let own = || {
                let name = table.get("model_type").and_then(Value::as_str).unwrap_or("model");
                Found { model: format!("a {name} of the job's own"), config: table.clone(), note: None }
            };
            let Some((name, changes)) = named(table) else { return Ok(own()) };
            let mut found = of_name(name)?;
            found.config.extend(changes);
            Ok(found)
        }
        _ => Err(JobFault::Missing {
            key: "model".to_owned(),
            expected: "name one: a folder, a config.json, or a known model such as \"llama-3.1-8b\""
                .to_owned(),
        }),
    }
}
