//! `vllm serve`: its flags as keys of `[serve]` (engine/arg_utils.py and entrypoints/openai/cli_args.py, vLLM 0.33).

use brimful_units::nearest;
use serde_json::{Map, Value, json};

use crate::JobFault;
use crate::keys::{Key, Kind, Simulated, engine_of, keys_of};

/// Flags that change no GPU memory and take a value.
const ELSEWHERE: &[&str] = &[
    "host",
    "port",
    "uds",
    "api-key",
    "served-model-name",
    "tokenizer",
    "tokenizer-mode",
    "revision",
    "code-revision",
    "tokenizer-revision",
    "download-dir",
    "load-format",
    "seed",
    "chat-template",
    "chat-template-content-format",
    "tool-call-parser",
    "reasoning-parser",
    "response-role",
    "generation-config",
    "override-generation-config",
    "uvicorn-log-level",
    "max-log-len",
    "root-path",
    "ssl-keyfile",
    "ssl-certfile",
    "allowed-origins",
    "allowed-methods",
    "allowed-headers",
    "swap-space",
    "scheduling-policy",
    "prefix-caching-hash-algo",
    "distributed-executor-backend",
    "api-server-count",
    "hf-token",
    "stream-interval",
];

/// Switches that change no GPU memory.
const SWITCHES: &[&str] = &[
    "trust-remote-code",
    "enable-auto-tool-choice",
    "enable-log-requests",
    "disable-log-requests",
    "disable-log-stats",
    "disable-uvicorn-access-log",
    "enable-chunked-prefill",
    "enable-request-id-headers",
    "enable-prompt-tokens-details",
    "headless",
];

/// Flags that change GPU memory in a way that is not predicted yet.
const UNPREDICTED: &[&str] = &[
    "pipeline-parallel-size",
    "data-parallel-size",
    "decode-context-parallel-size",
    "enable-expert-parallel",
    "speculative-config",
    "enable-lora",
    "max-loras",
    "max-lora-rank",
    "lora-modules",
    "limit-mm-per-prompt",
    "cpu-offload-gb",
    "compilation-config",
    "cuda-graph-sizes",
    "cudagraph-capture-sizes",
    "max-cudagraph-capture-size",
    "kv-transfer-config",
    "kv-offloading-size",
    "attention-backend",
    "attention-config",
    "mamba-cache-mode",
    "mamba-cache-dtype",
    "mamba-ssm-cache-dtype",
    "mamba-block-size",
    "disable-hybrid-kv-cache-manager",
    "performance-mode",
    "optimization-level",
    "runner",
    "convert",
    "config",
];

/// Short flags, and older names.
const ALSO: &[(&str, &str)] = &[
    ("tp", "tensor-parallel-size"),
    ("q", "quantization"),
    ("pp", "pipeline-parallel-size"),
    ("dp", "data-parallel-size"),
    ("O", "optimization-level"),
    ("ep", "enable-expert-parallel"),
];

/// The job that a command asks for.
pub(super) fn job(words: &[String]) -> Result<Value, JobFault> {
    let arguments = arguments(words)?;
    let mut read = Read::default();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            None if read.model.is_none() => read.model = Some(word.clone()),
            None => return Err(fault("MODEL", word, "one model is served; leave out the second name")),
            Some(flag) => {
                let flag = flag.strip_prefix('-').unwrap_or(flag);
                let (name, given) = match flag.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (flag, None),
                };
                read.flag(word, &dashed(name), given, &mut || rest.next().map(String::as_str))?;
            }
        }
    }
    read.into_job()
}

/// The words behind `vllm serve`, or behind the module that it was before.
fn arguments(words: &[String]) -> Result<&[String], JobFault> {
    let program = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    match words {
        [_, serve, rest @ ..] if program == "vllm" && serve == "serve" => Ok(rest),
        [_, minus_m, module, rest @ ..]
            if program.starts_with("python")
                && minus_m == "-m"
                && module == "vllm.entrypoints.openai.api_server" =>
        {
            Ok(rest)
        }
        _ => Err(fault(
            "the command",
            &words.join(" "),
            "expected `vllm serve MODEL` or `llama-server -m MODEL.gguf` with its flags; brimful rehearse -- COMMAND measures any other",
        )),
    }
}

/// A flag in vLLM's first spelling: underscores are dashes, and short names are long.
fn dashed(name: &str) -> String {
    let name = name.replace('_', "-");
    ALSO.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| (*long).to_owned())
}

/// What was read so far.
#[derive(Default)]
struct Read {
    model: Option<String>,
    serve: Map<String, Value>,
    overrides: Map<String, Value>,
}

impl Read {
    /// One flag. `typed` is how it was written, `given` what stands behind `=`, and `next` takes the next word.
    fn flag<'a>(
        &mut self,
        typed: &str,
        name: &str,
        given: Option<&'a str>,
        next: &mut dyn FnMut() -> Option<&'a str>,
    ) -> Result<(), JobFault> {
        let mut value = || {
            given.or_else(&mut *next).ok_or_else(|| fault(typed, "without a value", "write one behind it"))
        };
        let negated = name.strip_prefix("no-");
        if let Some(key) = key(name) {
            if matches!(key.kind, Kind::Flag) {
                self.serve.insert(key.name.to_owned(), Value::Bool(true));
                return Ok(());
            }
            let read = typed_value(key, typed, value()?)?;
            self.serve.insert(key.name.to_owned(), read);
            return Ok(());
        }
        match negated.and_then(key) {
            Some(key) if matches!(key.kind, Kind::Flag) => {
                self.serve.insert(key.name.to_owned(), Value::Bool(false));
                return Ok(());
            }
            _ => {}
        }
        match name {
            "model" => self.model = Some(value()?.to_owned()),
            "hf-overrides" => self.overrides = table(typed, value()?)?,
            _ if ELSEWHERE.contains(&name) => drop(value()?),
            _ if SWITCHES.contains(&negated.unwrap_or(name)) => {}
            _ if UNPREDICTED.contains(&negated.unwrap_or(name)) => {
                return Err(JobFault::NotSimulated {
                    key: typed.to_owned(),
                    value: "given".to_owned(),
                    known: "its memory is not predicted; leave it out, or measure: brimful rehearse --dummy-weights -- vllm serve …"
                        .to_owned(),
                });
            }
            _ => return Err(unknown(typed, name)),
        }
        Ok(())
    }

    fn into_job(self) -> Result<Value, JobFault> {
        let Some(model) = self.model else {
            return Err(JobFault::Missing {
                key: "MODEL".to_owned(),
                expected: "name it behind `vllm serve`".to_owned(),
            });
        };
        let model = if self.overrides.is_empty() {
            Value::String(model)
        } else {
            let mut table = self.overrides;
            table.insert("name".to_owned(), Value::String(model));
            Value::Object(table)
        };
        let mut serve = self.serve;
        serve.insert("engine".to_owned(), json!("vllm"));
        Ok(json!({"model": model, "serve": serve}))
    }
}

/// The key of `[serve]` that a flag sets; `None` if it is no flag of vLLM.
fn key(flag: &str) -> Option<&'static Key> {
    let is_own =
        |key: &&Key| engine_of(key.name) == Some("vllm") && !["usage", "compile_cache"].contains(&key.name);
    keys_of("serve")
        .filter(|key| key.simulated == Simulated::Yes)
        .filter(is_own)
        .find(|key| key.name.replace('_', "-") == flag)
}

/// A value as vLLM reads it.
fn typed_value(key: &Key, typed: &str, text: &str) -> Result<Value, JobFault> {
    match key.kind {
        Kind::Count { .. } => whole(typed, text).map(Value::from),
        Kind::Other { .. } if text == "auto" => Ok(json!(text)),
        Kind::Other { .. } if text == "-1" => Ok(json!(-1)),
        Kind::Other { .. } => whole(typed, text).map(Value::from),
        Kind::Number => match text.parse::<f64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => Err(fault(typed, text, "expected a number")),
        },
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// `human_readable_int`: 32k is 32,000, and 32K is 32,768. Only whole numbers may have a binary unit.
fn whole(typed: &str, text: &str) -> Result<u64, JobFault> {
    const UNITS: [(char, u64); 8] = [
        ('k', 1_000),
        ('m', 1_000_000),
        ('g', 1_000_000_000),
        ('t', 1_000_000_000_000),
        ('K', 1 << 10),
        ('M', 1 << 20),
        ('G', 1 << 30),
        ('T', 1 << 40),
    ];
    let wrong = || fault(typed, text, "expected a whole number, such as 32768, 32k (32,000) or 32K (32,768)");
    let last = text.chars().last().ok_or_else(wrong)?;
    let Some((_, unit)) = UNITS.iter().find(|(sign, _)| *sign == last) else {
        return text.parse().map_err(|_| wrong());
    };
    let number = &text[..text.len() - last.len_utf8()];
    if last.is_ascii_uppercase() {
        return number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit)).ok_or_else(wrong);
    }
    match number.parse::<f64>() {
        Ok(number) if (0.0..1e9).contains(&number) => Ok((number * *unit as f64) as u64),
        _ => Err(wrong()),
    }
}

/// A table in JSON.
fn table(typed: &str, text: &str) -> Result<Map<String, Value>, JobFault> {
    serde_json::from_str(text)
        .map_err(|error| fault(typed, text, &format!("expected an object in JSON ({error})")))
}

fn fault(key: &str, value: &str, expected: &str) -> JobFault {
    JobFault::Value { key: key.to_owned(), value: value.to_owned(), expected: expected.to_owned() }
}

/// A flag that vLLM 0.33 does not have, or that is not known here.
fn unknown(typed: &str, name: &str) -> JobFault {
    let own: Vec<String> = keys_of("serve")
        .filter(|key| key.simulated == Simulated::Yes && engine_of(key.name) != Some("llama.cpp"))
        .map(|key| key.name.replace('_', "-"))
        .collect();
    let known = own.iter().map(String::as_str).chain(ELSEWHERE.iter().copied());
    let known = known.chain(SWITCHES.iter().copied()).chain(UNPREDICTED.iter().copied());
    let nearest = nearest(name, known).map(|name| format!("--{name}"));
    JobFault::UnknownKey { key: typed.to_owned(), nearest, expected: "the flags of vllm serve".to_owned() }
}
