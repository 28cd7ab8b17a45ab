//! How the weights of linear layers are stored: `quantization_config` of config.json, or the job's `quantization`.

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::ServingError;

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In the model's dtype.
    Whole,
    /// One byte for an element, with fp32 scales.
    Eight(Scales),
    /// A few bits for an element, with a scale in the model's dtype, and perhaps a zero point, for each group of inputs.
    Packed {
        /// Bits of an element.
        bits: u64,
        /// Elements of a group; `None` for one group along all inputs.
        group: Option<u64>,
        /// Whether a group has a zero point of as many bits.
        zeros: bool,
    },
    /// Four bits for an element, and a byte for each 32.
    Mxfp4,
}

/// For what there is a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scales {
    /// The whole matrix.
    Tensor,
    /// Each output.
    Channel,
    /// Each block of this many outputs and inputs.
    Block(u64, u64),
}

/// How each matrix of a model is stored.
#[derive(Clone, Debug)]
pub struct Quantization {
    /// The engine's name of the method, such as `compressed-tensors`; `None` for weights in the model's dtype.
    pub method: Option<String>,
    linear: Scheme,
    experts: Scheme,
    ignored: Vec<Ignored>,
}

/// Modules that stay in the model's dtype.
#[derive(Clone, Debug)]
enum Ignored {
    Name(String),
    Pattern(Regex),
}

/// Methods that a loader of vLLM 0.33 has and whose layouts are known here.
const KNOWN: &str = "fp8, compressed-tensors (8 bits, or 4 bits packed), awq, gptq, mxfp4";

impl Quantization {
    /// Every matrix in the model's dtype.
    pub(crate) fn none() -> Quantization {
        Quantization { method: None, linear: Scheme::Whole, experts: Scheme::Whole, ignored: Vec::new() }
    }

    /// What a `quantization_config` and the job's `quantization` say.
    ///
    /// # Errors
    /// A method whose layout is not known.
    pub(crate) fn of(
        config: Option<&Map<String, Value>>,
        asked: Option<&str>,
    ) -> Result<Quantization, ServingError> {
        let Some(config) = config else { return Quantization::at_load(asked) };
        let method = config.get("quant_method").and_then(Value::as_str).unwrap_or_default();
        let linear = match method {
            "fp8" => Scheme::Eight(block(config).unwrap_or(Scales::Tensor)),
            "compressed-tensors" => compressed(config)?,
            "awq" => Scheme::Packed {
                bits: bits(config, "bits")?,
                group: group(config, "group_size"),
                zeros: true,
            },
            "gptq" => {
                // A symmetric checkpoint's zero points are all the same, and Marlin drops them.
                let zeros = !config.get("sym").and_then(Value::as_bool).unwrap_or(true);
                Scheme::Packed { bits: bits(config, "bits")?, group: group(config, "group_size"), zeros }
            }
            "mxfp4" => Scheme::Whole,
            other => return Err(unknown("quantization_config.quant_method", other)),
        };
        let experts = if method == "mxfp4" { Scheme::Mxfp4 } else { linear };
        Ok(Quantization { method: Some(method.to_owned()), linear, experts, ignored: ignored(config) })
    }

    /// Weights of the model's dtype that the engine quantizes while it loads them.
    fn at_load(asked: Option<&str>) -> Result<Quantization, ServingError> {
        let scales = match asked {
            None => return Ok(Quantization::none()),
            Some("fp8" | "fp8_per_tensor") => Scales::Tensor,
            Some("fp8_per_channel" | "int8_per_channel_weight_only") => Scales::Channel,
            Some("fp8_per_block") => Scales::Block(128, 128),
            Some(other @ ("awq" | "gptq" | "compressed-tensors" | "mxfp4")) => {
                let expected = "the config has no quantization_config, and only weights that were stored in this form are \
                     loaded in it; name such a checkpoint, or leave quantization out";
                return Err(ServingError::value("serve.quantization", format!("{other:?}"), expected));
            }
            Some(other) => return Err(unknown("serve.quantization", other)),
        };
        let scheme = Scheme::Eight(scales);
        Ok(Quantization {
            method: asked.map(str::to_owned),
            linear: scheme,
            experts: scheme,
            ignored: vec![Ignored::Name("lm_head".to_owned())],
        })
    }

    /// How a linear layer is stored. `names` are the modules of the checkpoint that the engine merges into it.
    pub(crate) fn of_linear(&self, names: &[String]) -> Scheme {
        if names.iter().any(|name| self.is_ignored(name)) { Scheme::Whole } else { self.linear }
    }

    /// How the experts of a layer are stored.
    pub(crate) fn of_experts(&self, name: &str) -> Scheme {
        if self.is_ignored(name) { Scheme::Whole } else { self.experts }
    }

    /// Whether linear layers are packed into less than eight bits.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self.linear, Scheme::Packed { .. })
    }

    fn is_ignored(&self, module: &str) -> bool {
        self.ignored.iter().any(|ignored| match ignored {
            Ignored::Name(name) => {
                module == name || module.ends_with(&format!(".{name}")) || is_within(module, name)
            }
            Ignored::Pattern(pattern) => pattern.is_match(module),
        })
    }
}

/// Whether a module stands below another one: `modules_to_not_convert` names whole layers, too.
fn is_within(module: &str, parent: &str) -> bool {
    module.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'))
        || module.contains(&format!(".{parent}."))
}

/// The names under which the methods list what they leave out.
fn ignored(config: &Map<String, Value>) -> Vec<Ignored> {
    let lists = ["ignore", "modules_to_not_convert", "ignored_layers"];
    let names =
        lists.iter().filter_map(|key| config.get(*key)?.as_array()).flatten().filter_map(Value::as_str);
    names
        .filter_map(|name| match name.strip_prefix("re:") {
            // A pattern matches from the beginning, as Python's `re.match` does; one that is malformed matches nothing.
            Some(pattern) => Regex::new(&format!("^(?:{pattern})")).ok().map(Ignored::Pattern),
            None => Some(Ignored::Name(name.to_owned())),
        })
        .collect()
}

/// `weight_block_size` of an fp8 checkpoint.
fn block(config: &Map<String, Value>) -> Option<Scales> {
    match config.get("weight_block_size")?.as_array()?.as_slice() {
        [rows, columns] => Some(Scales::Block(rows.as_u64()?.max(1), columns.as_u64()?.max(1))),
        _ => None,
    }
}

/// The bits of an element.
fn bits(config: &Map<String, Value>, key: &str) -> Result<u64, ServingError> {
    match config.get(key).or_else(|| config.get("w_bit")).map(|value| (value, value.as_u64())) {
        None => Ok(4),
        Some((_, Some(bits @ (2 | 3 | 4 | 8)))) => Ok(bits),
        Some((value, _)) => {
            Err(ServingError::value(&format!("quantization_config.{key}"), value, "expected 2, 3, 4 or 8"))
        }
    }
}

/// The elements of a group; -1 is one group for all.
fn group(config: &Map<String, Value>, key: &str) -> Option<u64> {
    let size = config.get(key).or_else(|| config.get("q_group_size")).and_then(Value::as_i64).unwrap_or(128);
    u64::try_from(size).ok().filter(|size| *size > 0)
}

/// The scheme of compressed-tensors, whose first group counts: checkpoints with several are refused.
fn compressed(config: &Map<String, Value>) -> Result<Scheme, ServingError> {
    const KEY: &str = "quantization_config.config_groups";
    let groups = config.get("config_groups").and_then(Value::as_object);
    let weights: Vec<&Value> =
        groups.into_iter().flatten().filter_map(|(_, group)| group.get("weights")).collect();
    let first = match weights.as_slice() {
        [first, others @ ..] if others.iter().all(|other| other == first) => *first,
        [] => {
            return Err(ServingError::value(
                KEY,
                "absent",
                "expected a group with the scheme of its weights",
            ));
        }
        _ => {
            return Err(ServingError::value(
                KEY,
                "several schemes",
                "one scheme for all layers is known here",
            ));
        }
    };
    let text = |key: &str| first.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| first.get(key).and_then(Value::as_u64);
    match (number("num_bits"), text("strategy")) {
        (Some(8), "channel") => Ok(Scheme::Eight(Scales::Channel)),
        (Some(8), "tensor") => Ok(Scheme::Eight(Scales::Tensor)),
        (Some(8), "block") => Ok(Scheme::Eight(block_structure(first))),
        (Some(bits @ (4 | 8)), "group" | "channel") if text("type") == "int" => Ok(Scheme::Packed {
            bits,
            group: number("group_size").filter(|size| *size > 0),
            zeros: !first.get("symmetric").and_then(Value::as_bool).unwrap_or(true),
        }),
        (bits, strategy) => {
            let found = format!("{} bits by {strategy} of {}", bits.unwrap_or_default(), text("type"));
            Err(ServingError::value(
                KEY,
                found,
                "known are 8 bits by tensor, channel or block, and 4 bits of int by group",
            ))
        }
    }
}

/// `block_structure` of a block-wise scheme.
fn block_structure(weights: &Value) -> Scales {
    let sizes = weights.get("block_structure").and_then(Value::as_array);
    let sizes: Vec<u64> =
        sizes.into_iter().flatten().filter_map(Value::as_u64).filter(|size| *size > 0).collect();
    match sizes.as_slice() {
        [rows, columns] => Scales::Block(*rows, *columns),
        _ => Scales::Block(128, 128),
    }
}

/// A method that is not known, or no longer.
fn unknown(key: &str, method: &str) -> ServingError {
    let expected = match method {
        "bitsandbytes" | "gguf" => format!(
            "vLLM 0.33 has no loader for it (\"Unknown quantization method\"; 0.20 had one); known here are {KNOWN}"
        ),
        _ => format!("its layout in vLLM is not known here; known are {KNOWN}"),
    };
    ServingError::value(key, format!("{method:?}"), expected)
}
