//! The classic table, computed for the job at hand: each technique alone, everything else unchanged.

use brimful_explain::Keeps;
use brimful_jobs::{
    AttentionKernel, Checkpointing, Job, Lora, LoraTargets, Optimizer, OptimizerKind, Precision, Run, Train,
};
use brimful_replay::Ledger;
use rayon::prelude::*;

use crate::fit::{Fit, Verdict, fit};

/// A technique and what it would do to this job.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What to do, in words.
    pub technique: &'static str,
    /// The changes to the job: key, value before, value after.
    pub changes: Vec<(&'static str, String, String)>,
    /// The peaks it would give.
    pub peak: Ledger,
    /// Reserved bytes saved; negative where it takes more.
    pub saved: i64,
    /// Does the job fit with it?
    pub verdict: Verdict,
    /// The published cost, with its source.
    pub cost: &'static str,
    /// Whether results stay the same.
    pub keeps: Keeps,
}

struct Technique {
    name: &'static str,
    cost: &'static str,
    keeps: Keeps,
    /// Changes the job and says what it changed; nothing where it does not apply.
    apply: fn(&mut Job) -> Vec<(&'static str, String, String)>,
}

const TECHNIQUES: [Technique; 9] = [
    Technique {
        name: "half the batch, twice the accumulation",
        cost: "more, smaller kernels; no published figure",
        keeps: Keeps::Close,
        apply: half_batch,
    },
    Technique {
        name: "gradient checkpointing",
        cost: "about 20 % slower (transformers 5.23, training_args.py); 30–40 % in arXiv:2205.05198",
        keeps: Keeps::Identical,
        apply: checkpoint,
    },
    Technique {
        name: "pure bf16",
        cost: "faster; rounds weights and states to 8 bits of precision",
        keeps: Keeps::Different,
        apply: |job| precision(job, Precision::Bf16),
    },
    Technique {
        name: "autocast to bf16",
        cost: "faster than fp32, whose weights it keeps; no published figure",
        keeps: Keeps::Close,
        apply: autocast,
    },
    Technique {
        name: "fused optimizer",
        cost: "none: one kernel instead of several (torch.optim docs)",
        keeps: Keeps::Close,
        apply: fused,
    },
    Technique {
        name: "8-bit optimizer",
        cost: "0.95 × speed (bitsandbytes benchmarking, Qwen3-0.6B full fine-tuning on an A100)",
        keeps: Keeps::Different,
        apply: eight_bit,
    },
    Technique {
        name: "LoRA, rank 16 on every Linear",
        cost: "trains adapters only; no published figure",
        keeps: Keeps::Different,
        apply: lora,
    },
    Technique {
        name: "flash attention instead of eager",
        cost: "faster; no published figure",
        keeps: Keeps::Close,
        apply: flash,
    },
    Technique {
        name: "expandable segments",
        cost: "about neutral; no controlled benchmark found",
        keeps: Keeps::Identical,
        apply: expandable,
    },
];

/// Every technique that applies to the job, with the peak it would give; most saved first.
pub fn techniques(job: &Job, today: &Fit) -> Vec<Row> {
    let mut rows: Vec<Row> =
        TECHNIQUES.par_iter().filter_map(|technique| row(technique, job, today)).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.saved));
    rows
}

fn row(technique: &Technique, job: &Job, today: &Fit) -> Option<Row> {
    let mut changed = job.clone();
    let changes = (technique.apply)(&mut changed);
    if changes.is_empty() {
        return None;
    }
    let fit = fit(&changed).ok()?;
    let saved = i128::from(today.ledger.reserved.get()) - i128::from(fit.ledger.reserved.get());
    Some(Row {
        technique: technique.name,
        changes,
        peak: fit.ledger,
        saved: i64::try_from(saved).unwrap_or(i64::MAX),
        verdict: fit.verdict,
        cost: technique.cost,
        keeps: technique.keeps,
    })
}

type Changes = Vec<(&'static str, String, String)>;

fn train(job: &mut Job) -> Option<&mut Train> {
    match &mut job.run {
        Run::Train(run) => Some(run),
        Run::Infer(_) => None,
    }
}

fn change(key: &'static str, from: impl ToString, to: impl ToString) -> (&'static str, String, String) {
    (key, from.to_string(), to.to_string())
}

fn half_batch(job: &mut Job) -> Changes {
    let Some(run) = train(job).filter(|run| run.batch >= 2 && run.batch % 2 == 0) else { return Vec::new() };
    let (batch, accumulation) = (run.batch, run.accumulation);
    run.batch = batch / 2;
    run.accumulation = accumulation * 2;
    vec![
        change("train.batch", batch, run.batch),
        change("train.accumulation", accumulation, run.accumulation),
    ]
}

fn checkpoint(job: &mut Job) -> Changes {
    let Some(run) = train(job).filter(|run| run.checkpointing == Checkpointing::None) else {
        return Vec::new();
    };
    run.checkpointing = Checkpointing::NonReentrant;
    vec![change("train.checkpointing", "none", "non-reentrant")]
}

/// The word for a precision in the job file.
fn word(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 => "fp32",
        Precision::Fp16 => "fp16",
        Precision::Bf16 => "bf16",
        Precision::AmpBf16 => "amp-bf16",
        Precision::AmpFp16 => "amp-fp16",
    }
}

fn precision(job: &mut Job, to: Precision) -> Changes {
    let (key, now) = match &mut job.run {
        Run::Train(run) => ("train.precision", &mut run.precision),
        Run::Infer(run) => ("infer.precision", &mut run.precision),
    };
    let from = std::mem::replace(now, to);
    let already_half = matches!(from, Precision::Bf16 | Precision::Fp16);
    if from == to || already_half { Vec::new() } else { vec![change(key, word(from), word(to))] }
}

fn autocast(job: &mut Job) -> Changes {
    match train(job).map(|run| run.precision) {
        Some(Precision::Fp32) => precision(job, Precision::AmpBf16),
        _ => Vec::new(),
    }
}

fn optimizer(job: &mut Job) -> Option<&mut Optimizer> {
    train(job)?.optimizer.as_mut()
}

fn is_adam(kind: OptimizerKind) -> bool {
    matches!(kind, OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. })
}

fn fused(job: &mut Job) -> Changes {
    let Some(optimizer) = optimizer(job).filter(|o| is_adam(o.kind) && o.fused != Some(true)) else {
        return Vec::new();
    };
    optimizer.fused = Some(true);
    optimizer.foreach = None;
    vec![change("train.optimizer.fused", false, true)]
}

fn eight_bit(job: &mut Job) -> Changes {
    let Some(optimizer) = optimizer(job).filter(|o| is_adam(o.kind)) else { return Vec::new() };
    *optimizer = Optimizer { kind: OptimizerKind::AdamW8bit, foreach: None, fused: None };
    vec![change("train.optimizer", "Adam", "AdamW8bit (bitsandbytes)")]
}

fn lora(job: &mut Job) -> Changes {
    let Some(run) = train(job).filter(|run| run.lora.is_none() && run.optimizer.is_some()) else {
        return Vec::new();
    };
    run.lora = Some(Lora {
        r: 16,
        lora_dropout: 0.0,
        target_modules: LoraTargets::AllLinear,
        autocast_adapter_dtype: true,
        enable_input_require_grads: false,
    });
    vec![change("train.lora", "none", "{r = 16, target_modules = \"all-linear\"}")]
}

fn flash(job: &mut Job) -> Changes {
    let (key, now) = match &mut job.run {
        Run::Train(run) => ("train.attention", &mut run.attention),
        Run::Infer(run) => ("infer.attention", &mut run.attention),
    };
    let from = std::mem::replace(now, AttentionKernel::Sdpa);
    if from == AttentionKernel::Eager { vec![change(key, "eager", "sdpa")] } else { Vec::new() }
}

fn expandable(job: &mut Job) -> Changes {
    if job.allocator_conf.contains("expandable_segments") {
        return Vec::new();
    }
    let from = job.allocator_conf.clone();
    let separator = if from.is_empty() { "" } else { "," };
    job.allocator_conf = format!("{from}{separator}expandable_segments:True");
    vec![change("allocator.conf", from, &job.allocator_conf)]
}
