//! Random jobs with bitsandbytes' weights: those of the family, with adapters where they train.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{Drawn, lora, maybe, once_in, pick};

/// Puts quantized weights into a drawn job.
pub(super) fn quantize(rng: &mut Rng, family: Drawn<'_>, job: &mut Value) {
    let section = if job.get("train").is_some() { "train" } else { "infer" };
    widen(rng, &mut job["model"]);
    let Some(run) = job[section].as_object_mut() else { return };
    run.insert("quantization".to_owned(), settings(rng));
    if section == "infer" {
        return;
    }
    let mut adapters = lora(rng, family);
    if once_in(rng, 4) {
        adapters["use_dora"] = json!(true);
    }
    run.insert("lora".to_owned(), adapters);
    run.insert("prepare_model_for_kbit_training".to_owned(), json!(rng.bool()));
}

/// Half of the configs get sizes that bitsandbytes' kernels for few rows take.
fn widen(rng: &mut Rng, model: &mut Value) {
    let inner = 64 * rng.u64(1..20);
    if let (true, Some(config)) = (rng.bool(), model.as_object_mut()) {
        for key in ["intermediate_size", "n_inner", "ffn_dim"] {
            if config.contains_key(key) {
                config.insert(key.to_owned(), json!(inner));
            }
        }
    }
}

/// The arguments of a `BitsAndBytesConfig`.
fn settings(rng: &mut Rng) -> Value {
    let mut table = Map::new();
    if once_in(rng, 3) {
        table.insert("load_in_8bit".to_owned(), json!(true));
        maybe(rng, &mut table, "llm_int8_threshold", json!(0.0));
        return Value::Object(table);
    }
    table.insert("load_in_4bit".to_owned(), json!(true));
    table.insert("bnb_4bit_quant_type".to_owned(), json!(pick(rng, &["nf4", "nf4", "fp4"])));
    maybe(rng, &mut table, "bnb_4bit_use_double_quant", json!(true));
    let compute = pick(rng, &["bfloat16", "bfloat16", "float16", "float32"]);
    maybe(rng, &mut table, "bnb_4bit_compute_dtype", json!(compute));
    if once_in(rng, 6) {
        table.insert(
            "bnb_4bit_quant_storage".to_owned(),
            json!(pick(rng, &["bfloat16", "float32", "float16"])),
        );
    }
    Value::Object(table)
}
