//! Random jobs: models, sizes and settings that nobody chose.

use brimful_models::causal_lm_class;
use brimful_programs::{CAUSAL_LM, SPEECH_SEQ2SEQ, has_encoder_and_decoder};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::Case;

mod peft;
mod quantized;
mod recorded;

/// The families whose configs are drawn by hand.
const FAMILIES: [&str; 6] = ["gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2"];

/// The families that are drawn where none is named, by `model_type`.
pub fn families() -> &'static [&'static str] {
    &FAMILIES
}

/// Every family and task that can be named: those of [`families`], and those with a program.
pub fn drawable() -> Vec<Drawn<'static>> {
    let by_hand = FAMILIES.map(|family| (family, CAUSAL_LM));
    let by_program = brimful_programs::shipped_programs().filter(move |drawn| !by_hand.contains(drawn));
    by_hand.into_iter().chain(by_program).collect()
}

/// A family by its `model_type`, and a task.
pub type Drawn<'a> = (&'a str, &'a str);

/// A GPU and the cuDNN beside it.
type Machine<'a> = (&'a str, &'a str);

/// The cuDNN that torch 2.15.0 is built with.
const OWN_CUDNN: &str = "9.26.0";

/// The machines that are drawn. On compute capabilities 9 and 10 cuDNN's version decides which kernel takes attention.
const MACHINES: [Machine; 6] = [
    ("a100-sxm-80gb", OWN_CUDNN),
    ("h100-sxm-80gb", OWN_CUDNN),
    ("h100-sxm-80gb", OWN_CUDNN),
    ("h100-sxm-80gb", "9.15.1"),
    ("h100-sxm-80gb", "9.1.0"),
    ("rtx-4090", OWN_CUDNN),
];

/// Whether the samples of a task have images.
fn reads_images(task: &str) -> bool {
    matches!(task, "image-classification" | "image-text" | "denoising")
}

/// Draws jobs; the same seed gives the same ones. `family` and `gpu` narrow them: all jobs on that GPU have torch's own
/// cuDNN.
pub fn draw(seed: u64, count: usize, family: Option<Drawn<'_>>, gpu: Option<&str>) -> Vec<Case> {
    (0..count)
        .map(|at| {
            // Each job has a seed of its own: a longer draw begins with the shorter one.
            let mut rng = Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(at as u64));
            let family = family.unwrap_or((FAMILIES[at % FAMILIES.len()], CAUSAL_LM));
            // The machine is drawn even if `gpu` replaces it, so that the rest of the job stays the same.
            let drawn = pick(&mut rng, &MACHINES);
            let job = job(&mut rng, family, gpu.map_or(drawn, |gpu| (gpu, OWN_CUDNN)));
            // A file has the cases of all tasks of its family: each has a name of its own.
            let of = if family.1 == CAUSAL_LM { String::new() } else { format!("{}/", family.1) };
            Case::unrecorded(format!("drawn/{of}{seed}-{at}"), job)
        })
        .collect()
}

/// As [`draw`], of jobs whose weights bitsandbytes quantizes.
pub fn draw_quantized(seed: u64, count: usize, family: Option<Drawn<'_>>, gpu: Option<&str>) -> Vec<Case> {
    let cases = draw(seed, count, family, gpu).into_iter().enumerate();
    cases
        .map(|(at, mut case)| {
            let mut rng = Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(at as u64).wrapping_neg());
            let family = family.unwrap_or((FAMILIES[at % FAMILIES.len()], CAUSAL_LM));
            quantized::quantize(&mut rng, family, &mut case.job);
            Case { id: case.id.replacen("drawn/", "quantized/", 1), ..case }
        })
        .collect()
}

/// The training runs among drawn jobs, each on several GPUs that share the batch by `shard`.
pub fn spread(seed: u64, cases: Vec<Case>, shard: &str) -> Vec<Case> {
    let trains = |case: &Case| case.job.get("train").is_some();
    cases.into_iter().filter(trains).enumerate().map(|(at, case)| spread_one(seed, at, case, shard)).collect()
}

fn spread_one(seed: u64, at: usize, case: Case, shard: &str) -> Case {
    let mut rng = Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(at as u64).wrapping_add(1 << 31));
    let mut table = Map::new();
    table.insert("data".to_owned(), json!(pick(&mut rng, &[2, 4, 8, 64])));
    table.insert("shard".to_owned(), json!(shard));
    maybe(&mut rng, &mut table, "sync_each_batch", json!(true));
    if shard == "ddp" {
        maybe(&mut rng, &mut table, "gradient_as_bucket_view", json!(true));
        // Small enough for several buckets of a drawn model.
        let cap = pick(&mut rng, &[0.01, 0.1, 0.5, 5.0]);
        maybe(&mut rng, &mut table, "bucket_cap_mb", json!(cap));
    } else {
        maybe(&mut rng, &mut table, "reshard_after_forward", json!(false));
        maybe(&mut rng, &mut table, "param_dtype", json!("bf16"));
        let reduced = pick(&mut rng, &["fp32", "bf16"]);
        maybe(&mut rng, &mut table, "reduce_dtype", json!(reduced));
    }
    let mut job = case.job;
    // Libraries' own optimizers, and Adafactor, refuse parts of parameters: one of them in six is enough to see it.
    let optimizer = &job["train"]["optimizer"];
    let refused = optimizer.get("library").is_some() || optimizer["name"] == "Adafactor";
    if shard == "fsdp2" && refused && !once_in(&mut rng, 6) {
        job["train"]["optimizer"] = json!({"name": "AdamW"});
    }
    job["parallel"] = Value::Object(table);
    Case::unrecorded(case.id.replacen("drawn/", &format!("drawn/{shard}/"), 1), job)
}

/// As [`draw`], of jobs that train adapters with PEFT's further options.
pub fn draw_peft(seed: u64, count: usize, family: Option<Drawn<'_>>, gpu: Option<&str>) -> Vec<Case> {
    let cases = draw(seed, count, family, gpu).into_iter().enumerate();
    cases
        .map(|(at, mut case)| {
            // Another stream than those of the other draws, so that cases of one number differ.
            let mut rng = Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(at as u64).rotate_left(17));
            let family = family.unwrap_or((FAMILIES[at % FAMILIES.len()], CAUSAL_LM));
            peft::adapt(&mut rng, family, &mut case.job);
            Case { id: case.id.replacen("drawn/", "peft/", 1), ..case }
        })
        .collect()
}

fn pick<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())].clone()
}

/// True once in so many times.
fn once_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}

/// Puts a key into a table with a probability of one in two.
fn maybe(rng: &mut Rng, table: &mut Map<String, Value>, key: &str, value: Value) {
    if rng.bool() {
        table.insert(key.to_owned(), value);
    }
}

fn job(rng: &mut Rng, family: Drawn<'_>, (gpu, cudnn): Machine) -> Value {
    let mut job = Map::new();
    let model = model(rng, family);
    job.insert("gpu".to_owned(), json!(gpu));
    let (section, mut run) =
        if once_in(rng, 3) { ("infer", infer(rng, family)) } else { ("train", train(rng, family)) };
    if let (true, Some(run)) = (reads_images(family.1), run.as_object_mut()) {
        let drawn = run.remove("sequence");
        run.remove("attention_mask");
        let of_both = model.get("text_config").and_then(|text| text["max_position_embeddings"].as_u64());
        let side = ["image_size", "sample_size"].into_iter().find_map(|key| model.get(key));
        let side = side.or_else(|| model.get("vision_config")?.get("image_size")).cloned();
        if model.get("cross_attention_dim").is_some() {
            run.insert("sequence".to_owned(), json!(drawn.as_ref().and_then(Value::as_u64).unwrap_or(77)));
        }
        // A text beside an image has at most as many tokens as its model has positions.
        if let (Some(positions), Some(drawn)) = (of_both, drawn.as_ref().and_then(Value::as_u64)) {
            run.insert("sequence".to_owned(), json!(drawn.clamp(1, positions)));
        }
        // A model without a size of its own takes every image; a draw has up to 299.
        run.extend(side.or(drawn).map(|side| ("image".to_owned(), side)));
    }
    if let (true, Some(run)) = (family.1 == SPEECH_SEQ2SEQ, run.as_object_mut()) {
        run.remove("sequence");
        run.remove("attention_mask");
    }
    job.insert("model".to_owned(), model);
    job.insert(section.to_owned(), run);
    job.insert("versions".to_owned(), json!({"torch": "2.15.0", "transformers": "5.23.0", "cudnn": cudnn}));
    Value::Object(job)
}

fn model(rng: &mut Rng, (family, task): Drawn<'_>) -> Value {
    if let Some(name) = family.strip_prefix("torchvision.") {
        return json!({"library": "torchvision", "name": name, "num_classes": rng.u64(2..1200)});
    }
    if let Some(class) = family.strip_prefix("diffusers.") {
        return recorded::denoising(rng, class);
    }
    let by_hand = is_by_hand((family, task));
    let mut config = match family {
        "gpt2" if by_hand => gpt2(rng),
        family if by_hand => decoder(rng, family),
        family => recorded::model(rng, (family, task)),
    };
    let class = causal_lm_class(family).filter(|_| task == CAUSAL_LM).map(str::to_owned);
    let class = class.or_else(|| recorded::class((family, task)));
    config.insert("architectures".to_owned(), json!([class]));
    config.insert("model_type".to_owned(), json!(family));
    if reads_images(task) {
        return Value::Object(config);
    }
    // Below the classes' own token ids, which only warn.
    config.insert("vocab_size".to_owned(), json!(rng.u64(90..6000)));
    let tied = rng.bool();
    maybe(rng, &mut config, "tie_word_embeddings", json!(tied));
    Value::Object(config)
}

fn decoder(rng: &mut Rng, family: &str) -> Map<String, Value> {
    let mut config = Map::new();
    let heads = pick(rng, &[2u64, 3, 4, 6, 8]);
    let kv_heads = pick(rng, &[1, heads, heads, if heads.is_multiple_of(2) { heads / 2 } else { heads }]);
    let width = pick(rng, &[8u64, 16, 24, 32, 40, 64, 72, 96, 128, 192, 200, 256]);
    let hidden = if family == "qwen2" { heads * width } else { pick(rng, &[heads * width, 64, 120, 200]) };
    // `LlamaConfig` and `Gemma2Config` refuse a width that is not a multiple of the heads.
    let hidden = if matches!(family, "llama" | "gemma2") { hidden.next_multiple_of(heads) } else { hidden };
    config.insert("hidden_size".to_owned(), json!(hidden));
    config.insert("num_attention_heads".to_owned(), json!(heads));
    config.insert("num_key_value_heads".to_owned(), json!(kv_heads));
    if family != "qwen2" {
        config.insert("head_dim".to_owned(), json!(width));
    }
    config.insert("intermediate_size".to_owned(), json!(rng.u64(16..700)));
    config.insert("num_hidden_layers".to_owned(), json!(rng.u64(1..5)));
    let act = pick(rng, &["silu", "gelu", "relu", "gelu_new", "gelu_pytorch_tanh"]);
    let act_key = if family == "gemma2" { "hidden_activation" } else { "hidden_act" };
    maybe(rng, &mut config, act_key, json!(act));
    // cuDNN takes a dropout of whole sixteenths only.
    let dropout = pick(rng, &[0.0, 0.1, 0.125]);
    maybe(rng, &mut config, "attention_dropout", json!(dropout));
    switches(rng, &mut config, family);
    config
}

/// What only some families have.
fn switches(rng: &mut Rng, config: &mut Map<String, Value>, family: &str) {
    let (bias, mlp_bias) = (rng.bool(), rng.bool());
    match family {
        "llama" => {
            maybe(rng, config, "attention_bias", json!(bias));
            maybe(rng, config, "mlp_bias", json!(mlp_bias));
            rope(rng, config);
        }
        "mistral" => {
            let window = pick(rng, &[json!(null), json!(8), json!(40)]);
            config.insert("sliding_window".to_owned(), window);
        }
        "qwen2" => windows(rng, config),
        "gemma2" => {
            maybe(rng, config, "attention_bias", json!(bias));
            softcaps_and_layer_types(rng, config);
        }
        _ => {
            maybe(rng, config, "attention_bias", json!(bias));
            windows(rng, config);
        }
    }
}

fn rope(rng: &mut Rng, config: &mut Map<String, Value>) {
    let scaling = match rng.u32(..4) {
        0 => json!({"rope_type": "linear", "factor": 2.0}),
        1 => json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 1024
        }),
        _ => return,
    };
    config.insert("rope_scaling".to_owned(), scaling);
}

fn windows(rng: &mut Rng, config: &mut Map<String, Value>) {
    if rng.bool() {
        config.insert("use_sliding_window".to_owned(), json!(true));
        config.insert("sliding_window".to_owned(), json!(pick(rng, &[8, 40])));
        config.insert("max_window_layers".to_owned(), json!(rng.u64(..3)));
    }
}

/// Gemma 2's.
fn softcaps_and_layer_types(rng: &mut Rng, config: &mut Map<String, Value>) {
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        let cap = pick(rng, &[json!(null), json!(20.0)]);
        maybe(rng, config, key, cap);
    }
    config.insert("sliding_window".to_owned(), json!(pick(rng, &[1, 8, 40, 4096])));
    let layers = config["num_hidden_layers"].as_u64().unwrap_or_default();
    let kind = |rng: &mut Rng| pick(rng, &["full_attention", "sliding_attention"]);
    let kinds: Vec<&str> = (0..layers).map(|_| kind(rng)).collect();
    maybe(rng, config, "layer_types", json!(kinds));
}

fn gpt2(rng: &mut Rng) -> Map<String, Value> {
    let mut config = Map::new();
    let heads = pick(rng, &[2u64, 3, 4, 6]);
    let width = pick(rng, &[8u64, 16, 24, 32, 64, 96, 192]);
    config.insert("n_head".to_owned(), json!(heads));
    config.insert("n_embd".to_owned(), json!(heads * width));
    config.insert("n_layer".to_owned(), json!(rng.u64(1..5)));
    config.insert("n_positions".to_owned(), json!(pick(rng, &[512, 1024])));
    let inner = rng.u64(16..500);
    maybe(rng, &mut config, "n_inner", json!(inner));
    for dropout in ["attn_pdrop", "resid_pdrop", "embd_pdrop"] {
        let p = pick(rng, &[0.0, 0.1, 0.125]);
        maybe(rng, &mut config, dropout, json!(p));
    }
    let act = pick(rng, &["gelu_new", "gelu", "relu", "silu"]);
    maybe(rng, &mut config, "activation_function", json!(act));
    let flag = rng.bool();
    maybe(rng, &mut config, "reorder_and_upcast_attn", json!(flag));
    config
}

/// Whether the configs of a family are drawn by hand for the task.
fn is_by_hand((family, task): Drawn<'_>) -> bool {
    FAMILIES.contains(&family) && task == CAUSAL_LM
}

/// What the family's classes support.
fn attention(rng: &mut Rng, family: Drawn<'_>) -> &'static str {
    if !is_by_hand(family) {
        return recorded::attention(rng, family);
    }
    let drawn = pick(rng, &["sdpa", "sdpa", "eager"]);
    if family.0 == "gemma2" { "eager" } else { drawn }
}

fn precision(rng: &mut Rng) -> &'static str {
    pick(rng, &["fp32", "fp16", "bf16", "bf16", "amp-bf16", "amp-fp16", "bf16-autocast", "bf16-autocast"])
}

fn train(rng: &mut Rng, family: Drawn<'_>) -> Value {
    let generates = family.1 == CAUSAL_LM;
    let checkpointing = pick(rng, &["none", "none", "reentrant", "non-reentrant"]);
    let mut run = Map::from_iter([
        ("task".to_owned(), json!(family.1)),
        ("batch".to_owned(), json!(rng.u64(1..5))),
        ("sequence".to_owned(), json!(rng.u64(2..300))),
        ("precision".to_owned(), json!(precision(rng))),
        ("attention".to_owned(), json!(attention(rng, family))),
        ("optimizer".to_owned(), optimizer(rng)),
        ("checkpointing".to_owned(), json!(checkpointing)),
        ("accumulation".to_owned(), json!(pick(rng, &[1, 1, 2, 3]))),
        ("steps".to_owned(), json!(2)),
        ("clip_grad_norm".to_owned(), json!(rng.bool())),
    ]);
    if once_in(rng, 3) {
        run.insert("attention_mask".to_owned(), json!(pick(rng, &["ones", "padded"])));
    }
    if checkpointing == "none" && generates {
        maybe(rng, &mut run, "use_cache", json!(true));
    }
    if has_encoder_and_decoder(family.1) {
        run.insert("target_sequence".to_owned(), json!(rng.u64(2..200)));
        maybe(rng, &mut run, "use_cache", json!(false));
    }
    if once_in(rng, 4) {
        run.insert("hold_outputs".to_owned(), json!(true));
    }
    if once_in(rng, 4) && (generates || has_encoder_and_decoder(family.1)) {
        run.insert("lora".to_owned(), lora(rng, family));
    }
    Value::Object(run)
}

fn lora(rng: &mut Rng, family: Drawn<'_>) -> Value {
    let names: [Value; 3] = if family.0 == "gpt2" {
        [json!("all-linear"), json!(["c_attn"]), json!(["c_fc", "c_proj"])]
    } else {
        [json!("all-linear"), json!(["q_proj", "v_proj"]), json!(["o_proj", "down_proj"])]
    };
    let rank = pick(rng, &[2, 8, 16]);
    let dropout = pick(rng, &[0.0, 0.05]);
    let targets = if is_by_hand(family) { pick(rng, &names) } else { recorded::targets(rng, family) };
    json!({
        "r": rank,
        "lora_alpha": 16,
        "lora_dropout": dropout,
        "target_modules": targets,
        "autocast_adapter_dtype": rng.bool(),
        "enable_input_require_grads": rng.bool(),
    })
}

fn optimizer(rng: &mut Rng) -> Value {
    let (library, name) = pick(
        rng,
        &[
            ("torch", "AdamW"),
            ("torch", "AdamW"),
            ("torch", "Adam"),
            ("torch", "SGD"),
            ("torch", "Adagrad"),
            ("torch", "RMSprop"),
            ("torch", "Adafactor"),
            ("transformers", "Adafactor"),
            ("torch", "NAdam"),
            ("torch", "RAdam"),
            ("torch", "Adamax"),
            ("torch", "Adadelta"),
            ("bitsandbytes", "AdamW8bit"),
            ("bitsandbytes", "PagedAdamW8bit"),
            ("bitsandbytes", "PagedAdamW32bit"),
            ("bitsandbytes", "Adam"),
            ("bitsandbytes", "Lion8bit"),
            ("bitsandbytes", "Lion"),
            ("bitsandbytes", "AdEMAMix8bit"),
            ("bitsandbytes", "AdEMAMix"),
            ("bitsandbytes", "LAMB"),
            ("bitsandbytes", "LAMB8bit"),
            ("bitsandbytes", "LARS"),
            ("bitsandbytes", "RMSprop8bit"),
            ("bitsandbytes", "Adagrad"),
            ("bitsandbytes", "SGD8bit"),
        ],
    );
    let mut table = Map::from_iter([("name".to_owned(), json!(name))]);
    match library {
        "torch" => arguments(rng, &mut table, name),
        _ => {
            table.insert("library".to_owned(), json!(library));
        }
    }
    if library == "transformers" {
        maybe(rng, &mut table, "beta1", json!(0.9));
    }
    if library == "bitsandbytes" && matches!(name, "LARS" | "SGD8bit") {
        table.insert("momentum".to_owned(), json!(0.9));
    }
    if library == "bitsandbytes" && matches!(name, "Adam" | "Lion" | "AdEMAMix") {
        maybe(rng, &mut table, "optim_bits", json!(8));
    }
    Value::Object(table)
}

/// The arguments of torch's own optimizers.
fn arguments(rng: &mut Rng, table: &mut Map<String, Value>, name: &str) {
    if name != "Adafactor" {
        kernel(rng, table, matches!(name, "Adam" | "AdamW" | "SGD"));
    }
    if matches!(name, "Adam" | "AdamW") {
        maybe(rng, table, "amsgrad", json!(true));
    }
    if !matches!(name, "AdamW" | "Adafactor") {
        maybe(rng, table, "weight_decay", json!(0.01));
    }
    if matches!(name, "NAdam" | "RAdam") {
        maybe(rng, table, "decoupled_weight_decay", json!(true));
    }
    if matches!(name, "SGD" | "RMSprop") && rng.bool() {
        table.insert("momentum".to_owned(), json!(0.9));
    }
    if name == "SGD" && table.contains_key("momentum") {
        maybe(rng, table, "nesterov", json!(true));
    }
    if name == "RMSprop" {
        maybe(rng, table, "centered", json!(true));
    }
}

/// How torch walks over the parameters: its default, a loop, one kernel for many, or one for all.
fn kernel(rng: &mut Rng, table: &mut Map<String, Value>, can_fuse: bool) {
    match rng.u32(..4) {
        0 => table.insert("foreach".to_owned(), json!(false)),
        1 => table.insert("foreach".to_owned(), json!(true)),
        2 if can_fuse => table.insert("fused".to_owned(), json!(true)),
        _ => None,
    };
}

fn infer(rng: &mut Rng, family: Drawn<'_>) -> Value {
    if family.1 != CAUSAL_LM {
        return forward(rng, family);
    }
    let sequence = rng.u64(1..300);
    let cache = pick(rng, &["dynamic", "dynamic", "static", "none"]);
    let decode_steps = rng.u64(..5);
    let mut run = Map::from_iter([
        ("task".to_owned(), json!(family.1)),
        ("batch".to_owned(), json!(rng.u64(1..5))),
        ("sequence".to_owned(), json!(sequence)),
        ("precision".to_owned(), json!(precision(rng))),
        ("attention".to_owned(), json!(attention(rng, family))),
        ("cache".to_owned(), json!(cache)),
        ("decode_steps".to_owned(), json!(decode_steps)),
    ]);
    if cache == "static" {
        run.insert("max_cache_len".to_owned(), json!(sequence + decode_steps + rng.u64(..20)));
    }
    maybe(rng, &mut run, "hold_outputs", json!(true));
    maybe(rng, &mut run, "logits_to_keep", json!(1));
    Value::Object(run)
}

/// One call of a task that generates nothing.
fn forward(rng: &mut Rng, family: Drawn<'_>) -> Value {
    let mut run = json!({
        "task": family.1,
        "batch": rng.u64(1..5),
        "sequence": rng.u64(1..300),
        "precision": precision(rng),
        "attention": attention(rng, family),
        "attention_mask": pick(rng, &["none", "ones", "padded"]),
    });
    if has_encoder_and_decoder(family.1) {
        run["target_sequence"] = json!(rng.u64(1..200));
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_the_same_each_time_and_a_longer_one_begins_with_it() {
        let short: Vec<Value> = draw(7, 5, None, None).into_iter().map(|case| case.job).collect();
        let long: Vec<Value> = draw(7, 20, None, None).into_iter().map(|case| case.job).collect();
        assert_eq!(short, long[..5]);
        assert_ne!(short[0], draw(8, 1, None, None)[0].job);
    }

    #[test]
    fn a_gpu_changes_the_machine_and_nothing_else() {
        let without = |case: &Case| {
            let mut job = case.job.clone();
            let table = job.as_object_mut().unwrap();
            table.remove("gpu");
            table["versions"].as_object_mut().unwrap().remove("cudnn");
            job
        };
        let (any, hopper) = (draw(7, 20, None, None), draw(7, 20, None, Some("h100-sxm-80gb")));
        assert!(hopper.iter().all(|case| case.job["gpu"] == "h100-sxm-80gb"));
        assert!(hopper.iter().all(|case| case.job["versions"]["cudnn"] == OWN_CUDNN));
        assert!(any.iter().any(|case| case.job["gpu"] != "h100-sxm-80gb"));
        assert!(any.iter().map(without).eq(hopper.iter().map(without)));
    }

    #[test]
    fn every_simulated_family_is_drawn() {
        let drawn: std::collections::BTreeSet<&str> =
            FAMILIES.into_iter().chain(brimful_programs::proven_programs().map(|drawn| drawn.0)).collect();
        let all: std::collections::BTreeSet<&str> = brimful_models::simulated_families().collect();
        assert_eq!(drawn, all);
    }

    #[test]
    fn most_of_what_is_drawn_of_a_family_with_a_program_is_a_job() {
        for family in brimful_programs::proven_programs() {
            let drawn = draw(1, 10, Some(family), None);
            let refused: Vec<String> =
                drawn.iter().filter_map(|case| case.job().err()).map(|error| format!("{error:#}")).collect();
            assert!(refused.len() < 8, "{family:?}: {refused:#?}");
        }
    }

    #[test]
    fn most_of_what_is_drawn_is_a_job() {
        let drawn = draw(1, 300, None, None);
        let refused: Vec<String> =
            drawn.iter().filter_map(|case| case.job().err()).map(|error| format!("{error:#}")).collect();
        assert!(refused.len() < 15, "{refused:#?}");
    }
}
