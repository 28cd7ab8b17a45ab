//! The classic table, computed for the job at hand: each technique alone, everything else unchanged.

use brimful_explain::Keeps;
use brimful_jobs::{
    AttentionKernel, BitsAndBytes, Checkpointing, LoadedJob, Optimizer, OptimizerKind, Overrides, Precision,
    Train, Words, Workload,
};
use brimful_replay::Ledger;
use brimful_units::Bytes;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::fit::{Fit, Replayed};
use crate::verdict::FitVerdict;

/// A technique and what it would do to this job.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What to do, in words.
    pub technique: &'static str,
    /// The changes to the job: key, value before, value after, as the job file writes them.
    pub changes: Vec<(&'static str, String, String)>,
    /// The peaks it would give, on a device without an end.
    pub peak: Ledger,
    /// What the job would need on its GPU, CUDA context included; the reserved peak where it names none.
    pub need: Bytes,
    /// Bytes of the need that it saves; negative where it takes more.
    pub saved: i64,
    /// Does the job fit with it?
    pub verdict: FitVerdict,
    /// The published cost, with its source.
    pub cost: &'static str,
    /// Whether results stay the same.
    pub keeps: Keeps,
}

struct Technique {
    name: &'static str,
    cost: &'static str,
    keeps: Keeps,
    /// The keys that change, each with its new value; none if the technique does not apply.
    changes: fn(&LoadedJob) -> Changes,
}

type Changes = Vec<(&'static str, Value)>;

const TECHNIQUES: &[Technique] = &[
    Technique {
        name: "half the batch, twice the accumulation",
        cost: "more, smaller kernels; no published figure",
        keeps: Keeps::Close,
        changes: half_batch,
    },
    Technique {
        name: "gradient checkpointing",
        cost: "about 20 % slower (transformers 5.23, training_args.py); 30–40 % in arXiv:2205.05198",
        keeps: Keeps::Identical,
        changes: checkpoint,
    },
    Technique {
        name: "pure bf16",
        cost: "faster; rounds weights and states to 8 bits of precision",
        keeps: Keeps::Different,
        changes: pure_bf16,
    },
    Technique {
        name: "autocast to bf16",
        cost: "faster than fp32, whose weights it keeps; no published figure",
        keeps: Keeps::Close,
        changes: autocast,
    },
    Technique {
        name: "fused optimizer",
        cost: "none: one kernel instead of several (torch.optim docs)",
        keeps: Keeps::Close,
        changes: fused,
    },
    Technique {
        name: "8-bit optimizer",
        cost: "0.95 × speed (bitsandbytes benchmarking, Qwen3-0.6B full fine-tuning on an A100)",
        keeps: Keeps::Different,
        changes: eight_bit,
    },
    Technique {
        name: "LoRA, rank 16 on every Linear",
        cost: "trains adapters only; no published figure",
        keeps: Keeps::Different,
        changes: lora,
    },
    Technique {
        name: "flash attention instead of eager",
        cost: "faster; no published figure",
        keeps: Keeps::Close,
        changes: flash,
    },
    Technique {
        name: "expandable segments",
        cost: "about neutral; no controlled benchmark found",
        keeps: Keeps::Identical,
        changes: expandable,
    },
];

/// Every technique that applies to the job, with the peak it would give; most saved first.
pub fn techniques(loaded: &LoadedJob, today: &Fit) -> Vec<Row> {
    let mut rows: Vec<Row> =
        TECHNIQUES.par_iter().filter_map(|technique| row(technique, loaded, today)).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.saved));
    rows
}

fn row(technique: &Technique, loaded: &LoadedJob, today: &Fit) -> Option<Row> {
    let changes = (technique.changes)(loaded);
    if changes.is_empty() {
        return None;
    }
    let overrides =
        changes.iter().fold(Overrides::default(), |all, (key, to)| all.set_value(key, to.clone()));
    // A change that the job file or the simulation refuses is no technique for this job.
    let changed = loaded.with_changes(&overrides).ok()?;
    let replayed = Replayed::of(&changed.job).ok()?;
    let peak = replayed.timeline.peak;
    let need = replayed.need();
    let saved = i128::from(today.need().get()) - i128::from(need.get());
    Some(Row {
        technique: technique.name,
        changes: changes.into_iter().map(|(key, to)| shown(loaded, key, &to)).collect(),
        peak,
        need,
        saved: i64::try_from(saved).unwrap_or(i64::MAX),
        verdict: replayed.verdict(),
        cost: technique.cost,
        keeps: technique.keeps,
    })
}

/// A change with the value before, as the job file writes both.
fn shown(loaded: &LoadedJob, key: &'static str, to: &Value) -> (&'static str, String, String) {
    let from = loaded.effective(key).unwrap_or_else(|| "none".to_owned());
    (key, from, to.as_str().map_or_else(|| to.to_string(), str::to_owned))
}

fn train(loaded: &LoadedJob) -> Option<&Train> {
    match &loaded.job.workload {
        Workload::Train(run) => Some(run),
        Workload::Infer(_) => None,
    }
}

fn half_batch(loaded: &LoadedJob) -> Changes {
    match train(loaded) {
        Some(run) if run.batch >= 2 && run.batch % 2 == 0 => vec![
            ("train.batch", json!(run.batch / 2)),
            ("train.accumulation", json!(run.accumulation.saturating_mul(2))),
        ],
        _ => Vec::new(),
    }
}

fn checkpoint(loaded: &LoadedJob) -> Changes {
    match train(loaded).map(|run| run.checkpointing) {
        Some(Checkpointing::None) => {
            vec![("train.checkpointing", json!(Checkpointing::NonReentrant.word()))]
        }
        _ => Vec::new(),
    }
}

fn pure_bf16(loaded: &LoadedJob) -> Changes {
    let (key, now) = match &loaded.job.workload {
        Workload::Train(run) => ("train.precision", run.precision),
        Workload::Infer(run) => ("infer.precision", run.precision),
    };
    match now {
        // Half the weights already; without autocast the activations are the same ones or fewer by little.
        Precision::Bf16 | Precision::Fp16 | Precision::Bf16Autocast => Vec::new(),
        Precision::Fp32 | Precision::AmpBf16 | Precision::AmpFp16 => {
            vec![(key, json!(Precision::Bf16.word()))]
        }
    }
}

fn autocast(loaded: &LoadedJob) -> Changes {
    match train(loaded).map(|run| run.precision) {
        Some(Precision::Fp32) => vec![("train.precision", json!(Precision::AmpBf16.word()))],
        _ => Vec::new(),
    }
}

/// The job's optimizer if it is one of torch's Adams.
fn adam(loaded: &LoadedJob) -> Option<&Optimizer> {
    let optimizer = train(loaded)?.optimizer.as_ref()?;
    matches!(optimizer.kind, OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. }).then_some(optimizer)
}

fn fused(loaded: &LoadedJob) -> Changes {
    let Some(optimizer) = adam(loaded).filter(|optimizer| optimizer.fused != Some(true)) else {
        return Vec::new();
    };
    let mut changes = vec![("train.optimizer.fused", json!(true))];
    // torch refuses both together.
    if optimizer.foreach == Some(true) {
        changes.push(("train.optimizer.foreach", json!(false)));
    }
    changes
}

fn eight_bit(loaded: &LoadedJob) -> Changes {
    match adam(loaded) {
        Some(_) => vec![("train.optimizer", json!(BitsAndBytes::ADAMW_8BIT.class().name))],
        None => Vec::new(),
    }
}

fn lora(loaded: &LoadedJob) -> Changes {
    match train(loaded) {
        Some(run) if run.lora.is_none() && run.optimizer.is_some() => {
            vec![("train.lora", json!({"r": 16, "target_modules": "all-linear"}))]
        }
        _ => Vec::new(),
    }
}

fn flash(loaded: &LoadedJob) -> Changes {
    let (key, now) = match &loaded.job.workload {
        Workload::Train(run) => ("train.attention", run.attention),
        Workload::Infer(run) => ("infer.attention", run.attention),
    };
    match now {
        AttentionKernel::Eager => vec![(key, json!(AttentionKernel::Sdpa.word()))],
        AttentionKernel::Sdpa | AttentionKernel::Flash => Vec::new(),
    }
}

fn expandable(loaded: &LoadedJob) -> Changes {
    let conf = &loaded.job.allocator_conf;
    if conf.contains("expandable_segments") {
        return Vec::new();
    }
    let separator = if conf.is_empty() { "" } else { "," };
    vec![("allocator.conf", json!(format!("{conf}{separator}expandable_segments:True")))]
}
