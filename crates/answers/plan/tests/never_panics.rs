//! Jobs nobody would write: each is answered or refused, and every answer keeps the order of the ledgers.

use brimful_jobs::{Format, Overrides, load};
use brimful_models::{NoFiles, simulated_families};
use brimful_plan::{Dimension, Fit, FitVerdict, Limit, fit, largest, techniques};
use brimful_units::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

fn model() -> impl Strategy<Value = Value> {
    let family = prop::sample::select(simulated_families().collect::<Vec<_>>());
    let sizes = (1u64..4, prop::sample::select(vec![8u64, 12, 64, 100, 4096]), 1u64..200_000, 1u64..4);
    (family, 1u64..9, 1u64..5, sizes, any::<bool>()).prop_map(|(family, heads, groups, sizes, tied)| {
        let (layers, width, vocabulary, wider) = sizes;
        if family == "gpt2" {
            return json!({"model_type": family, "n_embd": heads * width, "n_head": heads, "n_layer": layers,
                "vocab_size": vocabulary, "n_positions": 4096});
        }
        json!({"model_type": family, "hidden_size": heads * groups * width, "num_attention_heads": heads * groups,
            "num_key_value_heads": heads, "num_hidden_layers": layers, "vocab_size": vocabulary,
            "intermediate_size": wider * width, "tie_word_embeddings": tied, "head_dim": width})
    })
}

fn words(all: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(all)
}

fn train() -> impl Strategy<Value = Value> {
    let sizes = (1u64..5, prop_oneof![1u64..40, 1000u64..4000], 1u64..3, 0u64..3);
    let how = (
        words(&["fp32", "fp16", "bf16", "amp-bf16", "amp-fp16"]),
        words(&["eager", "sdpa", "flash"]),
        words(&["none", "ones", "padded"]),
        words(&["none", "reentrant", "non-reentrant"]),
    );
    let optimizer = words(&["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adafactor", "AdamW8bit", "none"]);
    (sizes, how, optimizer, any::<[bool; 4]>()).prop_map(|(sizes, how, optimizer, flags)| {
        let optimizer = if flags[0] && matches!(optimizer, "Adam" | "AdamW" | "SGD") {
            json!({"name": optimizer, "fused": true})
        } else {
            json!(optimizer)
        };
        json!({"train": {"batch": sizes.0, "sequence": sizes.1, "accumulation": sizes.2, "steps": sizes.3,
            "precision": how.0, "attention": how.1, "attention_mask": how.2, "checkpointing": how.3,
            "optimizer": optimizer, "use_cache": flags[1], "hold_outputs": flags[2], "clip_grad_norm": flags[3]}})
    })
}

fn infer() -> impl Strategy<Value = Value> {
    let sizes = (1u64..5, prop_oneof![1u64..40, 1000u64..4000], 0u64..5, 1u64..5000);
    let how = (
        words(&["fp32", "fp16", "bf16", "amp-bf16"]),
        words(&["eager", "sdpa"]),
        words(&["dynamic", "static", "none"]),
    );
    (sizes, how, any::<bool>()).prop_map(|(sizes, how, held)| {
        let mut run = json!({"batch": sizes.0, "sequence": sizes.1, "decode_steps": sizes.2, "precision": how.0,
            "attention": how.1, "cache": how.2, "hold_outputs": held});
        if how.2 == "static" {
            run["max_cache_len"] = json!(sizes.1 + sizes.3);
        }
        json!({"infer": run})
    })
}

fn job() -> impl Strategy<Value = Value> {
    let gpu = words(&["h100-sxm-80gb", "a100-sxm-40gb", "rtx-4090-24gb", "t4", "1 GiB", "300 MiB"]);
    let conf = words(&[
        "",
        "expandable_segments:True",
        "max_split_size_mb:64",
        "roundup_power2_divisions:4",
        "garbage_collection_threshold:0.5",
    ]);
    (model(), prop_oneof![3 => train().boxed(), 1 => infer().boxed()], gpu, conf).prop_map(
        |(model, mut job, gpu, conf)| {
            job["model"] = model;
            job["gpu"] = json!(gpu);
            job["allocator"] = json!({"conf": conf});
            job
        },
    )
}

fn check(fit: &Fit) {
    let ledger = fit.ledger;
    assert!(ledger.requested <= ledger.allocated && ledger.allocated <= ledger.reserved, "{ledger:?}");
    assert!(ledger.reserved <= fit.device_peak);
    let peak = fit.peak.as_ref().unwrap();
    let sum: Bytes = peak.composition.public().iter().map(|row| row.1).sum();
    assert_eq!(sum, ledger.requested, "the composition is of the peak");
    let device = fit.device.as_ref().unwrap();
    assert_eq!(device.headroom < 0, fit.shortage.is_some(), "{device:?} {:?}", fit.squeezed);
    let left = i128::from(device.capacity().get()) - i128::from(device.need.get());
    assert_eq!(i128::from(device.headroom), left, "{device:?}");
    match fit.verdict {
        FitVerdict::Fits => {
            assert!(device.headroom >= 0 && fit.device_peak <= device.capacity(), "{device:?}")
        }
        FitVerdict::DoesNotFit => assert!(device.headroom < 0, "{device:?}"),
        FitVerdict::TooClose => {
            let squeezed = fit.device_peak > device.capacity();
            // A failure by more than the margin can be too close, too: the best GPU serves it from returned cache.
            assert!(squeezed || device.headroom.unsigned_abs() < device.margin.get(), "{device:?}");
        }
        FitVerdict::NoDevice => panic!("every drawn job names a GPU"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_job_is_answered_or_refused(job in job()) {
        let text = job.to_string();
        let Ok(loaded) = load("job.json", &text, Format::Json, &NoFiles, &Overrides::default()) else { return Ok(()) };
        match fit(&loaded.job) {
            Ok(answer) => {
                check(&answer);
                for row in techniques(&loaded, &answer) {
                    prop_assert!(!row.changes.is_empty(), "{}", row.technique);
                }
            }
            Err(refusal) => {
                // What a recording does not cover is refused by its comparison; a damaged program would be a fault of ours.
                let text = refusal.to_string();
                let outside = text.contains("does not cover this job") && !text.contains("damaged");
                prop_assert!(text.contains("not simulated") || outside, "{text}");
            }
        }
    }

    /// What `largest` answers fits, and the next does not.
    #[test]
    fn the_largest_batch_is_the_last_that_fits(sequence in 1u64..600, gib in 1u64..5) {
        let text = json!({"gpu": format!("{gib} GiB"), "train": {"sequence": sequence, "precision": "bf16"},
            "model": {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4, "num_hidden_layers": 2,
                "intermediate_size": 512, "vocab_size": 30_000}});
        let load = |batch: u64| {
            let changes = Overrides::default().set("train.batch", &batch.to_string());
            load("job.json", &text.to_string(), Format::Json, &NoFiles, &changes).unwrap().job
        };
        let fits = |batch| fit(&load(batch)).unwrap().verdict == FitVerdict::Fits;
        let found = largest(&load(1), Dimension::Batch).unwrap();
        match found.value {
            Some(value) => prop_assert!(fits(value) && !fits(value + 1), "{found:?}"),
            None => prop_assert!(!fits(1)),
        }
    }
}

#[test]
fn the_largest_sequence_ends_with_the_positions() {
    let changes = Overrides::default().set("gpu", "80 GiB").set("model.n_positions", "300");
    let text = r#"{"model": {"model_type": "gpt2", "n_layer": 1, "n_embd": 64, "n_head": 2}}"#;
    let job = load("job.json", text, Format::Json, &NoFiles, &changes).unwrap().job;
    let found = largest(&job, Dimension::Sequence).unwrap();
    assert_eq!((found.value, found.limit), (Some(300), Limit::Positions));
}
