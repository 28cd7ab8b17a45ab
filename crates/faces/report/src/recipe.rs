//! What a job does, in words.

use brimful_jobs::{
    Cache, Checkpointing, Infer, Job, LoadedJob, Lora, LoraTargets, Optimizer, Precision, Quantization,
    QuantizedForm, Train, Words, Workload,
};
use brimful_models::Source;
use brimful_units::Dtype;

/// The job in a line: "full fine-tuning of Llama-2-7b-hf".
pub(crate) fn title(loaded: &LoadedJob) -> String {
    let model = model_name(loaded);
    match &loaded.job.workload {
        Workload::Train(run) if run.quantization.is_some() => format!("QLoRA fine-tuning of {model}"),
        Workload::Train(run) if run.lora.is_some() => format!("LoRA fine-tuning of {model}"),
        Workload::Train(_) => format!("full training of {model}"),
        Workload::Infer(run) if run.image.is_some() || run.task.reads_speech() => {
            format!("inference with {model}")
        }
        Workload::Infer(_) => format!("generation with {model}"),
    }
}

fn model_name(loaded: &LoadedJob) -> String {
    let short = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or(path).to_owned();
    match &loaded.model.source {
        Source::Catalogue { hub_id, .. } => short(hub_id),
        Source::File(path) => short(path.trim_end_matches("/config.json")),
        Source::Table => format!("a {} of the job's own", loaded.model.file.model_type),
    }
}

/// The job in a line, with its settings.
pub fn job_line(loaded: &LoadedJob) -> String {
    format!("{}: {}", title(loaded), recipe(&loaded.job).join(" · "))
}

/// What the job does, one setting an entry: half of all disagreements between estimates are about these.
pub(crate) fn recipe(job: &Job) -> Vec<String> {
    let mut all = match &job.workload {
        Workload::Train(run) => training(run),
        Workload::Infer(run) => inference(run),
    };
    if !job.allocator_conf.is_empty() {
        all.push(format!("PYTORCH_CUDA_ALLOC_CONF={}", job.allocator_conf));
    }
    all.push(format!("torch {}", job.versions.torch));
    all.push(format!("transformers {}", job.versions.transformers));
    // Only where it decides which kernel takes attention.
    all.extend(job.prefers_cudnn_attention().map(|first| {
        let rule = if first { "its attention is tried first" } else { "its attention is not used" };
        format!("cuDNN {} ({rule})", job.versions.cudnn)
    }));
    all
}

fn training(run: &Train) -> Vec<String> {
    let mut all = vec![
        trained(run),
        match (run.image, run.target_sequence) {
            (Some(side), _) => format!("batch of {} images, {side} × {side} pixels", run.batch),
            (None, Some(target)) if run.task.reads_speech() => speech(run.batch, target),
            (None, _) => format!("batch {} × {} tokens", run.batch, run.sequence),
        },
        format!("{} attention", run.attention.word()),
    ];
    if run.accumulation > 1 {
        all.push(format!("gradients of {} micro steps accumulated", run.accumulation));
    }
    all.push(match run.checkpointing {
        Checkpointing::None => "no gradient checkpointing".to_owned(),
        kind => format!("{} gradient checkpointing", kind.word()),
    });
    all.extend(run.quantization.as_ref().map(quantized));
    all.extend(run.prepare_model_for_kbit_training.then(|| "the rest of the model in fp32".to_owned()));
    all.extend(run.lora.as_ref().map(adapters));
    all.push(run.optimizer.as_ref().map_or("no optimizer".to_owned(), optimizer));
    all
}

fn adapters(lora: &Lora) -> String {
    let on = match &lora.target_modules {
        LoraTargets::AllLinear => "every Linear".to_owned(),
        LoraTargets::Named(names) => names.join(", "),
        LoraTargets::Pattern(pattern) => pattern.text().to_owned(),
    };
    format!("LoRA of rank {} on {on}", lora.r)
}

/// How the weights of Linears are held, and in what they are computed with.
fn quantized(quantization: &Quantization) -> String {
    match quantization.form {
        QuantizedForm::FourBit { four_bit_type, double_quant, compute_dtype, .. } => {
            let scales = if double_quant { " with double quantization" } else { "" };
            let word = four_bit_type.word();
            format!("{word} weights of bitsandbytes{scales}, computed in {}", dtype(compute_dtype))
        }
        QuantizedForm::EightBit { .. } => "8-bit weights of bitsandbytes".to_owned(),
    }
}

/// A dtype as jobs write precisions.
fn dtype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "fp32",
        Dtype::F16 => "fp16",
        _ => "bf16",
    }
}

fn inference(run: &Infer) -> Vec<String> {
    let mut all = called(run);
    all.extend(run.quantization.as_ref().map(quantized));
    all
}

fn called(run: &Infer) -> Vec<String> {
    let logits = match run.logits_to_keep {
        Some(1) => "logits of the last position".to_owned(),
        Some(kept) => format!("logits of the last {kept} positions"),
        None => "logits of all positions".to_owned(),
    };
    if let Some(side) = run.image {
        return vec![
            precision(run.precision).to_owned(),
            format!("batch of {} images, {side} × {side} pixels", run.batch),
            format!("{} attention", run.attention.word()),
        ];
    }
    if let (true, Some(target)) = (run.task.reads_speech(), run.target_sequence) {
        return vec![
            precision(run.precision).to_owned(),
            speech(run.batch, target),
            format!("{} attention", run.attention.word()),
        ];
    }
    vec![
        precision(run.precision).to_owned(),
        format!("batch {} × {} tokens, then {} more", run.batch, run.sequence, run.decode_steps),
        format!("{} attention", run.attention.word()),
        match run.cache {
            Cache::Dynamic => "dynamic KV cache".to_owned(),
            Cache::Static { max_cache_len } => format!("static KV cache of {max_cache_len} tokens"),
            Cache::None => "no KV cache".to_owned(),
        },
        logits,
    ]
}

/// A batch of speech with its texts.
fn speech(batch: u64, target: u64) -> String {
    format!("batch of {batch} recordings of speech with texts of {target} tokens")
}

/// Training in half precision without autocast: what people forget is that the states are halved too.
fn trained(run: &Train) -> String {
    match run.precision {
        Precision::Fp16 | Precision::Bf16 if run.lora.is_none() => {
            format!("{} weights, gradients and states", precision(run.precision))
        }
        Precision::Bf16Autocast if run.lora.is_none() => {
            "bf16 weights, gradients and states with bf16 autocast".to_owned()
        }
        other => precision(other).to_owned(),
    }
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 | Precision::Fp16 | Precision::Bf16 => precision.word(),
        Precision::AmpBf16 => "fp32 weights with bf16 autocast",
        Precision::AmpFp16 => "fp32 weights with fp16 autocast",
        Precision::Bf16Autocast => "bf16 weights with bf16 autocast",
    }
}

/// The optimizer's class, its library if it is not torch alone that has the class, and how the step runs.
fn optimizer(optimizer: &Optimizer) -> String {
    let class = optimizer.kind.class();
    let name = match class.library {
        "torch" if class.name != "Adafactor" => class.name.to_owned(),
        library => format!("{} of {library}", class.name),
    };
    let how = match (optimizer.fused, optimizer.foreach) {
        (Some(true), _) => " (fused)",
        (_, Some(false)) => " (for-loop)",
        _ if class.arguments.contains(&"foreach") => " (foreach)",
        _ => "",
    };
    format!("{name}{how}")
}
