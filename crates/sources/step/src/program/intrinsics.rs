//! Functions of transformers that are known as a whole: masks, attention, caches, and what balances experts.

use brimful_jobs::{AttentionKernel, AttentionMask};
use brimful_programs::{Expression, Keywords, has_encoder_and_decoder};
use brimful_units::Dtype;

use super::arguments::Arguments;
use super::fault::Fault;
use super::frame::{CacheOf, Frame};
use super::functions;
use super::value::{CacheRole, Items, Value};
use crate::models::{AttentionCall, Cache, Inputs, Mask, Sight, attend, bidirectional_mask, causal_mask};
use crate::nn::bloom_gelu;
use crate::ops;
use crate::tensor::Tensor;

/// Calls `family name(…)`.
pub(super) fn call(
    frame: &mut Frame<'_>,
    family: &str,
    name: &str,
    arguments: &[Expression],
    keywords: &Keywords,
) -> Result<Value, Fault> {
    let function = format!("{family} {name}");
    let given = frame.arguments(&function, arguments, keywords)?;
    let own_ones = keywords.iter().any(|(key, value)| key == "attention_mask" && frame.holds_ones(value));
    match (family, name) {
        ("mask", "causal") => mask(frame, &given, None, own_ones),
        ("mask", "sliding") => {
            let window = given.integer(usize::MAX, "window")?;
            let window = u64::try_from(window).map_err(|_| given.fault(format!("a window of {window}")))?;
            mask(frame, &given, Some(window), own_ones)
        }
        ("mask", "bidirectional") => both_ways(frame, &given),
        ("attention", "sdpa") => attention(frame, &given),
        ("cache", "dynamic") => {
            if frame.cache.is_none() {
                frame.cache = Some(CacheOf::Made(Cache::dynamic(&frame.state.windows)));
                return Ok(Value::Cache(CacheRole::SelfAttention));
            }
            // `EncoderDecoderCache(DynamicCache(…), DynamicCache(…))` makes two.
            frame.cross_cache = Some(Cache::dynamic(&frame.state.windows));
            Ok(Value::Cache(CacheRole::CrossAttention))
        }
        ("cache", "encoder_decoder") => Ok(Value::Cache(CacheRole::Both)),
        ("cache", "update") => update(frame, &given),
        ("function", "GeLUFunction") => Ok(bloom_gelu(given.tensor(0, "input")?).into()),
        ("router", "collect") => {
            frame.state.collect(given.tensor(0, "router_logits")?.clone());
            Ok(Value::NONE)
        }
        ("router", "balancing") => functions::balancing(&given).map(Value::Tensor),
        _ => Err(Fault::Function(function)),
    }
}

/// `create_causal_mask`, or with a window `create_sliding_window_causal_mask`. `own_ones` is whether the model made the
/// padding itself with `torch.ones`.
fn mask(
    frame: &mut Frame<'_>,
    given: &Arguments<'_>,
    window: Option<u64>,
    own_ones: bool,
) -> Result<Value, Fault> {
    let (Some(inputs), Some(mut mode)) = (frame.inputs, frame.mode) else {
        return Err(Fault::Damaged("a mask is made inside of a layer".to_owned()));
    };
    let embeds = given.tensor(usize::MAX, "inputs_embeds")?;
    let position_ids = given.optional_tensor(usize::MAX, "position_ids")?;
    let padding = given.optional_tensor(usize::MAX, "attention_mask")?;
    if own_ones {
        // Whatever the batches' masks hold, this one holds no padding.
        mode.attention_mask = AttentionMask::Ones;
    } else if padding.is_none() && has_encoder_and_decoder(&frame.state.program.header.task) {
        // The caller's mask is that of the encoder's tokens.
        mode.attention_mask = AttentionMask::None;
    } else if padding.is_some() != inputs.attention_mask.is_some() {
        return Err(given.fault("a mask of the model's own"));
    }
    let inputs = &Inputs { attention_mask: padding, ..*inputs };
    // A mask asks the first layer of its kind in the cache how many keys there are, and the first layer of all where there
    // is none of its kind (`find_full_attention_layer` in masking_utils.py).
    let of_cache = frame.state.windows.iter().copied().flatten().next();
    let sees_all = frame.state.windows.iter().any(Option::is_none);
    let cache_window = if window.is_some() { of_cache } else { of_cache.filter(|_| !sees_all) };
    let passed = given.get(usize::MAX, "past_key_values").is_some();
    let cache = frame.cache.as_mut().filter(|_| passed).map(|cache| &*cache.get());
    if own_ones && cache.is_some_and(|cache| !cache.knows_its_length()) {
        // transformers pads this mask to the length of a static cache (`prepare_padding_mask` in masking_utils.py).
        return Err(given.fault("a mask of the model's own beside a static cache"));
    }
    if !given.flag(usize::MAX, "allow_is_causal_skip", true)? {
        return Err(given.fault("allow_is_causal_skip = False"));
    }
    let sight = Sight { window, cache_window };
    Ok(Value::Mask(causal_mask(inputs, &mode, embeds, position_ids, cache, sight)))
}

/// `create_bidirectional_mask` of the caller's tokens, without a cache.
fn both_ways(frame: &Frame<'_>, given: &Arguments<'_>) -> Result<Value, Fault> {
    let (Some(inputs), Some(mode)) = (frame.inputs, frame.mode) else {
        return Err(Fault::Damaged("a mask is made inside of a layer".to_owned()));
    };
    let embeds = given.tensor(usize::MAX, "inputs_embeds")?;
    let padding = given.optional_tensor(usize::MAX, "attention_mask")?;
    if padding.is_some() != inputs.attention_mask.is_some()
        || given.get(usize::MAX, "past_key_values").is_some()
    {
        return Err(given.fault("a mask of the model's own, or a cache"));
    }
    let encoder = given.optional_tensor(usize::MAX, "encoder_hidden_states")?;
    Ok(Value::Mask(bidirectional_mask(inputs, &mode, embeds, encoder.unwrap_or(embeds))))
}

/// `sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling)`.
fn attention(frame: &Frame<'_>, given: &Arguments<'_>) -> Result<Value, Fault> {
    let mode = frame.mode.ok_or_else(|| Fault::Damaged("attention in a constructor".to_owned()))?;
    let (query, key, value) = (given.tensor(0, "query")?, given.tensor(1, "key")?, given.tensor(2, "value")?);
    let sizes = |x: &Tensor| (x.rank() == 4).then(|| (x.dim(0), x.dim(1), x.last(0)));
    let fit = match (sizes(query), sizes(key), sizes(value)) {
        (Some((batch, heads, width)), Some((batches, groups, keys)), Some((_, values, _))) => {
            batch == batches && width == keys && groups == values && groups > 0 && heads % groups == 0
        }
        _ => false,
    };
    if !fit {
        let found = format!("{}, {} and {}", query.shape(), key.shape(), value.shape());
        return Err(given.fault(format!("queries, keys and values of {found}")));
    }
    let mask = match given.get(3, "attention_mask") {
        None => Mask::None,
        Some(Value::Mask(mask)) => mask.clone(),
        Some(Value::Tensor(mask)) => Mask::Bias(mask.clone()),
        Some(other) => return Err(given.fault(format!("{} as its mask", other.kind()))),
    };
    let call = AttentionCall {
        kernel: if mode.attention == AttentionKernel::Eager { AttentionKernel::Sdpa } else { mode.attention },
        dropout: given.optional_number(usize::MAX, "dropout")?.unwrap_or(0.0),
        softcap: false,
        causal: given.flag(usize::MAX, "causal", true)?,
        training: mode.training,
        rules: mode.rules,
    };
    let bias = given.optional_tensor(usize::MAX, "bias")?;
    let mask = match bias {
        None => mask,
        Some(bias) => position_bias_mask(bias, mask, call.causal, query, key),
    };
    let (output, _) = attend(query, key, value, &mask, &call);
    Ok(output.into())
}

/// `create_position_bias_mask` (integrations/sdpa_attention.py, 5.23): one mask of numbers made of a bias and of another mask.
fn position_bias_mask(bias: &Tensor, mask: Mask, causal: bool, query: &Tensor, key: &Tensor) -> Mask {
    let device = bias.device();
    let (queries, keys) = (query.dim(2), key.dim(2));
    let without = |keep: &Tensor| {
        // `torch.where(keep, bias, lowest)`: the number becomes a tensor for the length of the call.
        let lowest = ops::new_tensor(device, "scalar_tensor", [], bias.dtype());
        let masked = ops::choose(keep, bias, &lowest);
        drop(lowest);
        masked
    };
    let mut causal_mask = None;
    let made = match mask {
        Mask::None if causal && queries > 1 => {
            let range = |length| ops::new_tensor(device, "arange", [length], Dtype::I64);
            let (rows, columns) = (range(queries), range(keys));
            let keep = ops::new_tensor(device, "ge", [queries, keys], Dtype::Bool);
            drop(columns);
            drop(rows);
            without(causal_mask.insert(ops::view(&keep, [1, 1, queries, keys])))
        }
        Mask::None => bias.clone(),
        Mask::Keep(keep) | Mask::Bias(keep) if keep.dtype() == Dtype::Bool => without(&keep),
        Mask::Keep(mask) | Mask::Bias(mask) => ops::add(bias, &mask),
    };
    let contiguous = ops::contiguous(&made);
    // The function returns: its locals go in the order in which they were bound.
    drop(causal_mask);
    drop(made);
    Mask::Bias(contiguous)
}

/// `past_key_values.update(key, value, layer_idx)`.
fn update(frame: &mut Frame<'_>, given: &Arguments<'_>) -> Result<Value, Fault> {
    let (key, value) = (given.tensor(1, "key_states")?.clone(), given.tensor(2, "value_states")?.clone());
    let layer =
        usize::try_from(given.integer(3, "layer_idx")?).map_err(|_| given.fault("a negative layer"))?;
    let layers = frame.state.windows.len();
    if layer >= layers {
        return Err(given.fault(format!("layer {layer} of {layers}")));
    }
    let cache = match given.get(0, "past_key_values") {
        Some(Value::Cache(CacheRole::CrossAttention)) => frame.cross_cache.as_mut(),
        _ => frame.cache.as_mut().map(CacheOf::get),
    };
    let Some(cache) = cache else {
        // A checkpointed layer gets no cache (`GradientCheckpointingLayer` takes it away): the states go on as they are.
        return Ok(Value::Items(Items(vec![key.into(), value.into()])));
    };
    let (keys, values) = cache.update(key, value, layer);
    Ok(Value::Items(Items(vec![keys.into(), values.into()])))
}
