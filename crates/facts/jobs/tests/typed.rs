//! Flags and values as people write them, and what is refused by the name that was typed.

use brimful_jobs::{
    AttentionKernel, BitsAndBytes, Checkpointing, Format, FourBitType, Job, OptimizerKind, Overrides,
    Precision, QuantizedForm, Train, Workload, elsewhere, flags, keys, load,
};
use brimful_models::NoFiles;
use brimful_units::Dtype;

fn job(changes: &[(&str, &str)]) -> Result<Job, String> {
    let set = |all: Overrides, (key, value): &(&str, &str)| all.set(key, value);
    let changes = changes.iter().fold(Overrides::default(), set);
    let loaded = load("job", "model = 'llama-3-8b'", Format::Toml, &NoFiles, &changes);
    loaded.map(|loaded| loaded.job).map_err(|error| error.to_string())
}

fn train(changes: &[(&str, &str)]) -> Train {
    match job(changes).unwrap_or_else(|error| panic!("{changes:?}: {error}")).workload {
        Workload::Train(train) => train,
        Workload::Infer(infer) => panic!("{changes:?}: {infer:?}"),
    }
}

#[test]
fn a_key_has_the_names_that_other_programs_give_it() {
    for name in ["batch-size", "batch_size", "bs", "per_device_train_batch_size", "train.batch_size"] {
        assert_eq!(train(&[(name, "4")]).batch, 4, "{name}");
    }
    for name in ["seq", "seq-len", "max_seq_length", "context", "cutoff_len"] {
        assert_eq!(train(&[(name, "512")]).sequence, 512, "{name}");
    }
    assert_eq!(train(&[("gradient-accumulation-steps", "8")]).accumulation, 8);
    assert_eq!(train(&[("dtype", "torch.bfloat16")]).precision, Precision::Bf16);
    assert_eq!(train(&[("mixed-precision", "bf16-mixed")]).precision, Precision::AmpBf16);
    assert_eq!(train(&[("attn-implementation", "flash_attention_2")]).attention, AttentionKernel::Flash);
    assert_eq!(job(&[("alloc-conf", "backend:native")]).unwrap().allocator_conf, "backend:native");
}

#[test]
fn k_is_a_power_of_two() {
    assert_eq!(train(&[("seq", "32k")]).sequence, 32 << 10);
    assert_eq!(train(&[("sequence", "4K")]).sequence, 4 << 10);
    assert!(job(&[("sequence", "k")]).unwrap_err().contains("a whole number"));
    assert!(job(&[("sequence", "99999999999999999999k")]).unwrap_err().contains("a whole number"));
}

#[test]
fn checkpointing_is_a_word_or_on_and_off() {
    for name in ["checkpointing", "gradient-checkpointing", "gradient_checkpointing"] {
        assert_eq!(train(&[(name, "true")]).checkpointing, Checkpointing::NonReentrant, "{name}");
        assert_eq!(train(&[(name, "False")]).checkpointing, Checkpointing::None, "{name}");
        assert_eq!(train(&[(name, "reentrant")]).checkpointing, Checkpointing::Reentrant, "{name}");
    }
}

#[test]
fn an_optimizer_has_the_names_of_torch_transformers_and_bitsandbytes() {
    let kind = |typed: &str| {
        train(&[("optimizer", typed)]).optimizer.map(|optimizer| (optimizer.kind, optimizer.fused))
    };
    let adamw = OptimizerKind::AdamW { amsgrad: false };
    for typed in
        ["AdamW", "adamw", "adamw_torch", "torch.AdamW", "torch.optim.AdamW", "torch.optim.adamw.AdamW"]
    {
        assert_eq!(kind(typed), Some((adamw, None)), "{typed}");
    }
    assert_eq!(kind("adamw_torch_fused"), Some((adamw, Some(true))));
    for typed in
        ["AdamW8bit", "adamw_bnb_8bit", "adamw_8bit", "bitsandbytes.AdamW8bit", "bnb.optim.AdamW8bit"]
    {
        assert_eq!(
            kind(typed),
            Some((OptimizerKind::BitsAndBytes(BitsAndBytes::ADAMW_8BIT), None)),
            "{typed}"
        );
    }
    assert_eq!(kind("Adafactor"), Some((OptimizerKind::Adafactor, None)));
    let transformers = kind("adafactor").map(|found| found.0);
    assert!(matches!(transformers, Some(OptimizerKind::TransformersAdafactor { .. })), "{transformers:?}");
    assert_eq!(kind("none"), None);
    let paged = kind("paged_adamw_8bit").map(|found| found.0);
    assert_eq!(
        paged,
        Some(OptimizerKind::BitsAndBytes(BitsAndBytes { paged: true, ..BitsAndBytes::ADAMW_8BIT }))
    );
}

/// The cure that a message names is never what was typed.
#[test]
fn every_optimizer_that_a_message_names_is_taken_as_it_is_named() {
    let error = job(&[("optimizer", "Sophia")]).unwrap_err();
    let list = error.split("simulated are ").nth(1).unwrap().split(" and \"none\"").next().unwrap();
    assert!(list.split(", ").count() >= 8, "{error}");
    for named in list.split(", ") {
        // bitsandbytes itself asks for a momentum where its class has one.
        let taken = job(&[("optimizer", named)]);
        assert!(taken.is_ok() || taken.as_ref().is_err_and(|e| e.contains("momentum")), "{named}: {taken:?}");
    }
    assert!(error.contains("brimful rehearse"), "{error}");
}

#[test]
fn lora_is_a_rank_a_switch_pairs_or_a_table() {
    let rank = |typed: &str| train(&[("lora", typed)]).lora.map(|lora| lora.r);
    for (typed, expected) in [
        ("16", Some(16)),
        ("r=16", Some(16)),
        ("rank=16", Some(16)),
        ("r=16,alpha=32,dropout=0.05", Some(16)),
        ("true", Some(8)),
        ("false", None),
        (r#"{"r": 4}"#, Some(4)),
    ] {
        assert_eq!(rank(typed), expected, "{typed}");
    }
    let dropout = train(&[("lora", "r=16,lora_dropout=0.5")]).lora.map(|lora| lora.lora_dropout);
    assert_eq!(dropout, Some(0.5));
    assert!(job(&[("lora", "sixteen")]).unwrap_err().contains("expected a table of keys"));
    assert!(job(&[("lora", "z=1")]).unwrap_err().contains("unknown key `train.lora.z`"));
}

#[test]
fn a_key_of_the_models_config_can_be_changed_by_its_path() {
    let layers = |changes: &[(&str, &str)]| job(changes).map(|job| job.model.layers());
    assert_eq!(layers(&[("model.num_hidden_layers", "4")]), Ok(4));
    assert!(layers(&[("model.num_hidden_layers", "0")]).unwrap_err().contains("num_hidden_layers"));
}

#[test]
fn what_cannot_be_simulated_is_refused_with_the_command_that_can() {
    for (key, value, command) in [
        ("quantization", r#"{"quant_method": "awq"}"#, "brimful rehearse -- python train.py"),
        ("serve.engine", "vllm", "brimful rehearse --gpu l4 -- vllm serve"),
        ("parallel.tensor", "2", "brimful rehearse --gpus 2 -- torchrun"),
        ("parallel.shard", "zero3", "brimful rehearse --gpus 2 -- torchrun"),
    ] {
        let error = job(&[(key, value)]).unwrap_err();
        assert!(error.contains(command), "{key}: {error}");
    }
    for row in elsewhere() {
        let says_what_to_type = row.instead.contains("brimful rehearse") || row.instead.contains("write --");
        assert!(says_what_to_type, "{row:?}");
    }
}

#[test]
fn a_short_word_stands_for_bitsandbytes_weights_and_names_what_it_assumes() {
    let forms = |changes: &[(&str, &str)]| {
        let run = train(&[&[("lora", "16")], changes].concat());
        run.quantization.unwrap().form
    };
    let nf4 = forms(&[("quantization", "nf4")]);
    let QuantizedForm::FourBit { four_bit_type, double_quant, compute_dtype, storage } = nf4 else {
        panic!("{nf4:?}")
    };
    assert_eq!((four_bit_type, double_quant), (FourBitType::Nf4, false));
    assert_eq!((compute_dtype, storage), (Dtype::F32, Dtype::U8));
    let four = forms(&[("load_in_4bit", "true"), ("train.quantization.bnb_4bit_quant_type", "nf4")]);
    assert_eq!(four, nf4);
    assert_eq!(forms(&[("quantization", "8bit")]), QuantizedForm::EightBit { looks_for_outliers: true });
    assert_eq!(forms(&[("load_in_8bit", "true")]), QuantizedForm::EightBit { looks_for_outliers: true });
}

#[test]
fn a_name_means_one_key_and_a_spelling_one_value() {
    let all: Vec<String> = flags()
        .flat_map(|(name, key)| [name].into_iter().chain(key.also.iter().copied()))
        .map(|n| n.replace('-', "_"))
        .collect();
    for name in &all {
        assert_eq!(all.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    for key in keys() {
        for (typed, _) in key.spelled {
            assert_eq!(*typed, typed.to_lowercase(), "{}", key.name);
            assert_eq!(
                key.spelled.iter().filter(|pair| pair.0 == *typed).count(),
                1,
                "{}: {typed}",
                key.name
            );
            assert!(!key.words().contains(typed), "{}: {typed}", key.name);
        }
    }
}
