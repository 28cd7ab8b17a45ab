//! Random jobs whose adapters have PEFT's further options: which modules and blocks get them, and of which rank.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{Drawn, is_by_hand, lora, maybe, once_in, pick, recorded, train};

/// Puts adapters with further options into a drawn job, which trains from then on.
pub(super) fn adapt(rng: &mut Rng, family: Drawn<'_>, job: &mut Value) {
    let names = names(family);
    let blocks =
        ["num_hidden_layers", "n_layer", "num_layers"].iter().find_map(|key| job["model"][*key].as_u64());
    let blocks = blocks.unwrap_or(1).max(1);
    let Some(table) = job.as_object_mut() else { return };
    if table.remove("infer").is_some() {
        table.insert("train".to_owned(), train(rng, family));
    }
    let mut adapters = lora(rng, family);
    targets(rng, &names, blocks, &mut adapters);
    exclusions(rng, &names, blocks, &mut adapters);
    let Some(options) = adapters.as_object_mut() else { return };
    if rng.bool() {
        let one = json!({ pick(rng, &names): pick(rng, &[1, 4, 32]) });
        let several = json!({ format!(r".*\.0\..*{}", pick(rng, &names)): 5 });
        options.insert("rank_pattern".to_owned(), if rng.bool() { one } else { several });
    }
    let scaled = pick(rng, &names);
    maybe(rng, options, "alpha_pattern", json!({ scaled: 64 }));
    maybe(rng, options, "use_rslora", json!(true));
    if once_in(rng, 4) {
        options.insert("use_dora".to_owned(), json!(true));
    }
    table["train"]["lora"] = adapters;
}

/// The last parts of the names of the family's Linears.
fn names((family, task): Drawn<'_>) -> Vec<String> {
    let of_hand: &[&str] = match family {
        "gpt2" => &["c_attn", "c_fc", "c_proj"],
        _ => &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    };
    if is_by_hand((family, task)) {
        of_hand.iter().map(|name| (*name).to_owned()).collect()
    } else {
        recorded::names(family, task)
    }
}

/// A list of names in some of the blocks, or a regular expression.
fn targets(rng: &mut Rng, names: &[String], blocks: u64, adapters: &mut Value) {
    let two = [pick(rng, names), pick(rng, names)];
    let block = rng.u64(..blocks);
    match rng.u32(..5) {
        0 => adapters["target_modules"] = json!(format!(r".*\.({}|{})", two[0], two[1])),
        1 => adapters["target_modules"] = json!(format!(r".+\.{block}\..*{}|lm_head", two[0])),
        2 => {
            adapters["target_modules"] = json!(two);
            adapters["layers_to_transform"] = json!(block);
        }
        3 => {
            adapters["target_modules"] = json!(two);
            adapters["layers_to_transform"] = json!([0, block]);
            let pattern = pick(rng, &[json!("layers"), json!(["h", "layers", "layer"]), json!([])]);
            adapters["layers_pattern"] = pattern;
        }
        _ => {}
    }
}

/// Names that get no adapters, but never all of them.
fn exclusions(rng: &mut Rng, names: &[String], blocks: u64, adapters: &mut Value) {
    match rng.u32(..4) {
        0 => adapters["exclude_modules"] = json!([pick(rng, names)]),
        1 => {
            adapters["exclude_modules"] = json!(format!(r".*\.{}\..*{}", rng.u64(..blocks), pick(rng, names)))
        }
        _ => {}
    }
}
