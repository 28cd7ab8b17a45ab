//! `LlamaConfig`, `MistralConfig`, `Qwen2Config`, `Qwen3Config` of transformers 5.23 (models/*/configuration_*.py):
//! defaults, what they derive and what they refuse.

use serde_json::Value;

use crate::keys::{Keys, wrong_type};
use crate::{Activation, DecoderConfig, DecoderFamily, Fault, rope};

use DecoderFamily::*;

/// The defaults of a config class where the families differ.
struct Defaults {
    vocab_size: u64,
    intermediate_size: u64,
    key_value_heads: KeyValueHeads,
    head_dim: HeadDim,
    max_position_embeddings: u64,
}

/// What the class makes of an absent and of a `null` `num_key_value_heads`.
enum KeyValueHeads {
    /// `int | None`: `null` means as many as query heads.
    Optional(Option<u64>),
    /// `int`: `null` is refused.
    Required(u64),
}

/// What the class makes of `head_dim`.
enum HeadDim {
    /// `int | None`: `null` means hidden size over heads.
    Optional,
    /// Not a field: an extra attribute where given, but then it cannot be `null`.
    Extra,
    /// `int` with this default.
    Required(u64),
}

fn defaults(family: DecoderFamily) -> Defaults {
    let (vocab_size, intermediate_size, key_value_heads, head_dim, max_position_embeddings) = match family {
        Llama => (32000, 11008, KeyValueHeads::Optional(None), HeadDim::Optional, 2048),
        Mistral => (32000, 14336, KeyValueHeads::Required(8), HeadDim::Optional, 4096 * 32),
        Qwen2 => (151_936, 22016, KeyValueHeads::Optional(Some(32)), HeadDim::Extra, 32768),
        Qwen3 => (151_936, 22016, KeyValueHeads::Optional(Some(32)), HeadDim::Required(128), 32768),
    };
    Defaults { vocab_size, intermediate_size, key_value_heads, head_dim, max_position_embeddings }
}

/// The numbers of a decoder from the keys of its `config.json`.
pub(crate) fn parse(family: DecoderFamily, keys: Keys) -> Result<DecoderConfig, Fault> {
    let defaults = defaults(family);
    let hidden_size = keys.size("hidden_size", 4096)?;
    let num_attention_heads = keys.size("num_attention_heads", 32)?;
    let num_hidden_layers = layers(keys, "num_hidden_layers", 32)?;
    if family == Llama && !hidden_size.is_multiple_of(num_attention_heads) {
        let expected = format!("it must be a multiple of `num_attention_heads` ({num_attention_heads})");
        return Err(Fault::value("hidden_size", hidden_size, expected));
    }
    let bias = matches!(family, Llama | Qwen3) && keys.flag("attention_bias", false)?;
    Ok(DecoderConfig {
        family,
        vocab_size: keys.size("vocab_size", defaults.vocab_size)?,
        hidden_size,
        intermediate_size: keys.size("intermediate_size", defaults.intermediate_size)?,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads: key_value_heads(keys, &defaults.key_value_heads, num_attention_heads)?,
        head_dim: head_dim(keys, &defaults.head_dim, hidden_size, num_attention_heads)?,
        hidden_act: activation(keys, "hidden_act", "silu")?,
        max_position_embeddings: keys.size("max_position_embeddings", defaults.max_position_embeddings)?,
        tie_word_embeddings: keys.flag("tie_word_embeddings", false)?,
        qkv_bias: bias || family == Qwen2,
        o_bias: bias,
        mlp_bias: family == Llama && keys.flag("mlp_bias", false)?,
        attention_dropout: attention_dropout(family, keys)?,
        sliding_windows: sliding_windows(family, keys, num_hidden_layers)?,
        rope_type: rope::rope_type(keys)?,
    })
}

/// Blocks: more than 10 000 would not be a real model, and would keep a simulation busy for long.
pub(crate) fn layers(keys: Keys, key: &str, default: u64) -> Result<u64, Fault> {
    match keys.size(key, default)? {
        n if n > 10_000 => Err(Fault::value(key, n, "at most 10000 layers are simulated")),
        n => Ok(n),
    }
}

/// `LlamaConfig` alone allows `null`.
fn attention_dropout(family: DecoderFamily, keys: Keys) -> Result<f64, Fault> {
    if family == Llama && keys.given("attention_dropout").is_none() {
        return Ok(0.0);
    }
    keys.probability("attention_dropout", 0.0)
}

fn key_value_heads(keys: Keys, rule: &KeyValueHeads, heads: u64) -> Result<u64, Fault> {
    let key = "num_key_value_heads";
    let found = match rule {
        KeyValueHeads::Required(default) => keys.size(key, *default)?,
        KeyValueHeads::Optional(_) if keys.get(key).is_some() => keys.optional_size(key)?.unwrap_or(heads),
        KeyValueHeads::Optional(default) => default.unwrap_or(heads),
    };
    if !heads.is_multiple_of(found) {
        let expected = format!("`num_attention_heads` ({heads}) must be a multiple of it");
        return Err(Fault::value(key, found, expected));
    }
    Ok(found)
}

fn head_dim(keys: Keys, rule: &HeadDim, hidden_size: u64, heads: u64) -> Result<u64, Fault> {
    let derived = hidden_size / heads;
    let found = match (rule, keys.get("head_dim")) {
        (HeadDim::Required(default), _) => keys.size("head_dim", *default)?,
        (HeadDim::Optional | HeadDim::Extra, None) | (HeadDim::Optional, Some(Value::Null)) => derived,
        _ => keys.size("head_dim", derived)?,
    };
    if found == 0 {
        let expected = format!("`hidden_size` ({hidden_size}) gives each of them less than one column");
        return Err(Fault::value("num_attention_heads", heads, expected));
    }
    if !found.is_multiple_of(2) {
        return Err(Fault::value("head_dim", found, "rotary embeddings need an even width of a head"));
    }
    Ok(found)
}

/// The class of an activation, by transformers' name.
pub(crate) fn activation(keys: Keys, key: &str, default: &str) -> Result<Activation, Fault> {
    Ok(match keys.text(key, default)? {
        "silu" | "swish" => Activation::Silu,
        "gelu" => Activation::Gelu,
        "gelu_pytorch_tanh" => Activation::GeluTanh,
        "gelu_new" => Activation::GeluNew,
        "relu" => Activation::Relu,
        other => {
            let expected = "simulated are silu, swish, gelu, gelu_pytorch_tanh, gelu_new and relu";
            return Err(Fault::value(key, format!("{other:?}"), expected));
        }
    })
}

/// The attention window of each block.
fn sliding_windows(family: DecoderFamily, keys: Keys, layers: u64) -> Result<Vec<Option<u64>>, Fault> {
    match family {
        Llama => everything_seen(keys, layers),
        Mistral => {
            everything_seen(keys, layers)?;
            let window = match keys.get("sliding_window") {
                None => Some(4096),
                Some(_) => keys.optional_size("sliding_window")?,
            };
            Ok(vec![window; layers as usize])
        }
        Qwen2 | Qwen3 => windows_by_layer(keys, layers),
    }
}

/// Llama and Mistral know no layer types; a list that says something else than full attention is not theirs.
fn everything_seen(keys: Keys, layers: u64) -> Result<Vec<Option<u64>>, Fault> {
    if let Some(types) = layer_types(keys, layers)?
        && types.contains(&LayerType::Sliding)
    {
        let why = "alternating attention belongs to the qwen2, qwen3 and ministral classes";
        return Err(Fault::Unsupported { key: "layer_types".into(), value: "sliding_attention".into(), why });
    }
    Ok(vec![None; layers as usize])
}

/// `Qwen2Config.__post_init__`: windows count only with `use_sliding_window`, from `max_window_layers` on.
fn windows_by_layer(keys: Keys, layers: u64) -> Result<Vec<Option<u64>>, Fault> {
    let window = match keys.get("sliding_window") {
        None => Some(4096),
        Some(_) => keys.optional_size("sliding_window")?,
    };
    let window = window.filter(|_| matches!(keys.get("use_sliding_window"), Some(Value::Bool(true))));
    keys.flag("use_sliding_window", false)?;
    let first = max_window_layers(keys)?;
    let Some(types) = layer_types(keys, layers)? else {
        return Ok((0..layers).map(|at| window.filter(|_| at >= first)).collect());
    };
    if window.is_none() && types.contains(&LayerType::Sliding) {
        let expected =
            "the layer type sliding_attention needs `use_sliding_window` = true and a `sliding_window`";
        return Err(Fault::value("layer_types", "a list with sliding_attention", expected));
    }
    Ok(types.into_iter().map(|kind| window.filter(|_| kind == LayerType::Sliding)).collect())
}

/// The first block with a window: an integer that may be 0.
fn max_window_layers(keys: Keys) -> Result<u64, Fault> {
    match keys.get("max_window_layers") {
        None => Ok(28),
        Some(value) => {
            value.as_u64().ok_or_else(|| wrong_type("max_window_layers", value, "an integer of at least 0"))
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum LayerType {
    Full,
    Sliding,
}

/// `layer_types`, one for each block (`validate_layer_type`); "attention" is the old name of full attention.
fn layer_types(keys: Keys, layers: u64) -> Result<Option<Vec<LayerType>>, Fault> {
    let Some(value) = keys.given("layer_types") else { return Ok(None) };
    let Value::Array(items) = value else { return Err(wrong_type("layer_types", value, "a list of texts")) };
    if items.len() as u64 != layers {
        let expected = format!("`num_hidden_layers` ({layers}) asks for as many");
        return Err(Fault::value("layer_types", format!("a list of {}", items.len()), expected));
    }
    items.iter().map(layer_type).collect::<Result<_, _>>().map(Some)
}

fn layer_type(item: &Value) -> Result<LayerType, Fault> {
    match item.as_str() {
        Some("full_attention" | "attention") => Ok(LayerType::Full),
        Some("sliding_attention") => Ok(LayerType::Sliding),
        Some(_) => Err(Fault::value("layer_types", item, "expected full_attention or sliding_attention")),
        None => Err(wrong_type("layer_types", item, "a text")),
    }
}
