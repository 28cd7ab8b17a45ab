//! Serving engines: which commands start one, and the figures that it reported of its start-up.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use brimful_units::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ProcessRecord, RunRecord};

/// The engines that are known.
const ENGINES: [&str; 2] = ["vllm", "sglang"];

/// The figures that one process of an engine reported. `None` if the engine did not report it or this process does not
/// own it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServingRecord {
    /// `vllm`, `sglang`.
    pub engine: String,
    /// The model's weights on this GPU.
    pub weights: Option<Bytes>,
    /// What a forward of the largest batch takes beside the weights, at its peak.
    pub activation_peak: Option<Bytes>,
    /// What is taken beside PyTorch's memory, after the CUDA context.
    pub non_torch: Option<Bytes>,
    /// What the capture of CUDA graphs took.
    pub graphs: Option<Bytes>,
    /// What the engine set aside for CUDA graphs before it captured them.
    pub graphs_estimate: Option<Bytes>,
    /// What the engine allows itself on this GPU.
    pub budget: Option<Bytes>,
    /// The KV cache on this GPU.
    pub kv_bytes: Option<Bytes>,
    /// Its blocks.
    pub kv_blocks: Option<u64>,
    /// The tokens that it holds, as the engine counts them.
    pub kv_tokens: Option<u64>,
    /// Requests of full length that it holds at once.
    pub max_concurrency: Option<f64>,
    /// What PyTorch holds when the start-up is complete.
    pub allocated: Option<Bytes>,
    /// The longest context.
    pub max_model_len: Option<u64>,
    /// The most requests at once.
    pub max_num_seqs: Option<u64>,
    /// The most tokens in a batch.
    pub max_num_batched_tokens: Option<u64>,
    /// The share of the GPU that the engine may take.
    pub gpu_memory_utilization: Option<f64>,
    /// The type of the KV cache's elements, as it was asked for.
    pub kv_cache_dtype: Option<String>,
}

impl ServingRecord {
    /// What stays on the GPU beside weights, KV cache and graphs: buffers of the runner, logits, samplers.
    pub fn other(&self) -> Option<Bytes> {
        let known = [self.weights, self.kv_bytes].into_iter().flatten();
        Some(known.fold(self.allocated?, Bytes::saturating_sub))
    }
}

/// An engine's start-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving<'a> {
    /// `vllm`, `sglang`.
    pub engine: &'a str,
    /// Its version, where it has one.
    pub version: Option<&'a str>,
    /// The processes that hold a model, in the order of their ranks.
    pub ranks: Vec<(&'a ProcessRecord, &'a ServingRecord)>,
    /// Tokens that the KV cache holds; of several engines, of the smallest.
    pub kv_tokens: Option<u64>,
    /// Requests of full length at once.
    pub max_concurrency: Option<f64>,
}

impl<'a> Serving<'a> {
    /// Tokens that the KV cache holds and tokens of a request of full length, where not one such request fits. vLLM does
    /// not start then; SGLang does, and turns long requests away.
    pub fn falls_short(&self) -> Option<(u64, u64)> {
        falls_short(self.max_concurrency?, self.kv_tokens?, self.tightest()?.max_model_len?)
    }

    /// The rank with the most weights and activations: the one that bounds the KV cache.
    pub fn tightest(&self) -> Option<&'a ServingRecord> {
        let used = |record: &ServingRecord| {
            let parts = [record.weights, record.activation_peak, record.non_torch];
            parts.into_iter().flatten().map(Bytes::get).sum::<u64>()
        };
        self.ranks.iter().rev().map(|rank| rank.1).max_by_key(|record| used(record))
    }
}

fn falls_short(requests: f64, tokens: u64, length: u64) -> Option<(u64, u64)> {
    (requests < 1.0).then_some((tokens, length))
}

/// The figures of the engine of a run; `None` if there was none, or if its start-up ended before it reported any.
pub fn serving(run: &RunRecord) -> Option<Serving<'_>> {
    let reported = run.processes.iter().filter_map(|process| Some((process, process.serving.as_ref()?)));
    let reported: Vec<(&ProcessRecord, &ServingRecord)> = reported.collect();
    let ranks: Vec<_> = reported.iter().copied().filter(|(_, record)| record.weights.is_some()).collect();
    let engine = &ranks.first()?.1.engine;
    let concurrency = reported.iter().filter_map(|(_, record)| record.max_concurrency);
    Some(Serving {
        engine,
        version: run.processes.iter().find_map(|process| process.versions.get(engine)).map(String::as_str),
        kv_tokens: reported.iter().filter_map(|(_, record)| record.kv_tokens).min(),
        max_concurrency: concurrency.min_by(f64::total_cmp),
        ranks,
    })
}

/// The engine that a command starts: by its program, by `-m MODULE`, or by a script that imports one.
pub fn engine(command: &[OsString]) -> Option<&'static str> {
    let (first, rest) = command.split_first()?;
    // A script of the environment may be handed to its interpreter: `python venv/bin/vllm serve`.
    let programs = std::iter::once(first).chain(rest.iter().find(|word| !is_flag(word)));
    let module = rest.iter().position(|word| word == "-m").and_then(|at| rest.get(at + 1)?.to_str());
    if let Some(module) = module {
        return known(module.split('.').next()?);
    }
    let mut programs = programs.filter_map(|program| Path::new(program).file_name()?.to_str());
    programs.find_map(known).or_else(|| {
        let script = rest.iter().map(Path::new).find(|word| word.extension() == Some(OsStr::new("py")))?;
        imported(&fs::read_to_string(script).ok()?)
    })
}

fn known(name: &str) -> Option<&'static str> {
    ENGINES.into_iter().find(|engine| *engine == name)
}

fn is_flag(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn imported(script: &str) -> Option<&'static str> {
    script.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| matches!(*word, "import" | "from"))?;
        known(words.next()?.split(['.', ',', ';']).next()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_holds_no_request_of_full_length_falls_short() {
        assert_eq!(falls_short(0.61, 5000, 8192), Some((5000, 8192)));
        assert_eq!(falls_short(1.0, 8192, 8192), None);
    }

    fn started(words: &str) -> Option<&'static str> {
        engine(&words.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_that_start_an_engine() {
        for words in [
            "vllm serve m/q25",
            "/opt/venv/bin/vllm bench latency",
            "/env/bin/python /env/bin/vllm serve m",
            "python -m vllm.entrypoints.openai.api_server --model m",
        ] {
            assert_eq!(started(words), Some("vllm"), "{words}");
        }
        assert_eq!(started("python3 -u -m sglang.launch_server --model-path m"), Some("sglang"));
        for words in ["python -m vllmish", "python train.py --engine vllm", "torchrun train.py"] {
            assert_eq!(started(words), None, "{words}");
        }
    }

    #[test]
    fn scripts_that_import_an_engine() {
        assert_eq!(imported("import os\n  from vllm import LLM\n"), Some("vllm"));
        assert_eq!(imported("import sglang as sgl"), Some("sglang"));
        assert_eq!(imported("# import vllm\nimport vllm_notes"), None);
    }
}
