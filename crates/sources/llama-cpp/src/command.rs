//! The command line of `llama-server`, as far as it decides about memory; common/arg.cpp and tools/server, v0.5.0.

use std::str::FromStr;

use brimful_gguf::GgmlType;

use crate::{Error, FlashAttention, Override, Settings};

/// What a command line of `llama-server` asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The file after `-m`; `None` if the model comes from elsewhere.
    pub model: Option<String>,
    /// The settings, with the server's defaults.
    pub settings: Settings,
    /// May the server choose a smaller context and fewer layers until the model fits (`--fit`)? It keeps what is set here.
    pub fit: bool,
    /// Flags that are not known to decide about memory, in their order. Their values stand among them.
    pub others: Vec<String>,
}

/// Types that the server takes for caches.
const CACHE_TYPES: [&str; 9] = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"];

/// The words behind `llama-server`.
struct Words<'a> {
    rest: std::slice::Iter<'a, String>,
}

impl Words<'_> {
    fn value(&mut self, key: &'static str) -> Result<&str, Error> {
        self.rest.next().map(String::as_str).ok_or_else(|| refuse(key, "missing", "the flag needs a value"))
    }

    fn parse<T: FromStr>(&mut self, key: &'static str) -> Result<T, Error> {
        let value = self.value(key)?;
        value.parse().map_err(|_| refuse(key, value, "write a whole number"))
    }

    fn cache_type(&mut self, key: &'static str) -> Result<GgmlType, Error> {
        let value = self.value(key)?;
        let known = CACHE_TYPES.contains(&value).then(|| GgmlType::named(value)).flatten();
        known.ok_or_else(|| refuse(key, value, &format!("write one of {}", CACHE_TYPES.join(", "))))
    }

    fn switch(&mut self, key: &'static str) -> Result<bool, Error> {
        let value = self.value(key)?;
        switch(value).ok_or_else(|| refuse(key, value, "write on or off"))
    }
}

fn refuse(key: &'static str, found: &str, reason: &str) -> Error {
    Error::Setting { key, found: found.into(), reason: reason.into() }
}

/// `is_truthy` and `is_falsey` of common/arg.cpp.
fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "enabled" | "true" | "1" => Some(true),
        "off" | "disabled" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// Reads the words behind `llama-server`.
///
/// ```
/// let words: Vec<String> = "-m q.gguf -c 32768 -ngl 99 -np 4 -ctk q8_0".split(' ').map(String::from).collect();
/// let command = brimful_llama_cpp::read_command(&words).unwrap();
/// assert_eq!(command.settings.ctx_size, 32768);
/// assert_eq!(command.settings.n_outputs_max, 4, "the server asks for one output of each slot");
/// ```
///
/// # Errors
///
/// If a flag lacks its value, or the value is one that the server refuses.
pub fn read_command(words: &[String]) -> Result<Command, Error> {
    let mut command = Command { model: None, settings: Settings::default(), fit: true, others: Vec::new() };
    // The number of slots is automatic unless it is given: four, which share one cache.
    let (mut slots, mut unified) = (None, None);
    let mut words = Words { rest: words.iter() };
    while let Some(word) = words.rest.next() {
        let settings = &mut command.settings;
        match word.as_str() {
            "-m" | "--model" => command.model = Some(words.value("model")?.into()),
            "-np" | "--parallel" => slots = Some(words.parse::<i64>("parallel")?),
            "-kvu" | "--kv-unified" => unified = Some(true),
            "-no-kvu" | "--no-kv-unified" => unified = Some(false),
            "-fit" | "--fit" => command.fit = words.switch("fit")?,
            flag => {
                if !(sizes(settings, flag, &mut words)?
                    || places(settings, flag, &mut words)?
                    || caches(settings, flag, &mut words)?)
                {
                    command.others.push(flag.into());
                }
            }
        }
    }
    serve(&mut command.settings, slots, unified)?;
    Ok(command)
}

/// Flags of sizes; `false` if the flag is another.
fn sizes(settings: &mut Settings, flag: &str, words: &mut Words<'_>) -> Result<bool, Error> {
    match flag {
        "-c" | "--ctx-size" => settings.ctx_size = words.parse("ctx-size")?,
        "-b" | "--batch-size" => settings.batch_size = words.parse("batch-size")?,
        "-ub" | "--ubatch-size" => settings.ubatch_size = words.parse("ubatch-size")?,
        "--embedding" | "--embeddings" | "--rerank" | "--reranking" => settings.embeddings = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Flags that say where weights lie and ops run; `false` if the flag is another.
fn places(settings: &mut Settings, flag: &str, words: &mut Words<'_>) -> Result<bool, Error> {
    match flag {
        "-ngl" | "--gpu-layers" | "--n-gpu-layers" => settings.n_gpu_layers = layers(words)?,
        "-ts" | "--tensor-split" => settings.tensor_split = shares(words)?,
        "-sm" | "--split-mode" => split_mode(words)?,
        "-cmoe" | "--cpu-moe" => settings.cpu_moe = true,
        "-ncmoe" | "--n-cpu-moe" => settings.n_cpu_moe = words.parse("n-cpu-moe")?,
        "-ot" | "--override-tensor" => settings.overrides.extend(overrides(words.value("override-tensor")?)?),
        "--no-op-offload" => settings.op_offload = false,
        "--op-offload" => settings.op_offload = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Flags of caches and attention; `false` if the flag is another.
fn caches(settings: &mut Settings, flag: &str, words: &mut Words<'_>) -> Result<bool, Error> {
    match flag {
        "-ctk" | "--cache-type-k" => settings.cache_type_k = words.cache_type("cache-type-k")?,
        "-ctv" | "--cache-type-v" => settings.cache_type_v = words.cache_type("cache-type-v")?,
        "-kvo" | "--kv-offload" => settings.kv_offload = true,
        "-nkvo" | "--no-kv-offload" => settings.kv_offload = false,
        "--swa-full" => settings.swa_full = true,
        "-fa" | "--flash-attn" => {
            let value = words.value("flash-attn")?;
            settings.flash_attn = match switch(value) {
                Some(true) => FlashAttention::On,
                Some(false) => FlashAttention::Off,
                None if matches!(value, "auto" | "-1") => FlashAttention::Auto,
                None => return Err(refuse("flash-attn", value, "write on, off or auto")),
            };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What the server does with the flags before it starts (tools/server/server.cpp and server-context.cpp).
fn serve(settings: &mut Settings, slots: Option<i64>, unified: Option<bool>) -> Result<(), Error> {
    match slots {
        Some(0) => return Err(refuse("parallel", "0", "the server needs at least 1 slot")),
        Some(slots) if slots > 0 => {
            settings.parallel = u32::try_from(slots).unwrap_or(u32::MAX);
            settings.kv_unified = unified.unwrap_or(false);
        }
        // Automatic slots share one cache, whatever the flag says.
        _ => (settings.parallel, settings.kv_unified) = (4, true),
    }
    if settings.embeddings {
        // Embeddings are computed in one piece, and each token is an output.
        settings.batch_size = settings.batch_size.min(settings.ubatch_size);
        settings.n_outputs_max = settings.batch_size;
    } else {
        settings.n_outputs_max = settings.parallel.min(settings.batch_size).max(1);
    }
    Ok(())
}

fn layers(words: &mut Words<'_>) -> Result<Option<u32>, Error> {
    let value = words.value("n-gpu-layers")?;
    if matches!(value, "auto" | "all") {
        return Ok(None);
    }
    let number: i64 =
        value.parse().map_err(|_| refuse("n-gpu-layers", value, "write a whole number, auto or all"))?;
    // A negative number is automatic or all.
    Ok(u32::try_from(number).ok())
}

fn shares(words: &mut Words<'_>) -> Result<Vec<f32>, Error> {
    let value = words.value("tensor-split")?;
    let parsed = value.split([',', '/']).map(str::parse::<f32>).collect::<Result<Vec<_>, _>>();
    let parsed = parsed.ok().filter(|shares| shares.iter().all(|share| share.is_finite() && *share >= 0.0));
    parsed.ok_or_else(|| refuse("tensor-split", value, "write proportions such as 3,1"))
}

fn split_mode(words: &mut Words<'_>) -> Result<(), Error> {
    match words.value("split-mode")? {
        "layer" => Ok(()),
        other => Err(refuse("split-mode", other, "only the split by layers is known; write layer")),
    }
}

fn overrides(value: &str) -> Result<Vec<Override>, Error> {
    value
        .split(',')
        .map(|entry| match entry.split_once('=') {
            Some((pattern, "CPU")) => Ok(Override { pattern: pattern.into() }),
            Some((_, device)) => {
                Err(refuse("override-tensor", device, "only overrides to CPU are known; write CPU"))
            }
            None => Err(refuse("override-tensor", entry, "write PATTERN=CPU")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, Error> {
        read_command(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_server_has_four_slots_over_one_cache_unless_told_otherwise() {
        let automatic = read("-m a.gguf").unwrap().settings;
        assert_eq!((automatic.parallel, automatic.kv_unified, automatic.n_outputs_max), (4, true, 4));
        let two = read("-np 2").unwrap().settings;
        assert_eq!((two.parallel, two.kv_unified, two.n_outputs_max), (2, false, 2));
        assert!(read("-np 2 -kvu").unwrap().settings.kv_unified);
    }

    #[test]
    fn every_alias_of_a_flag_reads_the_same() {
        for (short, long) in [
            ("-c 9 -b 8 -ub 4", "--ctx-size 9 --batch-size 8 --ubatch-size 4"),
            ("-ngl 7", "--n-gpu-layers 7"),
            ("-ngl 7", "--gpu-layers 7"),
            ("-ctk q8_0 -ctv q4_0", "--cache-type-k q8_0 --cache-type-v q4_0"),
            ("-nkvo -fa on", "--no-kv-offload --flash-attn 1"),
            ("-cmoe -ncmoe 3", "--cpu-moe --n-cpu-moe 3"),
            ("-ts 3,1", "--tensor-split 3,1"),
            ("-ot exps=CPU", "--override-tensor exps=CPU"),
        ] {
            assert_eq!(read(short).unwrap(), read(long).unwrap());
        }
    }

    #[test]
    fn embeddings_are_computed_in_one_piece() {
        let settings = read("--embedding").unwrap().settings;
        assert_eq!((settings.batch_size, settings.ubatch_size, settings.n_outputs_max), (512, 512, 512));
    }

    #[test]
    fn flags_that_decide_nothing_are_kept_in_their_order() {
        let command = read("--host 0.0.0.0 -c 4096 --jinja").unwrap();
        assert_eq!(command.others, ["--host", "0.0.0.0", "--jinja"]);
        assert!(command.fit && !read("--fit off").unwrap().fit);
    }

    #[test]
    fn values_that_the_server_refuses_are_refused() {
        for line in [
            "-c",
            "-c many",
            "-np 0",
            "-ctk q6_k",
            "-fa maybe",
            "-ts a,b",
            "-sm row",
            "-ot x",
            "-ot x=CUDA1",
            "-ngl some",
        ] {
            assert!(matches!(read(line), Err(Error::Setting { .. })), "{line}");
        }
    }
}
