//! The rotary embedding's parameters, in the old spelling (`rope_scaling`, `rope_theta`) and the new (`rope_parameters`):
//! `RotaryEmbeddingConfigMixin` of transformers 5.23 modeling_rope_utils.py.

use serde_json::{Map, Value};

use crate::keys::{Keys, wrong_type};
use crate::{Fault, RopeType};

/// Each `rope_type` with the keys transformers demands beside it (`_validate_*_rope_parameters`).
/// `original_max_position_embeddings` and `rope_theta` are not listed: transformers fills them in.
const TYPES: [(&str, RopeType, &[&str]); 6] = [
    ("default", RopeType::Default, &[]),
    ("linear", RopeType::Linear, &["factor"]),
    ("dynamic", RopeType::Dynamic, &["factor"]),
    ("yarn", RopeType::Yarn, &["factor"]),
    ("longrope", RopeType::LongRope, &["short_factor", "long_factor"]),
    ("llama3", RopeType::Llama3, &["factor", "low_freq_factor", "high_freq_factor"]),
];

/// How the frequencies are made.
pub(crate) fn rope_type(keys: Keys) -> Result<RopeType, Fault> {
    let Some((key, table)) = parameters(keys)? else { return Ok(RopeType::Default) };
    if table.contains_key("full_attention") || table.contains_key("sliding_attention") {
        let why = "rotary parameters per layer type are not used by the simulated families";
        return Err(Fault::Unsupported {
            key: key.to_owned(),
            value: Value::Object(table.clone()).to_string(),
            why,
        });
    }
    no_partial_rotation(keys, table)?;
    let name = type_name(key, table)?;
    let Some((_, found, needed)) = TYPES.iter().find(|row| row.0 == name) else {
        let names: Vec<&str> = TYPES.iter().map(|row| row.0).collect();
        let expected = format!("simulated are {}", names.join(", "));
        return Err(Fault::value(&format!("{key}.rope_type"), format!("{name:?}"), expected));
    };
    match needed.iter().find(|needed| !table.contains_key(**needed)) {
        Some(missing) => {
            let expected = format!("a `rope_type` of {name:?} needs the key `{missing}`");
            Err(Fault::value(key, Value::Object(table.clone()), expected))
        }
        None => Ok(*found),
    }
}

/// A table and the key it stands under.
type Named<'a> = (&'static str, &'a Map<String, Value>);

/// The table with the parameters and the key it was found under: `rope_scaling` wins where it is not empty
/// (`convert_rope_params_to_dict`).
fn parameters<'a>(keys: Keys<'a>) -> Result<Option<Named<'a>>, Fault> {
    for key in ["rope_scaling", "rope_parameters"] {
        match keys.given(key) {
            None => {}
            Some(Value::Object(table)) if table.is_empty() => {}
            Some(Value::Object(table)) => return Ok(Some((key, table))),
            Some(other) => return Err(wrong_type(key, other, "a table or null")),
        }
    }
    Ok(None)
}

/// `rope_type`, in old files `type`.
fn type_name<'a>(key: &str, table: &'a Map<String, Value>) -> Result<&'a str, Fault> {
    match table.get("rope_type").or_else(|| table.get("type")) {
        None => Ok("default"),
        Some(Value::String(name)) => Ok(name),
        Some(other) => Err(wrong_type(&format!("{key}.rope_type"), other, "a text")),
    }
}

/// The simulated families rotate whole heads: with `partial_rotary_factor` the real code fails on shapes.
fn no_partial_rotation(keys: Keys, table: &Map<String, Value>) -> Result<(), Fault> {
    let factor = table.get("partial_rotary_factor").or_else(|| keys.given("partial_rotary_factor"));
    match factor {
        Some(factor) if !factor.is_null() && factor.as_f64() != Some(1.0) => Err(Fault::Unsupported {
            key: "partial_rotary_factor".to_owned(),
            value: factor.to_string(),
            why: "the simulated families rotate whole heads",
        }),
        _ => Ok(()),
    }
}
