//! Random configs of models that a program describes: its defaults, small.

use std::collections::BTreeSet;

use brimful_programs::{
    Attention, Header, Instruction, LeafModule, Program, Value as Default, has_encoder_and_decoder, shipped,
};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{Drawn, maybe, once_in, pick};

const HEADS: [&str; 7] = [
    "num_attention_heads",
    "n_head",
    "n_heads",
    "attention_heads",
    "num_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
];
const HIDDEN: [&str; 5] = ["hidden_size", "n_embd", "d_model", "n_embed", "dim"];
const LAYERS: [&str; 6] =
    ["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"];
const INNER: [&str; 10] = [
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "intermediate_size",
    "ffn_dim",
    "n_inner",
    "ffn_hidden_size",
    "mlp_hidden_size",
    "hidden_dim",
    "d_ff",
    "dff",
];
const DECODER_LAYERS: [&str; 2] = ["num_decoder_layers", "decoder_layers"];
const EXPERTS: [&str; 4] = ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"];
const EXPERTS_INNER: [&str; 2] = ["moe_intermediate_size", "shared_expert_intermediate_size"];
/// The output projection of these takes `hidden_size` columns, which only heads of this width make.
const WIDTH_IS_HIDDEN: [&str; 1] = ["helium"];
const POSITIONS: [&str; 3] = ["max_position_embeddings", "n_positions", "max_seq_len"];

/// A config without its class and its vocabulary.
pub(super) fn model(rng: &mut Rng, (family, task): Drawn<'_>) -> Map<String, Value> {
    let Some((_, program)) = shipped(family, task) else { return Map::new() };
    let header = &program.header;
    let mut config = if task == "image-text" { nested(rng, header) } else { Map::new() };
    let derived = header.derived.iter().map(|row| row.0.as_str());
    let keys: BTreeSet<&str> = header.defaults.iter().map(|row| row.0.as_str()).chain(derived).collect();
    sizes(rng, &mut config, &keys, family);
    for (key, value) in &header.defaults {
        // An answer in a text has two scores for each token, whatever the config.
        let fixed = key == "num_labels" && header.required.iter().any(|row| row.0 == *key);
        if !key.contains('.') && !config.contains_key(key) && !fixed {
            other(rng, &mut config, key, value);
        }
    }
    if once_in(rng, 2) {
        layer_types(rng, &mut config, header);
    }
    if keys.contains("attention_types") {
        // GPT-Neo's list of kinds is a pattern with the number of its repetitions.
        let repeats = rng.u64(1..3);
        config.insert("attention_types".to_owned(), json!([[["global", "local"], repeats]]));
        config.insert("num_layers".to_owned(), json!(2 * repeats));
    }
    if has_encoder_and_decoder(task) {
        // The first token of a target, which T5's own class leaves to config.json.
        config.insert("decoder_start_token_id".to_owned(), json!(rng.u64(..50)));
    }
    config
}

/// The configs of the texts' and the images' models in one, each as if it stood alone; their switches keep their defaults.
fn nested(rng: &mut Rng, header: &Header) -> Map<String, Value> {
    let mut config = Map::new();
    for part in ["text_config", "vision_config"] {
        let own = |row: &'_ (String, Default)| row.0.strip_prefix(part)?.strip_prefix('.').map(str::to_owned);
        let rows: Vec<(String, &Default)> =
            header.defaults.iter().filter_map(|row| Some((own(row)?, &row.1))).collect();
        let keys: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        let mut inner = Map::new();
        sizes(rng, &mut inner, &keys, "clip");
        for (key, value) in &rows {
            if !inner.contains_key(key) {
                other(rng, &mut inner, key, value);
            }
        }
        if keys.contains("vocab_size") {
            inner.insert("vocab_size".to_owned(), json!(rng.u64(90..6000)));
            // 2 is the token of old files, for which the class takes another way.
            inner.insert("eos_token_id".to_owned(), json!(pick(rng, &[2, 2, 7])));
        }
        if !inner.is_empty() {
            config.insert(part.to_owned(), Value::Object(inner));
        }
    }
    if !config.is_empty() {
        config.insert("projection_dim".to_owned(), json!(rng.u64(8..300)));
    }
    config
}

/// A model of diffusers.
pub(super) fn denoising(rng: &mut Rng, class: &str) -> Value {
    let mut model = if class.starts_with("DiT") { transformer(rng) } else { unet(rng) };
    model["_class_name"] = json!(class);
    model["dropout"] = json!(pick(rng, &[0.0, 0.0, 0.1]));
    model
}

fn transformer(rng: &mut Rng) -> Value {
    let patch = pick(rng, &[1u64, 2, 4]);
    json!({
        "num_attention_heads": pick(rng, &[2, 4, 6]),
        // A quarter of the width has a whole number of frequencies.
        "attention_head_dim": pick(rng, &[8, 16, 24, 72, 96]),
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": rng.u64(1..5),
        "sample_size": patch * rng.u64(2..10),
        "patch_size": patch,
        "num_embeds_ada_norm": rng.u64(4..1200),
    })
}

/// The two innermost blocks have as many channels, as those of Stable Diffusion have.
fn unet(rng: &mut Rng) -> Value {
    let groups = pick(rng, &[4u64, 8, 32]);
    let heads = pick(rng, &[2u64, 4, 8]);
    let [first, second, third] = pick(rng, &[[1, 2, 3], [1, 2, 4], [2, 3, 5]]).map(|n| n * groups * heads);
    json!({
        "block_out_channels": [first, second, third, third],
        "norm_num_groups": groups,
        "attention_head_dim": heads,
        "cross_attention_dim": rng.u64(8..200),
        "in_channels": pick(rng, &[4, 4, 9]),
        "out_channels": 4,
        "sample_size": 8 * rng.u64(2..5),
    })
}

/// A kind for each layer, where the config lists them.
fn layer_types(rng: &mut Rng, config: &mut Map<String, Value>, header: &Header) {
    let conditions = header.lists.iter().flat_map(|list| &list.kinds).map(|kind| kind.1.to_string());
    let words: BTreeSet<String> = conditions
        .filter_map(|text| Some(text.strip_prefix("layer_types[i] == \"")?.strip_suffix('"')?.to_owned()))
        .collect();
    let (words, layers) = (Vec::from_iter(words), rng.u64(2..6));
    if words.len() > 1 {
        let kinds: Vec<String> = (0..layers).map(|_| pick(rng, &words)).collect();
        config.insert("num_hidden_layers".to_owned(), json!(layers));
        config.insert("layer_types".to_owned(), json!(kinds));
    }
}

/// The class of the family for the task.
pub(super) fn class((family, task): Drawn<'_>) -> Option<String> {
    shipped(family, task).map(|(_, program)| program.header.class.clone())
}

fn sizes(rng: &mut Rng, config: &mut Map<String, Value>, keys: &BTreeSet<&str>, family: &str) {
    // CodeGen divides its heads among four cores of a TPU.
    let heads = if family == "codegen" { pick(rng, &[4u64, 8]) } else { pick(rng, &[2u64, 3, 4, 6, 8]) };
    let groups = pick(rng, &[1, heads, heads, if heads.is_multiple_of(2) { heads / 2 } else { heads }]);
    let width = pick(rng, &[8u64, 16, 24, 32, 40, 64, 72, 96, 128, 192, 200, 256]);
    // Latent attention has widths of its own, and as many keys as queries.
    let latent = keys.contains("qk_rope_head_dim");
    let groups = if latent { heads } else { groups };
    // The grouped product of experts takes rows of whole 16 bytes only (`_grouped_mm` in torch).
    let has_experts = keys.iter().any(|key| key.contains("expert"));
    let inner = |rng: &mut Rng| {
        let drawn = rng.u64(16..700);
        if has_experts { drawn.next_multiple_of(8) } else { drawn }
    };
    let mut put = |names: &[&str], value: u64| {
        for name in names.iter().filter(|name| keys.contains(*name)) {
            config.insert((*name).to_owned(), json!(value));
        }
    };
    put(&HEADS, heads);
    put(&HIDDEN, heads * width);
    put(&["num_key_value_heads"], groups);
    put(&LAYERS, rng.u64(1..5));
    if once_in(rng, 2) {
        put(&DECODER_LAYERS, rng.u64(1..5));
    }
    put(&["d_kv"], width);
    put(&INNER, inner(rng));
    put(&EXPERTS_INNER, inner(rng));
    if once_in(rng, 2) {
        put(&EXPERTS, pick(rng, &[8, 16, 32]));
    }
    // A draw has at most 299 tokens and five more.
    put(&POSITIONS, 512);
    // GPT-J turns so much of each head; the class's own figure may be wider than the head.
    put(&["rotary_dim"], (width / 2).next_multiple_of(2));
    if keys.contains("max_source_positions") {
        put(&["max_source_positions"], rng.u64(4..400));
        put(&["max_target_positions"], 256);
        put(&["num_mel_bins"], pick(rng, &[16, 80, 128]));
    }
    if keys.contains("patch_size") {
        let patch = pick(rng, &[2, 4, 7, 8, 14, 16]);
        put(&["patch_size"], patch);
        // An image need not be a whole number of patches: the convolution leaves the rest out.
        put(&["image_size"], patch * rng.u64(1..18) + if once_in(rng, 4) { patch / 2 } else { 0 });
        put(&["num_channels"], pick(rng, &[1, 3, 3, 3, 4]));
    }
    if !latent && (WIDTH_IS_HIDDEN.contains(&family) || once_in(rng, 2)) {
        put(&["head_dim"], width);
    }
}

/// What is no size: kept as it is, or drawn by its kind.
fn other(rng: &mut Rng, config: &mut Map<String, Value>, key: &str, value: &Default) {
    let dropout = key.contains("dropout") || key.ends_with("pdrop");
    match value {
        _ if dropout => {
            let p = pick(rng, &[0.0, 0.1, 0.125]);
            maybe(rng, config, key, json!(p));
        }
        // Below the vocabulary's rows.
        Default::Integer(_) if key == "pad_token_id" => {
            config.insert(key.to_owned(), json!(rng.u64(..50)));
        }
        Default::Integer(_) if key == "num_labels" => {
            config.insert(key.to_owned(), json!(rng.u64(2..40)));
        }
        Default::Text(_) if matches!(key, "hidden_act" | "hidden_activation" | "activation_function") => {
            let act = pick(rng, &["silu", "gelu", "relu", "gelu_new", "gelu_pytorch_tanh"]);
            maybe(rng, config, key, json!(act));
        }
        Default::Text(_) if key == "feed_forward_proj" => {
            let proj = pick(rng, &["relu", "gelu", "gated-gelu", "gated-gelu", "gated-silu"]);
            maybe(rng, config, key, json!(proj));
        }
        Default::Integer(_) if key == "relative_attention_num_buckets" => {
            let buckets = pick(rng, &[8, 32, 64]);
            maybe(rng, config, key, json!(buckets));
        }
        Default::Flag(_) if key != "tie_word_embeddings" => {
            let flag = rng.bool();
            if once_in(rng, 3) {
                config.insert(key.to_owned(), json!(flag));
            }
        }
        Default::Null | Default::Integer(_) if key == "sliding_window" => {
            let window = pick(rng, &[8, 40]);
            maybe(rng, config, key, json!(window));
        }
        _ => {}
    }
}

/// An attention that the class supports.
pub(super) fn attention(rng: &mut Rng, (family, task): Drawn<'_>) -> &'static str {
    let drawn = pick(rng, &["sdpa", "sdpa", "eager"]);
    let attention =
        shipped(family, task).map(|(_, program)| program.header.attention.clone()).unwrap_or_default();
    match attention[..] {
        [Attention::Sdpa] => "sdpa",
        _ if attention.contains(&Attention::Sdpa) => drawn,
        _ => "eager",
    }
}

/// LoRA's `target_modules`: all Linears, one kind of them, or two.
pub(super) fn targets(rng: &mut Rng, (family, task): Drawn<'_>) -> Value {
    let names = names(family, task);
    let count = rng.usize(..3);
    if count == 0 || names.is_empty() {
        return json!("all-linear");
    }
    let drawn: BTreeSet<String> = (0..count).map(|_| pick(rng, &names)).collect();
    json!(drawn)
}

/// The names that adapters can be put on.
pub(super) fn names(family: &str, task: &str) -> Vec<String> {
    let names = shipped(family, task).map(|(_, program)| linears(&program)).unwrap_or_default();
    names.into_iter().collect()
}

/// The last parts of the names of the Linears inside of layers.
fn linears(program: &Program) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for build in &program.builds {
        collect(&build.body, &mut names);
    }
    names
}

fn collect(instructions: &[Instruction], names: &mut BTreeSet<String>) {
    for instruction in instructions {
        match instruction {
            Instruction::MakeModule { kind: LeafModule::Linear, path, .. } if path.0.contains("{i}") => {
                names.extend(path.0.rsplit('.').next().map(str::to_owned));
            }
            Instruction::Each { kinds, .. } => kinds.iter().for_each(|(_, body)| collect(body, names)),
            Instruction::When(_, body) => collect(body, names),
            _ => {}
        }
    }
}
