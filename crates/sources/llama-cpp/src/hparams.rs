//! The numbers of a model, from the metadata of its file; src/llama-hparams.cpp, src/llama-model.cpp and src/models,
//! v0.5.0.

use brimful_gguf::{Header, Value};

use crate::Error;

/// llama.cpp's most layers (`LLAMA_MAX_LAYERS`) and experts (`LLAMA_MAX_EXPERTS`).
const MOST_LAYERS: u64 = 512;
const MOST_EXPERTS: u64 = 1024;
/// A number above this is a damaged file, and no product of two dimensions overflows below it.
const MOST: u64 = 1 << 20;
/// The longest context and the largest vocabulary.
const MOST_TOKENS: u64 = 1 << 28;
/// The widest row of all heads, or of a state.
const WIDEST: u64 = 1 << 24;

/// How the rows of an attention are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gating {
    Softmax,
    Sigmoid,
    SoftmaxWeight,
    SqrtSoftplus,
}

/// State-space layers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ssm {
    pub conv: u64,
    pub inner: u64,
    pub state: u64,
    pub rank: u64,
    pub groups: u64,
}

/// The numbers of a model.
#[derive(Debug, Clone)]
pub(crate) struct Hparams {
    pub arch: String,
    pub context: u64,
    pub embedding: u64,
    pub embedding_out: u64,
    /// Layers that are computed, and those that only predict further tokens.
    pub layers: usize,
    pub layers_next: usize,
    pub heads: Vec<u64>,
    pub heads_kv: Vec<u64>,
    feed_forward: Vec<u64>,
    /// Head widths of layers without and with a window.
    key: (u64, u64),
    value: (u64, u64),
    pub rotary: u64,
    pub window: u64,
    pub windowed: Vec<bool>,
    /// Does the architecture keep a cache of its own for windows?
    pub has_window: bool,
    pub recurrent: Vec<bool>,
    pub vocabulary: u64,
    pub experts: u64,
    pub experts_used: u64,
    pub expert_groups: u64,
    pub groups_used: u64,
    pub gating: Option<Gating>,
    pub expert_weights_norm: bool,
    pub expert_weights_scale: f64,
    pub dense_lead: usize,
    pub kv_rank: u64,
    /// Head widths behind the latent of a latent attention; `None` if the attention is not latent.
    pub latent: Option<(u64, u64)>,
    pub ssm: Ssm,
    pub shortconv: u64,
    pub rope: bool,
    pub rope_sections: bool,
    pub original_context: u64,
    pub embedding_scale: bool,
    pub residual_scale: bool,
    pub logit_scale: bool,
    pub attention_soft_cap: bool,
    pub final_soft_cap: bool,
    pub attention_temperature: bool,
    pub clamp_kqv: bool,
}

/// Reads keys of one architecture.
struct Keys<'a> {
    header: &'a Header,
    arch: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        if key.starts_with("tokenizer.") { key.into() } else { format!("{}.{key}", self.arch) }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.header.get(&self.name(key))
    }

    fn bad(&self, key: &str, expected: impl Into<String>) -> Error {
        let found = self.value(key).map_or("missing".into(), |value| format!("{value:?}"));
        Error::Key { key: self.name(key), found, expected: expected.into() }
    }

    /// A whole number of at most [`MOST`]; `None` if the key is missing.
    fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value
            .as_u64()
            .filter(|number| *number <= MOST)
            .map(Some)
            .ok_or_else(|| self.bad(key, format!("a whole number of at most {MOST}")))
    }

    /// A number of tokens; `None` if the key is missing.
    fn tokens(&self, key: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_u64().filter(|number| *number <= MOST_TOKENS);
        number.map(Some).ok_or_else(|| self.bad(key, format!("a whole number of at most {MOST_TOKENS}")))
    }

    fn needed(&self, key: &str) -> Result<u64, Error> {
        self.number(key)?
            .filter(|number| *number > 0)
            .ok_or_else(|| self.bad(key, "a whole number of at least 1"))
    }

    fn or(&self, key: &str, default: u64) -> Result<u64, Error> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// Is the key there with a number other than 0?
    fn nonzero(&self, key: &str) -> bool {
        self.value(key).and_then(Value::as_f64).is_some_and(|number| number != 0.0)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key) {
            Some(Value::Bool(yes)) => Some(*yes),
            _ => None,
        }
    }

    /// One number for each layer: an array, or a number that holds for all.
    fn per_layer(&self, key: &str, layers: usize, default: u64) -> Result<Vec<u64>, Error> {
        let Some(Value::Array(array)) = self.value(key) else {
            return Ok(vec![self.or(key, default)?; layers]);
        };
        let numbers: Option<Vec<u64>> =
            array.items.iter().map(|item| item.as_u64().filter(|number| *number <= MOST)).collect();
        numbers
            .filter(|numbers| numbers.len() >= layers)
            .map(|mut numbers| {
                numbers.truncate(layers);
                numbers
            })
            .ok_or_else(|| self.bad(key, format!("a whole number for each of {layers} layers")))
    }
}

impl Hparams {
    /// Reads the numbers of a model.
    pub fn read(header: &Header) -> Result<Self, Error> {
        let arch = header.architecture().map_err(|error| Error::Key {
            key: "general.architecture".into(),
            found: error.to_string(),
            expected: "the name of an architecture".into(),
        })?;
        let keys = Keys { header, arch };
        let mut hparams = general(&keys)?;
        heads(&keys, &mut hparams)?;
        experts(&keys, &mut hparams)?;
        windows(&keys, &mut hparams)?;
        states(&keys, &mut hparams)?;
        latent(&keys, &mut hparams)?;
        Ok(hparams)
    }

    pub(crate) fn layers_all(&self) -> usize {
        self.layers + self.layers_next
    }

    pub(crate) fn head_k(&self, layer: usize) -> u64 {
        if self.is_windowed(layer) { self.key.1 } else { self.key.0 }
    }

    pub(crate) fn head_v(&self, layer: usize) -> u64 {
        if self.is_windowed(layer) { self.value.1 } else { self.value.0 }
    }

    pub(crate) fn heads_at(&self, layer: usize) -> u64 {
        self.heads.get(layer).copied().unwrap_or(0)
    }

    pub(crate) fn heads_kv_at(&self, layer: usize) -> u64 {
        self.heads_kv.get(layer).copied().unwrap_or(0)
    }

    pub(crate) fn feed_forward_at(&self, layer: usize) -> u64 {
        self.feed_forward.get(layer).copied().unwrap_or(0)
    }

    pub(crate) fn is_windowed(&self, layer: usize) -> bool {
        self.windowed.get(layer).copied().unwrap_or(false)
    }

    pub(crate) fn is_recurrent(&self, layer: usize) -> bool {
        self.recurrent.get(layer).copied().unwrap_or(false)
    }

    /// Width of the keys of one token of a layer.
    pub fn key_width(&self, layer: usize) -> u64 {
        self.head_k(layer) * self.heads_kv_at(layer)
    }

    /// Width of the values of one token of a layer.
    pub fn value_width(&self, layer: usize) -> u64 {
        self.head_v(layer) * self.heads_kv_at(layer)
    }

    pub(crate) fn value_width_max(&self) -> u64 {
        (0..self.layers_all()).map(|layer| self.value_width(layer)).max().unwrap_or(0)
    }

    /// Elements of a sequence's convolution state in one layer (`n_embd_r`).
    pub fn conv_state(&self) -> u64 {
        if self.shortconv > 0 {
            return self.embedding * (self.shortconv - 1);
        }
        self.ssm.conv.saturating_sub(1) * (self.ssm.inner + 2 * self.ssm.groups * self.ssm.state)
    }

    /// Elements of a sequence's state in one layer (`n_embd_s`).
    pub fn ssm_state(&self) -> u64 {
        self.ssm.state * self.ssm.inner
    }

    /// Positions of a token: 4 for models with sections (`n_pos_per_embd`).
    pub fn positions(&self) -> u64 {
        let always = ["qwen2vl", "qwen35", "qwen35moe"];
        let sections = matches!(self.arch.as_str(), "glm4" | "glm4moe") && self.rope_sections;
        if always.contains(&self.arch.as_str()) || sections { 4 } else { 1 }
    }
}

fn general(keys: &Keys<'_>) -> Result<Hparams, Error> {
    let all = keys.needed("block_count")?;
    if all > MOST_LAYERS {
        return Err(keys.bad("block_count", format!("at most {MOST_LAYERS}")));
    }
    let next = keys.or("nextn_predict_layers", 0)?;
    if next > all {
        return Err(keys.bad("nextn_predict_layers", format!("at most block_count, which is {all}")));
    }
    let embedding = keys.needed("embedding_length")?;
    let context = keys.tokens("context_length")?.filter(|tokens| *tokens > 0);
    let context = context.ok_or_else(|| keys.bad("context_length", "a whole number of at least 1"))?;
    let vocabulary = match keys.header.get("tokenizer.ggml.tokens") {
        Some(Value::Array(tokens)) if tokens.len <= MOST_TOKENS => tokens.len,
        _ => keys.tokens("vocab_size")?.unwrap_or(0),
    };
    let layers = all as usize;
    // Granite takes the key that says whether RoPE was finetuned as the switch for RoPE.
    let granite = keys.arch.starts_with("granite");
    let rope = !granite || keys.flag("rope.scaling.finetuned").unwrap_or(true);
    Ok(Hparams {
        arch: keys.arch.into(),
        context,
        embedding,
        embedding_out: keys.or("embedding_length_out", 0)?.max(1).max(embedding),
        layers: layers - next as usize,
        layers_next: next as usize,
        heads: keys.per_layer("attention.head_count", layers, 0)?,
        heads_kv: Vec::new(),
        feed_forward: keys.per_layer("feed_forward_length", layers, 0)?,
        key: (0, 0),
        value: (0, 0),
        rotary: 0,
        window: 0,
        windowed: vec![false; layers],
        has_window: false,
        recurrent: vec![false; layers],
        vocabulary,
        experts: 0,
        experts_used: 0,
        expert_groups: 0,
        groups_used: 0,
        gating: None,
        expert_weights_norm: keys.flag("expert_weights_norm").unwrap_or(false),
        expert_weights_scale: keys.value("expert_weights_scale").and_then(Value::as_f64).unwrap_or(0.0),
        dense_lead: keys.or("leading_dense_block_count", 0)? as usize,
        kv_rank: 0,
        latent: None,
        ssm: Ssm::default(),
        shortconv: 0,
        rope,
        rope_sections: matches!(keys.value("rope.dimension_sections"), Some(Value::Array(array))
            if array.items.iter().take(2).filter(|item| item.as_u64().is_some_and(|number| number > 0)).count() == 2),
        original_context: keys.tokens("rope.scaling.original_context_length")?.unwrap_or(context),
        embedding_scale: keys.nonzero("embedding_scale"),
        residual_scale: keys.nonzero("residual_scale"),
        logit_scale: keys.nonzero("logit_scale"),
        attention_soft_cap: keys.arch == "gemma2",
        final_soft_cap: keys.arch == "gemma2" || keys.nonzero("final_logit_softcapping"),
        attention_temperature: keys.nonzero("attention.temperature_scale"),
        clamp_kqv: keys.nonzero("attention.clamp_kqv"),
    })
}

fn heads(keys: &Keys<'_>, hparams: &mut Hparams) -> Result<(), Error> {
    let layers = hparams.layers_all();
    hparams.heads_kv = match keys.value("attention.head_count_kv") {
        Some(_) => keys.per_layer("attention.head_count_kv", layers, 0)?,
        None => hparams.heads.clone(),
    };
    let Some(first) = hparams.heads.first().copied().filter(|heads| *heads > 0) else { return Ok(()) };
    let width = hparams.embedding / first;
    let key = keys.or("attention.key_length", width)?;
    let value = keys.or("attention.value_length", width)?;
    hparams.key = (key, keys.or("attention.key_length_swa", key)?);
    hparams.value = (value, keys.or("attention.value_length_swa", value)?);
    hparams.rotary = keys.or("rope.dimension_count", key)?;
    let uneven =
        hparams.heads.iter().zip(&hparams.heads_kv).any(|(heads, kv)| *kv > 0 && !heads.is_multiple_of(*kv));
    let most = hparams.heads.iter().chain(&hparams.heads_kv).copied().max().unwrap_or(0);
    let widths = [hparams.key.0, hparams.key.1, hparams.value.0, hparams.value.1];
    if widths.iter().any(|width| width.saturating_mul(most) > WIDEST) {
        return Err(keys.bad("attention.key_length", format!("at most {WIDEST} elements in all heads")));
    }
    if uneven {
        return Err(keys
            .bad("attention.head_count_kv", format!("a divisor of attention.head_count, which is {first}")));
    }
    Ok(())
}

fn experts(keys: &Keys<'_>, hparams: &mut Hparams) -> Result<(), Error> {
    hparams.experts = keys.or("expert_count", 0)?;
    hparams.experts_used = keys.or("expert_used_count", 0)?;
    if hparams.experts > MOST_EXPERTS {
        return Err(keys.bad("expert_count", format!("at most {MOST_EXPERTS}")));
    }
    if hparams.experts_used > hparams.experts || (hparams.experts > 0 && hparams.experts_used == 0) {
        return Err(
            keys.bad("expert_used_count", format!("a number from 1 to expert_count, {}", hparams.experts))
        );
    }
    hparams.expert_groups = keys.or("expert_group_count", 0)?;
    hparams.groups_used = keys.or("expert_group_used_count", 0)?;
    if hparams.expert_groups > 1 && !hparams.experts.is_multiple_of(hparams.expert_groups) {
        return Err(keys.bad("expert_group_count", "a divisor of expert_count"));
    }
    hparams.gating = match keys.or("expert_gating_func", 0)? {
        1 => Some(Gating::Softmax),
        2 => Some(Gating::Sigmoid),
        3 => Some(Gating::SoftmaxWeight),
        4 => Some(Gating::SqrtSoftplus),
        _ => None,
    };
    Ok(())
}

/// Layers with a sliding window. The last of each `period` sees everything.
fn windows(keys: &Keys<'_>, hparams: &mut Hparams) -> Result<(), Error> {
    let (period, default) = match keys.arch {
        "gemma2" => (2, Some(4096)),
        "gpt-oss" => (2, None),
        "gemma3" => (6, None),
        "cohere2" | "olmo2" => (4, None),
        // Only EXAONE 4 32B, which has 64 layers, has windows.
        "exaone4" if hparams.layers == 64 => (4, Some(4096)),
        _ => return Ok(()),
    };
    let window = keys.number("attention.sliding_window")?.or(default).unwrap_or(0);
    if window == 0 {
        return Ok(());
    }
    (hparams.window, hparams.has_window) = (window, true);
    let pattern = keys.value("attention.sliding_window_pattern");
    if let Some(Value::Array(array)) = pattern {
        for (place, item) in hparams.windowed.iter_mut().zip(&array.items) {
            *place = item.as_u64().is_some_and(|number| number != 0);
        }
        return Ok(());
    }
    let period = pattern.and_then(Value::as_u64).unwrap_or(period) as usize;
    for (layer, place) in hparams.windowed.iter_mut().enumerate().take(hparams.layers) {
        let at = layer.checked_rem(period);
        *place = at.is_none_or(|at| at + 1 < period);
    }
    Ok(())
}

fn states(keys: &Keys<'_>, hparams: &mut Hparams) -> Result<(), Error> {
    hparams.shortconv = keys.or("shortconv.l_cache", 0)?;
    hparams.ssm = Ssm {
        conv: keys.or("ssm.conv_kernel", 0)?,
        inner: keys.or("ssm.inner_size", 0)?,
        state: keys.or("ssm.state_size", 0)?,
        rank: keys.or("ssm.time_step_rank", 0)?,
        groups: keys.or("ssm.group_count", 0)?,
    };
    let ssm = hparams.ssm;
    let wide = ssm.groups.saturating_mul(ssm.state).max(ssm.inner) > WIDEST
        || ssm.conv.max(hparams.shortconv) > 1024;
    if wide {
        return Err(keys.bad("ssm.inner_size", format!("states of at most {WIDEST} elements")));
    }
    let layers = hparams.layers;
    match keys.arch {
        "mamba" | "mamba2" | "falcon-h1" => hparams.recurrent.fill(true),
        "granitehybrid" | "lfm2" | "nemotron_h" => {
            let layers = hparams.heads_kv.iter().zip(&hparams.feed_forward);
            hparams.recurrent = layers
                .map(|(heads, wide)| *heads == 0 && (*wide == 0 || keys.arch != "nemotron_h"))
                .collect();
        }
        "qwen35" | "qwen35moe" => {
            if let Some(Value::Array(array)) = keys.value("attention.recurrent_layers") {
                for (place, item) in hparams.recurrent.iter_mut().zip(&array.items) {
                    *place = item.as_u64().is_some_and(|number| number != 0);
                }
                return needed_states(keys, hparams);
            }
            let interval = keys.or("full_attention_interval", 4)?.max(1) as usize;
            for (layer, place) in hparams.recurrent.iter_mut().enumerate().take(layers) {
                *place = !(layer + 1).is_multiple_of(interval);
            }
        }
        _ => {}
    }
    needed_states(keys, hparams)
}

/// Recurrent layers need the sizes of their states.
fn needed_states(keys: &Keys<'_>, hparams: &Hparams) -> Result<(), Error> {
    let needs_ssm = hparams.recurrent.iter().any(|recurrent| *recurrent) && hparams.shortconv == 0;
    if needs_ssm {
        for key in ["ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"] {
            keys.needed(key)?;
        }
        if !hparams.ssm.inner.is_multiple_of(hparams.ssm.rank) && keys.arch != "mamba" {
            return Err(keys.bad("ssm.time_step_rank", "a divisor of ssm.inner_size"));
        }
        if keys.arch != "mamba" && keys.needed("ssm.group_count")? > hparams.ssm.inner {
            return Err(keys.bad("ssm.group_count", "at most ssm.inner_size"));
        }
    }
    Ok(())
}

fn latent(keys: &Keys<'_>, hparams: &mut Hparams) -> Result<(), Error> {
    hparams.kv_rank = keys.or("attention.kv_lora_rank", 0)?;
    let key = keys.or("attention.key_length_mla", 0)?;
    let value = keys.or("attention.value_length_mla", 0)?;
    if (key == 0) != (value == 0) {
        return Err(keys.bad("attention.value_length_mla", "a number beside attention.key_length_mla"));
    }
    hparams.latent = (key > 0).then_some((key, value));
    Ok(())
}
