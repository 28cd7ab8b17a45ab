//! Configs of other training programs, given in place of a job.

use brimful_jobs::{
    AttentionKernel, Checkpointing, Format, JobError, LoadedJob, LoraTargets, Overrides, Precision, Train,
    Workload, load,
};
use brimful_models::NoFiles;

fn read(text: &str) -> Result<LoadedJob, JobError> {
    load("config.yaml", text, Format::Yaml, &NoFiles, &Overrides::default())
}

fn train(loaded: &LoadedJob) -> &Train {
    match &loaded.job.workload {
        Workload::Train(train) => train,
        Workload::Infer(infer) => panic!("{infer:?}"),
    }
}

const AXOLOTL: &str = "\
base_model: NousResearch/Meta-Llama-3-8B
load_in_8bit: false
datasets:
  - path: tatsu-lab/alpaca
sequence_len: 4096
sample_packing: true
adapter: lora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
gradient_accumulation_steps: 4
micro_batch_size: 2
optimizer: adamw_bnb_8bit
bf16: auto
gradient_checkpointing: true
flash_attention: true
deepspeed:
";

#[test]
fn a_config_of_axolotl_is_a_job_and_says_what_was_not_taken() {
    let loaded = read(AXOLOTL).unwrap();
    let run = train(&loaded);
    assert_eq!(loaded.job.model.layers(), 32);
    assert_eq!((run.batch, run.sequence, run.accumulation), (2, 4096, 4));
    assert_eq!((run.precision, run.attention), (Precision::Bf16, AttentionKernel::Flash));
    assert_eq!((run.checkpointing, run.clip_grad_norm), (Checkpointing::NonReentrant, true));
    let lora = run.lora.as_ref().unwrap();
    assert_eq!((lora.r, lora.lora_dropout, &lora.target_modules), (32, 0.05, &LoraTargets::AllLinear));
    let note = &loaded.recipe.notes[0];
    assert!(note.contains("a config of axolotl"), "{note}");
    assert!(note.ends_with("these keys are not taken: datasets, deepspeed, sample_packing"), "{note}");
}

#[test]
fn a_config_of_llama_factory_is_a_job() {
    let text = "model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct\nstage: sft\nfinetuning_type: lora\nlora_rank: 8\n\
                lora_target: all\ntemplate: llama3\ncutoff_len: 2048\nper_device_train_batch_size: 1\n\
                gradient_accumulation_steps: 8\nbf16: true\n";
    let loaded = read(text).unwrap();
    let run = train(&loaded);
    assert_eq!((run.batch, run.sequence, run.accumulation), (1, 2048, 8));
    assert_eq!((run.precision, run.checkpointing), (Precision::Bf16, Checkpointing::Reentrant));
    assert_eq!(run.lora.as_ref().map(|lora| lora.r), Some(8));
    let full = read(&text.replace("finetuning_type: lora", "finetuning_type: full")).unwrap();
    assert_eq!((train(&full).precision, train(&full).lora.is_some()), (Precision::AmpBf16, false));
}

#[test]
fn the_trainers_autocast_is_over_the_dtype_that_its_arguments_name() {
    let precision = |lines: &str| {
        train(&read(&format!("model_name_or_path: gpt2\noutput_dir: out\n{lines}")).unwrap()).precision
    };
    assert_eq!(precision("bf16: true"), Precision::AmpBf16);
    assert_eq!(precision("bf16: true\ndtype: bfloat16"), Precision::Bf16Autocast);
    assert_eq!(precision("bf16: true\ntorch_dtype: bfloat16"), Precision::Bf16Autocast);
    assert_eq!(precision("bf16: true\ndtype: float32"), Precision::AmpBf16);
    assert_eq!(precision("fp16: true\ntorch_dtype: float32"), Precision::AmpFp16);
    assert_eq!(precision("bf16: false\ndtype: bfloat16"), Precision::Bf16);
}

#[test]
fn training_arguments_are_a_job_with_a_model_from_the_file_or_a_flag() {
    let text = r#"{"output_dir": "out", "per_device_train_batch_size": 4, "bf16": true, "optim": "adamw_torch",
        "gradient_checkpointing": true, "max_grad_norm": 0, "learning_rate": 1e-5}"#;
    let flags = Overrides::default().set("model", "gpt2");
    let loaded = load("args.json", text, Format::Json, &NoFiles, &flags).unwrap();
    let run = train(&loaded);
    assert_eq!((run.batch, run.precision, run.clip_grad_norm), (4, Precision::AmpBf16, false));
    assert_eq!(run.optimizer.as_ref().map(|optimizer| optimizer.fused), Some(None));
    let note = &loaded.recipe.notes[0];
    assert!(note.ends_with("not taken: learning_rate, output_dir"), "{note}");
    let without =
        load("args.json", text, Format::Json, &NoFiles, &Overrides::default()).unwrap_err().to_string();
    assert!(without.contains("`model` is missing"), "{without}");
}

#[test]
fn what_is_not_simulated_is_refused_at_the_line_of_their_key() {
    for (theirs, ours, line, command) in [
        ("adapter: qlora", "adapter: lora", 7, "brimful rehearse -- python train.py"),
        ("load_in_8bit: true", "load_in_8bit: false", 2, "brimful rehearse -- python train.py"),
        ("deepspeed: zero3.json", "deepspeed:", 18, "brimful rehearse --gpus 2 -- torchrun"),
        ("optimizer: galore_adamw", "optimizer: adamw_bnb_8bit", 14, "brimful rehearse -- python train.py"),
    ] {
        let error = read(&AXOLOTL.replace(ours, theirs)).unwrap_err();
        assert_eq!(error.line, Some(line), "{theirs}: {error}");
        assert!(error.to_string().contains(command), "{theirs}: {error}");
    }
}

#[test]
fn configs_of_launchers_name_the_command_that_rehearses_them() {
    for (text, program, command) in [
        (
            "compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\n",
            "accelerate",
            "-- accelerate launch",
        ),
        (
            "{\"zero_optimization\": {\"stage\": 3}, \"bf16\": {\"enabled\": true}}",
            "DeepSpeed",
            "-- deepspeed",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(&format!("a config of {program}")) && error.contains(command), "{error}");
    }
}

#[test]
fn a_job_of_ours_is_read_as_one() {
    let loaded = read("model: gpt2\ntrain:\n  batch: 3\n").unwrap();
    assert!(train(&loaded).batch == 3 && loaded.recipe.notes.is_empty());
}
