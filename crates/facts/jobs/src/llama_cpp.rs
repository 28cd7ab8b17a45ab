//! A job of llama.cpp: the model's file, and the words of the server's own command line.

use brimful_devices::Gpu;
use brimful_models::Files;
use serde_json::Value;

use crate::load::{beside, is_gguf};
use crate::section::Section;
use crate::{JobFault, Recipe};

/// A job that llama.cpp runs.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaCppJob {
    /// The model's file, as the job has it.
    pub model: String,
    /// The file that was found: beside the job, if the current folder has none.
    pub file: String,
    /// The GPU; `None` where the user named none.
    pub gpu: Option<Gpu>,
    /// The words behind `llama-server`: those of the command, then those of the keys, which win.
    pub words: Vec<String>,
    /// The most logits that are computed together, which no flag sets; `None` for what the server does.
    pub n_outputs_max: Option<u32>,
    /// What was assumed, and what else to say.
    pub recipe: Recipe,
    /// The file as it was named.
    pub origin: String,
}

/// Keys with a value, and their flags.
const VALUES: [(&str, &str); 8] = [
    ("ctx_size", "--ctx-size"),
    ("n_gpu_layers", "--n-gpu-layers"),
    ("cache_type_k", "--cache-type-k"),
    ("cache_type_v", "--cache-type-v"),
    ("parallel", "--parallel"),
    ("batch_size", "--batch-size"),
    ("ubatch_size", "--ubatch-size"),
    ("flash_attn", "--flash-attn"),
];

/// Switches: the key, the flag of `true`, that of `false` if there is one, and other names of the first.
const SWITCHES: [(&str, &str, Option<&str>, &[&str]); 5] = [
    ("kv_unified", "--kv-unified", Some("--no-kv-unified"), &["-kvu"]),
    ("kv_offload", "--kv-offload", Some("--no-kv-offload"), &["-kvo"]),
    ("swa_full", "--swa-full", None, &[]),
    ("cpu_moe", "--cpu-moe", None, &["-cmoe"]),
    ("embeddings", "--embeddings", None, &["--embedding", "--rerank", "--reranking"]),
];

/// The versions whose behaviour is predicted.
const VERSION: &str = "0.5.0";

/// The words of the command line that the section asks for, behind those that were typed.
pub(crate) fn words(section: &Section, typed: &[String]) -> Result<Vec<String>, JobFault> {
    version(section)?;
    let mut words = typed.to_vec();
    for (key, flag) in VALUES {
        if let Some(value) = section.get(key) {
            words.extend([flag.to_owned(), value_text(section, key, value)?]);
        }
    }
    for (key, on, off, also) in SWITCHES {
        match (section.given_flag(key), off) {
            (Some(true), _) => words.push(on.to_owned()),
            (Some(false), Some(off)) => words.push(off.to_owned()),
            // No flag takes these back, so that the typed one goes.
            (Some(false), None) => words.retain(|word| word != on && !also.contains(&word.as_str())),
            (None, _) => {}
        }
    }
    Ok(words)
}

/// A value as the flag takes it.
fn value_text(section: &Section, key: &str, value: &Value) -> Result<String, JobFault> {
    match value {
        Value::Bool(true) if key == "flash_attn" => Ok("on".to_owned()),
        Value::Bool(false) if key == "flash_attn" => Ok("off".to_owned()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(section.wrong_type(key, value, "a number or a word")),
    }
}

fn version(section: &Section) -> Result<(), JobFault> {
    match section.given_text("version") {
        None => {
            section.assume("version", VERSION, "the newest version whose rules are known");
            Ok(())
        }
        Some(given) if given.strip_prefix('v').unwrap_or(given) == VERSION => Ok(()),
        Some(given) => Err(section.bad(
            "version",
            given,
            format!("the rules of llama.cpp {VERSION} are known; write that"),
        )),
    }
}

/// The model's file as the job has it, and where it lies.
pub(crate) fn model(root: &Section, origin: &str, files: &dyn Files) -> Result<(String, String), JobFault> {
    match root.get("model") {
        Some(Value::String(name)) if is_gguf(name) => Ok((name.clone(), beside(origin, name, files))),
        Some(Value::String(name)) => {
            Err(root.bad("model", format!("{name:?}"), "llama.cpp reads a GGUF file; write \"MODEL.gguf\""))
        }
        Some(other) => {
            Err(root.wrong_type("model", other, "the name of a GGUF file, such as \"MODEL.gguf\""))
        }
        None => Err(JobFault::Missing {
            key: "model".to_owned(),
            expected: "name a GGUF file, such as \"MODEL.gguf\"".to_owned(),
        }),
    }
}
