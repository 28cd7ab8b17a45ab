//! The tables of the formats.

use super::{Foreign, Row, Values};

/// Every format; the first whose signs a file has is the file's.
pub(super) const ALL: &[Foreign] = &[AXOLOTL, LLAMA_FACTORY, ACCELERATE, DEEPSPEED, TRAINER];

const fn row(theirs: &'static str, key: &'static str, values: Values) -> Row {
    Row { theirs, key, values, only_with: None }
}

impl Row {
    const fn only_with(self, key: &'static str, value: &'static str) -> Row {
        Row { only_with: Some((key, value)), ..self }
    }
}

/// What transformers' Trainer does unless its arguments say otherwise (transformers/training_args.py, 5.23: `max_grad_norm`
/// is 1.0 and `default_optim` the fused AdamW).
const OF_TRAINER: &[(&str, &str)] =
    &[("train.clip_grad_norm", "1.0"), ("train.optimizer", "adamw_torch_fused")];

/// Each tool has defaults of its own for bitsandbytes' weights and for what it converts beside them. They are not followed
/// here; the value names a method that is refused.
const OWN_DEFAULTS: &str = "bitsandbytes with the tool's own defaults";

/// transformers' names of bitsandbytes' weights.
const BITSANDBYTES: &[Row] = &[
    row("load_in_4bit", "train.quantization.quant_method", Values::Switch(OWN_DEFAULTS)),
    row("load_in_8bit", "train.quantization.quant_method", Values::Switch(OWN_DEFAULTS)),
];

/// Sharding is set up in files of its own; a name of one says no more than that there is any.
const SHARDED: &[Row] = &[
    row("deepspeed", "parallel.shard", Values::Given("zero3")),
    row("fsdp", "parallel.shard", Values::Given("fsdp2")),
];

/// axolotl loads the weights in the dtype that `bf16` or `fp16` names (`normalize_config` in axolotl/utils/config).
const AXOLOTL: Foreign = Foreign {
    name: "axolotl",
    signs: &[&["base_model"]],
    instead: None,
    defaults: OF_TRAINER,
    rows: &[
        row("base_model", "model", Values::Same),
        row("micro_batch_size", "train.batch", Values::Same),
        row("sequence_len", "train.sequence", Values::Same),
        row("gradient_accumulation_steps", "train.accumulation", Values::Same),
        row("optimizer", "train.optimizer", Values::Same),
        row("bf16", "train.precision", Values::Switch("bf16")),
        row("bfloat16", "train.precision", Values::Switch("bf16")),
        row("fp16", "train.precision", Values::Switch("fp16")),
        row("float16", "train.precision", Values::Switch("fp16")),
        row("gradient_checkpointing", "train.checkpointing", Values::Switch("true")),
        row(
            "gradient_checkpointing_kwargs.use_reentrant",
            "train.checkpointing",
            Values::Switch("reentrant"),
        )
        .only_with("gradient_checkpointing", "true"),
        row("max_grad_norm", "train.clip_grad_norm", Values::Same),
        row("flash_attention", "train.attention", Values::Switch("flash")),
        row("sdp_attention", "train.attention", Values::Switch("sdpa")),
        row("eager_attention", "train.attention", Values::Switch("eager")),
        row("attn_implementation", "train.attention", Values::Same),
        row("adapter", "train.lora", Values::Words(&[("lora", "true"), ("qlora", "true")])),
        row("lora_r", "train.lora.r", Values::Same),
        row("lora_alpha", "train.lora.lora_alpha", Values::Same),
        row("lora_dropout", "train.lora.lora_dropout", Values::Same),
        row("lora_target_modules", "train.lora.target_modules", Values::List),
        row(
            "lora_target_modules",
            "train.lora.target_modules",
            Values::Words(&[("all-linear", "all-linear")]),
        ),
        row("lora_target_linear", "train.lora.target_modules", Values::Switch("all-linear")),
        row("adapter", "train.quantization.quant_method", Values::Words(&[("qlora", OWN_DEFAULTS)])),
    ],
    shared: &[BITSANDBYTES, SHARDED],
};

/// LLaMA-Factory checkpoints by the reentrant kind unless it is turned off (`use_reentrant_gc` in
/// llamafactory/hparams/model_args.py), and keeps trained weights in fp32 under bf16 unless `pure_bf16` is set.
const LLAMA_FACTORY: Foreign = Foreign {
    name: "LLaMA-Factory",
    signs: &[
        &["model_name_or_path", "finetuning_type"],
        &["model_name_or_path", "stage"],
        &["model_name_or_path", "template"],
    ],
    instead: None,
    defaults: &[OF_TRAINER[0], OF_TRAINER[1], ("train.checkpointing", "reentrant")],
    rows: &[
        row("model_name_or_path", "model", Values::Same),
        row("per_device_train_batch_size", "train.batch", Values::Same),
        row("cutoff_len", "train.sequence", Values::Same),
        row("gradient_accumulation_steps", "train.accumulation", Values::Same),
        row("optim", "train.optimizer", Values::Same),
        row("bf16", "train.precision", Values::Switch("bf16")).only_with("finetuning_type", "lora"),
        row("bf16", "train.precision", Values::Switch("amp-bf16")).only_with("finetuning_type", "full"),
        row("fp16", "train.precision", Values::Switch("fp16")).only_with("finetuning_type", "lora"),
        row("fp16", "train.precision", Values::Switch("amp-fp16")).only_with("finetuning_type", "full"),
        row("pure_bf16", "train.precision", Values::Switch("bf16")),
        row("disable_gradient_checkpointing", "train.checkpointing", Values::Switch("none")),
        row(
            "use_reentrant_gc",
            "train.checkpointing",
            Values::Words(&[("true", "reentrant"), ("false", "non-reentrant")]),
        ),
        row("max_grad_norm", "train.clip_grad_norm", Values::Same),
        row(
            "flash_attn",
            "train.attention",
            Values::Words(&[("fa2", "flash"), ("sdpa", "sdpa"), ("disabled", "eager"), ("auto", "")]),
        ),
        row("finetuning_type", "train.lora", Values::Words(&[("lora", "true"), ("full", "")])),
        row("lora_rank", "train.lora.r", Values::Same).only_with("finetuning_type", "lora"),
        row("lora_alpha", "train.lora.lora_alpha", Values::Same).only_with("finetuning_type", "lora"),
        row("lora_dropout", "train.lora.lora_dropout", Values::Same).only_with("finetuning_type", "lora"),
        row("lora_target", "train.lora.target_modules", Values::List).only_with("finetuning_type", "lora"),
        row("lora_target", "train.lora.target_modules", Values::Words(&[("all", "all-linear")]))
            .only_with("finetuning_type", "lora"),
        row("quantization_bit", "train.quantization.quant_method", Values::Given(OWN_DEFAULTS)),
    ],
    shared: &[SHARDED],
};

/// transformers' `TrainingArguments`, alone or with the model's arguments.
const TRAINER: Foreign = Foreign {
    name: "transformers' TrainingArguments",
    signs: &[
        &["per_device_train_batch_size"],
        &["output_dir", "num_train_epochs"],
        &["output_dir", "learning_rate"],
        &["output_dir", "model_name_or_path"],
    ],
    instead: None,
    defaults: OF_TRAINER,
    rows: &[
        row("model_name_or_path", "model", Values::Same),
        row("per_device_train_batch_size", "train.batch", Values::Same),
        row("max_seq_length", "train.sequence", Values::Same),
        row("max_length", "train.sequence", Values::Same),
        row("block_size", "train.sequence", Values::Same),
        row("gradient_accumulation_steps", "train.accumulation", Values::Same),
        row("optim", "train.optimizer", Values::Same),
        // The Trainer's bf16 is autocast over the weights' own dtype, which is fp32 unless the model was loaded in another.
        row("bf16", "train.precision", Values::Switch("amp-bf16")),
        row("fp16", "train.precision", Values::Switch("amp-fp16")),
        row("torch_dtype", "train.precision", Values::Same),
        row("dtype", "train.precision", Values::Same),
        // These come after the dtype alone, which says nothing of autocast.
        row("bf16", "train.precision", Values::Switch("bf16-autocast")).only_with("torch_dtype", "bfloat16"),
        row("bf16", "train.precision", Values::Switch("bf16-autocast")).only_with("dtype", "bfloat16"),
        row("bf16", "train.precision", Values::Switch("amp-bf16")).only_with("torch_dtype", "float32"),
        row("bf16", "train.precision", Values::Switch("amp-bf16")).only_with("dtype", "float32"),
        row("fp16", "train.precision", Values::Switch("amp-fp16")).only_with("torch_dtype", "float32"),
        row("fp16", "train.precision", Values::Switch("amp-fp16")).only_with("dtype", "float32"),
        row("gradient_checkpointing", "train.checkpointing", Values::Switch("true")),
        row(
            "gradient_checkpointing_kwargs.use_reentrant",
            "train.checkpointing",
            Values::Switch("reentrant"),
        )
        .only_with("gradient_checkpointing", "true"),
        row("max_grad_norm", "train.clip_grad_norm", Values::Same),
        row("attn_implementation", "train.attention", Values::Same),
        row("use_peft", "train.lora", Values::Switch("true")),
        row("lora_r", "train.lora.r", Values::Same).only_with("use_peft", "true"),
        row("lora_alpha", "train.lora.lora_alpha", Values::Same).only_with("use_peft", "true"),
        row("lora_dropout", "train.lora.lora_dropout", Values::Same).only_with("use_peft", "true"),
        row("lora_target_modules", "train.lora.target_modules", Values::List).only_with("use_peft", "true"),
        row(
            "lora_target_modules",
            "train.lora.target_modules",
            Values::Words(&[("all-linear", "all-linear")]),
        )
        .only_with("use_peft", "true"),
    ],
    shared: &[BITSANDBYTES, SHARDED],
};

/// accelerate's config says how processes are started, and names neither model nor batch.
const ACCELERATE: Foreign = Foreign {
    name: "accelerate",
    signs: &[&["distributed_type"], &["compute_environment"]],
    instead: Some(
        "it says how processes are started, and names neither a model nor a batch; rehearse the script that it starts: \
         brimful rehearse --gpus 2 -- accelerate launch --config_file FILE train.py",
    ),
    defaults: &[],
    rows: &[],
    shared: &[],
};

/// DeepSpeed's engine keeps copies of weights and gradients of its own, which no prediction follows.
const DEEPSPEED: Foreign = Foreign {
    name: "DeepSpeed",
    signs: &[
        &["zero_optimization"],
        &["train_micro_batch_size_per_gpu"],
        &["train_batch_size", "optimizer"],
        &["train_batch_size", "gradient_accumulation_steps"],
    ],
    instead: Some(
        "its engine keeps copies of weights and gradients of its own, which are not simulated yet; rehearse your own script: \
         brimful rehearse --gpus 2 -- deepspeed --num_gpus 2 train.py",
    ),
    defaults: &[],
    rows: &[],
    shared: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_becomes_a_key_of_the_job() {
        let keys = ALL.iter().flat_map(|format| {
            format.all_rows().map(|row| row.key).chain(format.defaults.iter().map(|row| row.0))
        });
        for key in keys {
            assert!(crate::keys::find(key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_job_of_ours_has_the_signs_of_no_format() {
        for sign in ALL.iter().flat_map(|format| format.signs).filter_map(|signs| signs.first()) {
            assert!(crate::keys::find(sign).is_none(), "{sign}");
        }
    }
}
