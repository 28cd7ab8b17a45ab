//! Attention windows by block: `sliding_window`, `layer_types` and what Qwen puts between them.

use serde_json::Value;

use crate::Fault;
use crate::keys::{Keys, wrong_type};

/// Refuses a list of layer types that says something else than full attention, for the classes without layer types.
pub(crate) fn refuse(keys: Keys, layers: u64) -> Result<(), Fault> {
    if let Some(types) = layer_types(keys, layers)?
        && types.contains(&LayerType::Sliding)
    {
        let why = "alternating attention belongs to the qwen2, qwen3, gemma2 and ministral classes";
        return Err(Fault::Unsupported { key: "layer_types".into(), value: "sliding_attention".into(), why });
    }
    Ok(())
}

/// `Qwen2Config.__post_init__`: windows count only with `use_sliding_window`, from `max_window_layers` on.
pub(crate) fn by_layer(keys: Keys, layers: u64) -> Result<Vec<Option<u64>>, Fault> {
    let (window, used) = (keys.optional_size("sliding_window")?, keys.flag("use_sliding_window")?);
    let window = window.filter(|_| used);
    let first = keys.count("max_window_layers")?;
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

/// `Gemma2Config.__post_init__`: without a list every second block has the window, the first one included.
pub(crate) fn alternating(keys: Keys, layers: u64, window: u64) -> Result<Vec<Option<u64>>, Fault> {
    let Some(types) = layer_types(keys, layers)? else {
        return Ok((0..layers).map(|at| (at % 2 == 0).then_some(window)).collect());
    };
    Ok(types.into_iter().map(|kind| (kind == LayerType::Sliding).then_some(window)).collect())
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
