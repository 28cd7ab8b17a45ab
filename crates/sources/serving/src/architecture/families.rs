//! Model types of config.json as lists of layers. Defaults of absent keys are those of transformers' config classes (5.23);
//! what each class has beside them is read off vllm/model_executor/models/*.py (0.33).

use brimful_units::Dtype;
use serde_json::{Map, Value};

use super::{
    Architecture, Attention, DeltaNet, Experts, Feed, Latent, Layer, Mamba, Mixer, Mlp, Normed,
    ShortConvolution, Window,
};
use crate::ServingError;
use crate::keys::Keys;

/// More layers are no model.
const MOST_LAYERS: u64 = 2_000;

/// What reads the layers of a family.
type Reader = fn(&Keys<'_>) -> Result<Vec<Layer>, ServingError>;

/// A family: its model types, whether its output layer is the embedding if the config does not say, and its layers.
struct Family {
    model_types: &'static [&'static str],
    tied: bool,
    layers: Reader,
}

const FAMILIES: &[Family] = &[
    Family { model_types: &["llama", "mistral", "ministral", "granite"], tied: false, layers: llama },
    Family { model_types: &["qwen2"], tied: false, layers: |keys| dense(keys, QWEN2) },
    Family { model_types: &["qwen3"], tied: false, layers: |keys| dense(keys, QWEN3) },
    Family { model_types: &["phi3"], tied: false, layers: |keys| dense(keys, PLAIN) },
    Family { model_types: &["olmo2", "olmo3"], tied: false, layers: |keys| dense(keys, OLMO2) },
    Family { model_types: &["glm4"], tied: false, layers: |keys| dense(keys, GLM4) },
    Family { model_types: &["smollm3"], tied: true, layers: |keys| dense(keys, PLAIN) },
    Family { model_types: &["gemma"], tied: true, layers: |keys| dense(keys, PLAIN) },
    Family { model_types: &["gemma2"], tied: true, layers: |keys| dense(keys, GEMMA2) },
    Family { model_types: &["gemma3_text", "gemma3"], tied: true, layers: |keys| dense(keys, GEMMA3) },
    Family { model_types: &["cohere2"], tied: true, layers: |keys| dense(keys, COHERE) },
    Family { model_types: &["cohere"], tied: true, layers: cohere },
    Family { model_types: &["mixtral"], tied: false, layers: mixtral },
    Family { model_types: &["qwen2_moe"], tied: false, layers: |keys| qwen_moe(keys, QWEN2) },
    Family { model_types: &["qwen3_moe"], tied: false, layers: |keys| qwen_moe(keys, QWEN3) },
    Family { model_types: &["gpt_oss"], tied: false, layers: gpt_oss },
    Family { model_types: &["deepseek_v2", "deepseek_v3"], tied: false, layers: deepseek },
    Family { model_types: &["granitemoehybrid"], tied: false, layers: granite_hybrid },
    Family { model_types: &["lfm2"], tied: true, layers: lfm2 },
    Family { model_types: &["mamba2"], tied: false, layers: mamba2 },
    Family {
        model_types: &["qwen3_next", "qwen3_5_text", "qwen3_5", "qwen3_5_moe_text", "qwen3_5_moe"],
        tied: false,
        layers: gated_delta,
    },
    Family { model_types: &["falcon_h1"], tied: false, layers: falcon_h1 },
    Family { model_types: &["nemotron_h"], tied: false, layers: nemotron_h },
];

/// The model types whose layers are known.
pub fn known_model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|family| family.model_types.iter().copied())
}

impl Architecture {
    /// Reads a config.json.
    ///
    /// # Errors
    /// An architecture that is not known, a key that is missing or cannot be, an encoder beside the language model.
    pub fn of(config: &Map<String, Value>, dtype: Option<Dtype>) -> Result<Architecture, ServingError> {
        let keys = Keys::of(config)?;
        if let Some(encoder) = keys.encoder() {
            let expected = "the encoder's weights and its part of the profile run are not predicted yet; give the config of the \
                 language model alone (`text_config`), or measure: brimful rehearse --dummy-weights -- vllm serve MODEL";
            return Err(ServingError::value(encoder, "a table", expected));
        }
        let family = FAMILIES.iter().find(|family| family.model_types.contains(&keys.model_type));
        let Some(family) = family else {
            let model_type = keys.model_type.to_owned();
            return Err(ServingError::Architecture { model_type, known: known_model_types().collect() });
        };
        let count = layer_count(&keys)?;
        if count > MOST_LAYERS {
            let expected = format!("expected at most {MOST_LAYERS} layers");
            return Err(ServingError::value("num_hidden_layers", count, expected));
        }
        let layers = (family.layers)(&keys)?;
        Ok(Architecture {
            model_type: keys.model_type.to_owned(),
            // vLLM's `auto` takes the checkpoint's dtype, and fp16 in place of fp32 (config/model.py _resolve_auto_dtype, 0.33).
            dtype: dtype
                .or(keys.dtype())
                .map_or(Dtype::F16, |dtype| if dtype == Dtype::F32 { Dtype::F16 } else { dtype }),
            vocab_size: keys.size("vocab_size")?,
            hidden_size: keys.size("hidden_size")?,
            max_position_embeddings: longest(&keys)?,
            tied: keys.flag("tie_word_embeddings", keys.flag("tie_embedding", family.tied)),
            rotary: rotary(&keys, &layers)?,
            layers,
        })
    }
}

/// The layers that the config counts.
fn layer_count(keys: &Keys<'_>) -> Result<u64, ServingError> {
    match keys.text("hybrid_override_pattern") {
        Some(pattern) => Ok(pattern.len() as u64),
        None => keys.size("num_hidden_layers"),
    }
}

/// The longest context: a Mamba has no end of its own, and transformers' class takes none.
fn longest(keys: &Keys<'_>) -> Result<u64, ServingError> {
    let known = ["max_position_embeddings", "model_max_length", "max_seq_len"];
    for key in known {
        if let Some(found) = keys.given(key)? {
            return Ok(found);
        }
    }
    Ok(usual_positions(keys.model_type))
}

/// The default of `max_position_embeddings` in transformers' config classes (5.23), and vLLM's where a class has none
/// (`_get_and_verify_max_len` in config/model.py, 0.33).
fn usual_positions(model_type: &str) -> u64 {
    match model_type {
        "mistral" | "mixtral" | "gemma3" | "gemma3_text" | "gpt_oss" | "glm4" => 131_072,
        "qwen2" | "qwen3" | "qwen2_moe" | "qwen3_moe" | "qwen3_next" | "qwen3_5_text" | "qwen3_5"
        | "smollm3" => 32_768,
        "gemma" | "gemma2" | "cohere" | "cohere2" | "falcon_h1" => 8_192,
        "phi3" | "deepseek_v3" | "nemotron_h" => 4_096,
        "lfm2" => 128_000,
        _ => 2_048,
    }
}

/// The tables of rotary embeddings. Layers with the same settings share one; heads of half a rotary width have half a table.
fn rotary(keys: &Keys<'_>, layers: &[Layer]) -> Result<Vec<(u64, u64)>, ServingError> {
    let width = layers.iter().flat_map(|layer| &layer.mixers).find_map(|mixer| match mixer {
        Mixer::Attention(attention) => Some(attention.head_dim),
        Mixer::Latent(latent) => Some(latent.rope_dim),
        _ => None,
    });
    let Some(width) = width.filter(|_| keys.text("position_embedding_type") != Some("nope")) else {
        return Ok(Vec::new());
    };
    if keys.model_type == "nemotron_h" {
        return Ok(Vec::new());
    }
    let positions = longest(keys)?;
    let scaling = if keys.get("rope_scaling").is_some() { "rope_scaling" } else { "rope_parameters" };
    let text = |key| keys.within(scaling, key).and_then(Value::as_str);
    let number = |key: &str| keys.within(scaling, key).and_then(Value::as_f64);
    let factor = number("factor").unwrap_or(1.0).clamp(1.0, 1024.0);
    let original = number("original_max_position_embeddings").unwrap_or(positions as f64);
    let original = original.clamp(1.0, positions.max(1) as f64);
    let rows = match text("rope_type").or_else(|| text("type")).unwrap_or("default") {
        // layers/rotary_embedding/{yarn_scaling_rope,deepseek_scaling_rope}.py, linear_scaling_rope.py, phi3_long_rope…py, 0.33.
        "yarn" | "deepseek_yarn" => (original * factor) as u64,
        "linear" => (positions as f64 * factor) as u64,
        "longrope" | "su" => (original as u64).saturating_add(positions),
        _ => positions,
    };
    let share =
        keys.float("partial_rotary_factor").or_else(|| number("partial_rotary_factor")).unwrap_or(1.0);
    let columns = (width as f64 * share.clamp(0.0, 1.0)) as u64;
    let local = matches!(keys.model_type, "gemma3_text" | "gemma3").then_some((positions, columns));
    Ok([(rows, columns)].into_iter().chain(local).collect())
}

/// When a projection has a bias.
#[derive(Clone, Copy)]
enum Bias {
    Never,
    Always,
    Key(&'static str, bool),
}

impl Bias {
    fn of(self, keys: &Keys<'_>) -> bool {
        match self {
            Bias::Never => false,
            Bias::Always => true,
            Bias::Key(key, absent) => keys.flag(key, absent),
        }
    }
}

/// What distinguishes families of attention and a gated dense layer.
#[derive(Clone, Copy)]
struct Style {
    qkv_bias: Bias,
    output_bias: Bias,
    mlp_bias: Bias,
    normed: Normed,
    norms: u64,
}

const PLAIN: Style = Style {
    qkv_bias: Bias::Never,
    output_bias: Bias::Never,
    mlp_bias: Bias::Never,
    normed: Normed::Nothing,
    norms: 2,
};
const LLAMA: Style = Style {
    qkv_bias: Bias::Key("attention_bias", false),
    output_bias: Bias::Key("attention_bias", false),
    mlp_bias: Bias::Key("mlp_bias", false),
    ..PLAIN
};
const QWEN2: Style = Style { qkv_bias: Bias::Key("qkv_bias", true), ..PLAIN };
const QWEN3: Style = Style { qkv_bias: Bias::Key("attention_bias", false), normed: Normed::Head, ..PLAIN };
const OLMO2: Style = Style { normed: Normed::Whole, ..PLAIN };
const GLM4: Style = Style { qkv_bias: Bias::Key("attention_bias", false), norms: 4, ..PLAIN };
const GEMMA2: Style = Style { norms: 4, ..PLAIN };
const GEMMA3: Style = Style { normed: Normed::Head, norms: 4, ..PLAIN };
const COHERE: Style = Style { norms: 1, ..PLAIN };
const GPT_OSS: Style = Style { qkv_bias: Bias::Always, output_bias: Bias::Always, ..PLAIN };

/// The attention of a layer.
fn attention(keys: &Keys<'_>, style: Style, window: Window) -> Result<Attention, ServingError> {
    let heads = keys.size("num_attention_heads")?;
    let head_dim = keys.size_or("head_dim", keys.size("hidden_size")? / heads)?;
    Ok(Attention {
        heads,
        kv_heads: keys.size_or("num_key_value_heads", heads)?,
        head_dim,
        window,
        qkv_bias: style.qkv_bias.of(keys),
        output_bias: style.output_bias.of(keys),
        normed: style.normed,
        gated: false,
        sinks: false,
    })
}

fn mlp(keys: &Keys<'_>, style: Style) -> Result<Mlp, ServingError> {
    Ok(Mlp { width: keys.size("intermediate_size")?, gated: true, bias: style.mlp_bias.of(keys) })
}

/// What each layer sees: by `layer_types`, else by the family's pattern, else one window for all.
fn windows(keys: &Keys<'_>) -> Result<Vec<Window>, ServingError> {
    let count = layer_count(keys)?;
    // Qwen's classes have the window off if they do not say otherwise (configuration_qwen2.py, transformers 5.23).
    let usually = !keys.model_type.starts_with("qwen");
    let off = !keys.flag("use_sliding_window", usually);
    let size = keys.given("sliding_window")?.filter(|size| *size > 0 && !off);
    // Cohere's window counts the tokens before the last one (models/commandr.py, 0.33).
    let size = size.map(|size| if keys.model_type == "cohere2" { size + 1 } else { size });
    let chunk = keys.given("attention_chunk_size")?.filter(|size| *size > 0);
    let sliding = size.map_or(Window::Full, Window::Sliding);
    if let Some(types) = keys.words("layer_types") {
        let of_type = |kind: &&str| match *kind {
            "sliding_attention" => sliding,
            "chunked_attention" => chunk.map_or(Window::Full, Window::Chunked),
            _ => Window::Full,
        };
        let windows: Vec<Window> = types.iter().map(of_type).collect();
        if windows.len() as u64 != count {
            let expected = format!("expected one for each of the {count} layers");
            return Err(ServingError::value("layer_types", format!("{} types", windows.len()), expected));
        }
        return Ok(windows);
    }
    let pattern = keys.given("sliding_window_pattern")?.filter(|pattern| *pattern > 0);
    let full_at: fn(u64, u64) -> bool = match keys.model_type {
        "gemma2" | "gpt_oss" => |at, _| at % 2 == 1,
        "gemma3_text" | "gemma3" | "cohere2" => |at, pattern| (at + 1).is_multiple_of(pattern),
        _ => |_, _| false,
    };
    let usual = if keys.model_type == "cohere2" { 4 } else { 6 };
    let of_layer = |at| if full_at(at, pattern.unwrap_or(usual)) { Window::Full } else { sliding };
    Ok((0..count).map(of_layer).collect())
}

fn llama(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    dense(keys, LLAMA)
}

fn cohere(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let normed = if keys.flag("use_qk_norm", false) { Normed::EachHead } else { Normed::Nothing };
    dense(keys, Style { normed, ..COHERE })
}

/// Attention and a gated dense layer in each.
fn dense(keys: &Keys<'_>, style: Style) -> Result<Vec<Layer>, ServingError> {
    let feed = Feed::Mlp(mlp(keys, style)?);
    with_feeds(keys, style, |_| Ok(feed.clone()))
}

/// Attention in each layer, and what the layer of this number feeds forward through.
fn with_feeds(
    keys: &Keys<'_>,
    style: Style,
    feed: impl Fn(u64) -> Result<Feed, ServingError>,
) -> Result<Vec<Layer>, ServingError> {
    let one = |(at, window)| {
        let mixer = Mixer::Attention(attention(keys, style, window)?);
        Ok(Layer { mixers: vec![mixer], feed: Some(feed(at)?), norms: style.norms })
    };
    (0..).zip(windows(keys)?).map(one).collect()
}

fn mixtral(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let experts = experts(keys, "num_local_experts", "intermediate_size")?;
    with_feeds(keys, PLAIN, |_| Ok(Feed::Experts(experts.clone())))
}

/// Experts without anything beside them.
fn experts(keys: &Keys<'_>, count: &str, width: &str) -> Result<Experts, ServingError> {
    Ok(Experts {
        count: keys.size(count)?,
        taken: keys.size("num_experts_per_tok")?,
        width: keys.size(width)?,
        gated: true,
        bias: false,
        corrected: false,
        shared: None,
        shared_gate: false,
    })
}

/// Experts in the layers that `decoder_sparse_step` and `mlp_only_layers` leave to them.
fn qwen_moe(keys: &Keys<'_>, style: Style) -> Result<Vec<Layer>, ServingError> {
    let feeds = qwen_feeds(keys, style)?;
    with_feeds(keys, style, |at| Ok(feeds(at)))
}

fn qwen_feeds(keys: &Keys<'_>, style: Style) -> Result<impl Fn(u64) -> Feed, ServingError> {
    let shared = keys.given("shared_expert_intermediate_size")?.filter(|width| *width > 0);
    let experts = Experts {
        shared: shared.map(|width| Mlp { width, gated: true, bias: false }),
        shared_gate: shared.is_some(),
        ..experts(keys, "num_experts", "moe_intermediate_size")?
    };
    let dense = keys.get("intermediate_size").map(|_| mlp(keys, style)).transpose()?;
    let step = keys.size_or("decoder_sparse_step", 1)?;
    let only = keys.get("mlp_only_layers").and_then(Value::as_array);
    let only: Vec<u64> = only.into_iter().flatten().filter_map(Value::as_u64).collect();
    Ok(move |at: u64| match &dense {
        Some(dense) if only.contains(&at) || !(at + 1).is_multiple_of(step) => Feed::Mlp(dense.clone()),
        _ => Feed::Experts(experts.clone()),
    })
}

fn gpt_oss(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let experts = Experts { bias: true, ..experts(keys, "num_local_experts", "intermediate_size")? };
    let mut layers = with_feeds(keys, GPT_OSS, |_| Ok(Feed::Experts(experts.clone())))?;
    for mixer in layers.iter_mut().flat_map(|layer| &mut layer.mixers) {
        if let Mixer::Attention(attention) = mixer {
            attention.sinks = true;
        }
    }
    Ok(layers)
}

/// Latent attention, dense layers first and experts behind them.
fn deepseek(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let latent = Latent {
        heads: keys.size("num_attention_heads")?,
        query_rank: keys.given("q_lora_rank")?.filter(|rank| *rank > 0),
        kv_rank: keys.size("kv_lora_rank")?,
        plain_dim: keys.size("qk_nope_head_dim")?,
        rope_dim: keys.size("qk_rope_head_dim")?,
        value_dim: keys.size("v_head_dim")?,
    };
    let dense = Feed::Mlp(mlp(keys, PLAIN)?);
    let routed = match keys.given("n_routed_experts")?.filter(|count| *count > 0) {
        Some(_) => Some(Feed::Experts(deepseek_experts(keys)?)),
        None => None,
    };
    let first = keys.given("first_k_dense_replace")?.unwrap_or(0);
    let every = keys.size_or("moe_layer_freq", 1)?;
    let feed = |at: u64| match &routed {
        Some(experts) if at >= first && at.is_multiple_of(every) => experts.clone(),
        _ => dense.clone(),
    };
    let layer = |at| Layer { mixers: vec![Mixer::Latent(latent.clone())], feed: Some(feed(at)), norms: 2 };
    Ok((0..layer_count(keys)?).map(layer).collect())
}

fn deepseek_experts(keys: &Keys<'_>) -> Result<Experts, ServingError> {
    let experts = experts(keys, "n_routed_experts", "moe_intermediate_size")?;
    let shared = keys.given("n_shared_experts")?.filter(|count| *count > 0);
    let shared =
        shared.map(|count| Mlp { width: count.saturating_mul(experts.width), gated: true, bias: false });
    Ok(Experts { corrected: keys.text("topk_method") == Some("noaux_tc"), shared, ..experts })
}

/// The dtype of a state: the config's own, else the model's.
fn state_dtype(keys: &Keys<'_>) -> Option<Dtype> {
    let name = keys.text("mamba_ssm_dtype").or_else(|| keys.text("mamba_ssm_cache_dtype"))?;
    name.parse().ok()
}

fn granite_hybrid(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let heads = keys.size("mamba_n_heads")?;
    let inner = keys.size_or("mamba_expand", 2)?.saturating_mul(keys.size("hidden_size")?);
    let mamba = Mamba {
        heads,
        head_dim: keys.given("mamba_d_head")?.filter(|width| *width > 0).unwrap_or(inner / heads),
        groups: keys.size_or("mamba_n_groups", 1)?,
        state: keys.size("mamba_d_state")?,
        kernel: keys.size_or("mamba_d_conv", 4)?,
        convolution_bias: keys.flag("mamba_conv_bias", true),
        bias: keys.flag("mamba_proj_bias", false),
        normed: true,
        state_dtype: state_dtype(keys),
    };
    let shared = Mlp { width: keys.size("shared_intermediate_size")?, gated: true, bias: false };
    let feed = match keys.given("num_local_experts")?.filter(|count| *count > 0) {
        Some(_) => {
            let experts = experts(keys, "num_local_experts", "intermediate_size")?;
            Feed::Experts(Experts { shared: Some(shared), ..experts })
        }
        None => Feed::Mlp(shared),
    };
    by_types(keys, |kind| {
        let mixer = match kind {
            "mamba" => Mixer::Mamba(mamba.clone()),
            _ => Mixer::Attention(attention(keys, LLAMA, Window::Full)?),
        };
        Ok(Layer { mixers: vec![mixer], feed: Some(feed.clone()), norms: 2 })
    })
}

/// One layer for each word of `layer_types`.
fn by_types(
    keys: &Keys<'_>,
    layer: impl Fn(&str) -> Result<Layer, ServingError>,
) -> Result<Vec<Layer>, ServingError> {
    let Some(types) = keys.words("layer_types").or_else(|| keys.words("layers_block_type")) else {
        let needed_by = keys.model_type.to_owned();
        return Err(ServingError::Missing { key: "layer_types".to_owned(), needed_by });
    };
    types.iter().map(|kind| layer(kind)).collect()
}

fn lfm2(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let convolution = ShortConvolution {
        width: keys.size_or("conv_dim", keys.size("hidden_size")?)?,
        kernel: keys.size_or("conv_L_cache", 3)?,
        bias: keys.flag("conv_bias", false),
    };
    let feed = Feed::Mlp(Mlp { width: lfm2_width(keys)?, gated: true, bias: false });
    by_types(keys, |kind| {
        let mixer = match kind {
            "conv" => Mixer::ShortConvolution(convolution.clone()),
            _ => Mixer::Attention(attention(keys, Style { normed: Normed::Head, ..PLAIN }, Window::Full)?),
        };
        Ok(Layer { mixers: vec![mixer], feed: Some(feed.clone()), norms: 2 })
    })
}

/// The width of the dense layer: two thirds of the config's, in whole multiples (Lfm2MLP in models/lfm2.py, 0.33).
fn lfm2_width(keys: &Keys<'_>) -> Result<u64, ServingError> {
    let width = keys.size_or("block_ff_dim", keys.size("intermediate_size")?)?;
    if !keys.flag("block_auto_adjust_ff_dim", true) {
        return Ok(width);
    }
    let factor = keys.float("block_ffn_dim_multiplier").unwrap_or(1.0).clamp(0.0, 64.0);
    let width = ((2 * width / 3) as f64 * factor) as u64;
    Ok(width.next_multiple_of(keys.size_or("block_multiple_of", 256)?))
}

fn mamba2(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let mamba = Mamba {
        heads: keys.size("num_heads")?,
        head_dim: keys.size("head_dim")?,
        groups: keys.size_or("n_groups", 8)?,
        state: keys.size_or("state_size", 128)?,
        kernel: keys.size_or("conv_kernel", 4)?,
        convolution_bias: keys.flag("use_conv_bias", true),
        bias: keys.flag("use_bias", false),
        normed: true,
        state_dtype: state_dtype(keys),
    };
    let layer = |_| Layer { mixers: vec![Mixer::Mamba(mamba.clone())], feed: None, norms: 1 };
    Ok((0..layer_count(keys)?).map(layer).collect())
}

/// Gated delta nets with a gated attention in every fourth layer: Qwen3-Next and Qwen3.5.
fn gated_delta(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let net = DeltaNet {
        key_heads: keys.size("linear_num_key_heads")?,
        value_heads: keys.size("linear_num_value_heads")?,
        key_dim: keys.size("linear_key_head_dim")?,
        value_dim: keys.size("linear_value_head_dim")?,
        kernel: keys.size_or("linear_conv_kernel_dim", 4)?,
        state_dtype: state_dtype(keys),
    };
    let attention = Attention {
        gated: keys.flag("attn_output_gate", true),
        head_dim: keys.size_or("head_dim", 256)?,
        ..attention(keys, QWEN3, Window::Full)?
    };
    let dense = keys.get("num_experts").is_none_or(|count| count.as_u64() == Some(0));
    let feeds: Box<dyn Fn(u64) -> Feed> = if dense {
        let feed = Feed::Mlp(mlp(keys, PLAIN)?);
        Box::new(move |_| feed.clone())
    } else {
        Box::new(qwen_feeds(keys, PLAIN)?)
    };
    let every = keys.size_or("full_attention_interval", 4)?;
    let types = keys.words("layer_types");
    let is_full = |at: u64| match types.as_ref().and_then(|types| types.get(at as usize)) {
        Some(kind) => *kind == "full_attention",
        None => (at + 1).is_multiple_of(every),
    };
    let layer = |at| {
        let mixer =
            if is_full(at) { Mixer::Attention(attention.clone()) } else { Mixer::DeltaNet(net.clone()) };
        Layer { mixers: vec![mixer], feed: Some(feeds(at)), norms: 2 }
    };
    Ok((0..layer_count(keys)?).map(layer).collect())
}

/// Attention and a Mamba side by side in each layer.
fn falcon_h1(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let heads = keys.size("mamba_n_heads")?;
    let expanded = keys.size_or("mamba_expand", 2)?.saturating_mul(keys.size("hidden_size")?);
    let inner = keys.size_or("mamba_d_ssm", expanded)?;
    let mamba = Mamba {
        heads,
        head_dim: keys.given("mamba_d_head")?.filter(|width| *width > 0).unwrap_or(inner / heads),
        groups: keys.size_or("mamba_n_groups", 1)?,
        state: keys.size_or("mamba_d_state", 256)?,
        kernel: keys.size_or("mamba_d_conv", 4)?,
        convolution_bias: keys.flag("mamba_conv_bias", true),
        bias: keys.flag("mamba_proj_bias", false),
        normed: keys.flag("mamba_rms_norm", false),
        state_dtype: state_dtype(keys),
    };
    let attention =
        attention(keys, Style { qkv_bias: Bias::Key("attention_bias", false), ..PLAIN }, Window::Full)?;
    let feed = Feed::Mlp(mlp(keys, LLAMA)?);
    let layer = |_| {
        let mixers = vec![Mixer::Attention(attention.clone()), Mixer::Mamba(mamba.clone())];
        Layer { mixers, feed: Some(feed.clone()), norms: 2 }
    };
    Ok((0..layer_count(keys)?).map(layer).collect())
}

/// A pattern of letters: `M` a Mamba, `*` attention, `-` a dense layer, each a layer of its own.
fn nemotron_h(keys: &Keys<'_>) -> Result<Vec<Layer>, ServingError> {
    let mamba = Mamba {
        heads: keys.size("mamba_num_heads")?,
        head_dim: keys.size("mamba_head_dim")?,
        groups: keys.size_or("n_groups", 8)?,
        state: keys.size_or("ssm_state_size", 128)?,
        kernel: keys.size_or("conv_kernel", 4)?,
        convolution_bias: keys.flag("use_conv_bias", true),
        bias: keys.flag("mamba_proj_bias", false),
        normed: true,
        // NemotronHForCausalLMConfig in models/config.py, 0.33: fp32 if the config does not say another.
        state_dtype: state_dtype(keys).or(Some(Dtype::F32)),
    };
    let head = keys.given("head_dim")?.or(keys.given("attention_head_dim")?).unwrap_or(128);
    let attention = Attention { head_dim: head, ..attention(keys, LLAMA, Window::Full)? };
    let pattern = keys.text("hybrid_override_pattern").unwrap_or_default();
    let layer = |kind| match kind {
        'M' => Ok(Layer { mixers: vec![Mixer::Mamba(mamba.clone())], feed: None, norms: 1 }),
        '*' => Ok(Layer { mixers: vec![Mixer::Attention(attention.clone())], feed: None, norms: 1 }),
        '-' => Ok(Layer {
            mixers: Vec::new(),
            feed: Some(Feed::Mlp(Mlp { gated: false, ..mlp(keys, LLAMA)? })),
            norms: 1,
        }),
        other => {
            let expected = "the letters M, * and - are known here";
            Err(ServingError::value(
                "hybrid_override_pattern",
                format!("{pattern:?} with {other:?}"),
                expected,
            ))
        }
    };
    pattern.chars().map(layer).collect()
}
