//! `[train]` and `[infer]`.

use std::cell::RefCell;

use brimful_models::{Config, Model};
use brimful_units::Dtype;
use serde_json::Value;

use crate::section::Section;
use crate::{
    AttentionKernel, AttentionMask, Cache, Checkpointing, Infer, JobFault, Precision, Recipe, Run, Task,
    Train, lora, optimizer,
};

/// Keys of other tasks than language modelling; the tasks they belong to have no simulation yet.
const OTHER_TASKS: [&str; 2] = ["target_sequence", "image"];

pub(crate) const TRAIN_KEYS: [&str; 20] = [
    "task",
    "batch",
    "sequence",
    "accumulation",
    "precision",
    "attention",
    "attention_mask",
    "checkpointing",
    "use_cache",
    "hold_outputs",
    "clip_grad_norm",
    "steps",
    "optimizer",
    "lora",
    "quantization",
    "target_sequence",
    "image",
    "logits_to_keep",
    "compile",
    "offload",
];

pub(crate) const INFER_KEYS: [&str; 14] = [
    "task",
    "batch",
    "sequence",
    "precision",
    "attention",
    "attention_mask",
    "decode_steps",
    "cache",
    "max_cache_len",
    "logits_to_keep",
    "hold_outputs",
    "quantization",
    "target_sequence",
    "image",
];

const PRECISIONS: [(&str, Precision); 5] = [
    ("bf16", Precision::Bf16),
    ("fp16", Precision::Fp16),
    ("fp32", Precision::Fp32),
    ("amp-bf16", Precision::AmpBf16),
    ("amp-fp16", Precision::AmpFp16),
];

const ATTENTIONS: [(&str, AttentionKernel); 3] =
    [("sdpa", AttentionKernel::Sdpa), ("eager", AttentionKernel::Eager), ("flash", AttentionKernel::Flash)];

const MASKS: [(&str, AttentionMask); 3] =
    [("none", AttentionMask::None), ("ones", AttentionMask::Ones), ("padded", AttentionMask::Padded)];

const CHECKPOINTINGS: [(&str, Checkpointing); 3] = [
    ("none", Checkpointing::None),
    ("reentrant", Checkpointing::Reentrant),
    ("non-reentrant", Checkpointing::NonReentrant),
];

/// Tasks that the job file knows; the first is simulated.
const TASKS: [&str; 8] = [
    "causal-lm",
    "masked-lm",
    "sequence-classification",
    "seq2seq",
    "speech-seq2seq",
    "image-classification",
    "image-text",
    "denoising",
];

/// The most that a count in a job may be.
const MOST: u64 = 1 << 31;

/// What the sections share: the model and the recipe.
pub(crate) struct Context<'a> {
    pub model: &'a Model,
    pub recipe: &'a RefCell<Recipe>,
}

impl Context<'_> {
    /// `[train]`.
    pub(crate) fn train(&self, value: &Value) -> Result<Run, JobFault> {
        let section = Section::new("train", value, &TRAIN_KEYS, self.recipe)?;
        self.refuse_other_tasks(&section)?;
        for name in ["logits_to_keep", "compile", "offload"] {
            if let Some(value) = section.get(name) {
                return Err(section.not_simulated(name, value, "leave it out"));
            }
        }
        let train = Train {
            task: task(&section)?,
            batch: section.count_or("batch", (1, MOST), 1)?,
            sequence: self.sequence(&section, 0)?,
            accumulation: section.count_or("accumulation", (1, MOST), 1)?,
            precision: self.precision(&section)?,
            attention: section.choice_or_first("attention", &ATTENTIONS)?,
            attention_mask: section.choice("attention_mask", &MASKS)?.unwrap_or(AttentionMask::None),
            checkpointing: section.choice_or_first("checkpointing", &CHECKPOINTINGS)?,
            use_cache: section.flag("use_cache")?,
            hold_outputs: section.flag("hold_outputs")?,
            clip_grad_norm: clip_grad_norm(&section)?,
            steps: section.count_or("steps", (1, MOST), 2)?,
            optimizer: optimizer::optimizer(&section, self.recipe)?,
            lora: lora::lora(&section, &self.model.file.config, self.recipe)?,
        };
        let passes = train.steps.saturating_mul(train.accumulation);
        self.check_scale("train", train.batch, train.sequence, passes)?;
        Ok(Run::Train(train))
    }

    /// `[infer]`.
    pub(crate) fn infer(&self, value: &Value) -> Result<Run, JobFault> {
        let section = Section::new("infer", value, &INFER_KEYS, self.recipe)?;
        self.refuse_other_tasks(&section)?;
        task(&section)?;
        if let Some(mask) = section.get("attention_mask").filter(|mask| mask.as_str() != Some("none")) {
            return Err(section.not_simulated(
                "attention_mask",
                mask,
                "generation without padding is simulated",
            ));
        }
        let decode_steps = section.count_or("decode_steps", (0, MOST), 4)?;
        let sequence = self.sequence(&section, decode_steps)?;
        let infer = Infer {
            batch: section.count_or("batch", (1, MOST), 1)?,
            sequence,
            precision: self.precision(&section)?,
            attention: section.choice_or_first("attention", &ATTENTIONS)?,
            decode_steps,
            cache: cache(&section, sequence + decode_steps)?,
            // Absent means all, as in transformers; 0 does too there.
            logits_to_keep: section.count("logits_to_keep", 0, MOST)?.filter(|kept| *kept > 0),
            hold_outputs: section.flag("hold_outputs")?,
        };
        self.check_scale("infer", infer.batch, sequence + decode_steps, decode_steps + 1)?;
        Ok(Run::Infer(infer))
    }

    fn refuse_other_tasks(&self, section: &Section) -> Result<(), JobFault> {
        if let Some(value) = section.get("quantization") {
            let known = "weights are simulated in fp32, fp16 and bf16; leave it out to see those";
            return Err(section.not_simulated("quantization", value, known));
        }
        match OTHER_TASKS.iter().find_map(|name| section.get(name).map(|value| (name, value))) {
            Some((name, value)) => {
                Err(section.not_simulated(name, value, "the task causal-lm has only `sequence`"))
            }
            None => Ok(()),
        }
    }

    /// Tokens of a sample: as many as the job says, or 2048, or as many as the model has positions for besides the
    /// `generated` ones.
    fn sequence(&self, section: &Section, generated: u64) -> Result<u64, JobFault> {
        let room = self.model.file.config.max_positions().saturating_sub(generated).clamp(1, 2048);
        let given = section.count("sequence", 1, MOST)?;
        let why = "2048, or fewer where the model has fewer positions";
        let sequence = given.unwrap_or_else(|| section.assume("sequence", room, why));
        self.check_positions(section, sequence)?;
        self.note_positions(sequence, generated);
        Ok(sequence)
    }

    /// A learned position embedding ends: beyond it the real model fails. A rotary one goes on.
    fn check_positions(&self, section: &Section, length: u64) -> Result<(), JobFault> {
        let positions = self.model.file.config.max_positions();
        if length > positions && matches!(self.model.file.config, Config::Gpt2(_)) {
            let expected = format!("the model has {positions} positions (`n_positions`), and fails beyond");
            return Err(section.bad("sequence", length, expected));
        }
        Ok(())
    }

    /// Says where the run goes beyond the positions that the model was made for.
    fn note_positions(&self, prompt: u64, generated: u64) {
        let (length, positions) = (prompt + generated, self.model.file.config.max_positions());
        if length <= positions {
            return;
        }
        let note = match self.model.file.config {
            Config::Gpt2(_) => format!(
                "a prompt of {prompt} and {generated} generated tokens exceed the model's {positions} positions \
                 (`n_positions`): the real model fails on the GPU beyond them"
            ),
            Config::Decoder(_) => {
                format!("{length} tokens are more than the model's max_position_embeddings ({positions})")
            }
        };
        self.recipe.borrow_mut().notes.push(note);
    }

    /// The dtypes: what the job says, else those of the weights, else bf16.
    fn precision(&self, section: &Section) -> Result<Precision, JobFault> {
        if let Some(precision) = section.choice("precision", &PRECISIONS)? {
            return Ok(precision);
        }
        let stored = self.model.checkpoint.as_ref().and_then(|weights| weights.dtype());
        let (name, precision, why) = match stored.or(self.model.file.dtype) {
            Some(Dtype::F32) => ("fp32", Precision::Fp32, "the dtype of the weights"),
            Some(Dtype::F16) => ("fp16", Precision::Fp16, "the dtype of the weights"),
            Some(Dtype::Bf16) => ("bf16", Precision::Bf16, "the dtype of the weights"),
            _ => ("bf16", Precision::Bf16, "the default"),
        };
        section.assume("precision", name, why);
        Ok(precision)
    }

    /// Refuses what would overflow 2^63 bytes or keep the simulation busy for minutes.
    fn check_scale(&self, path: &str, batch: u64, sequence: u64, passes: u64) -> Result<(), JobFault> {
        let config = &self.model.file.config;
        let tokens = u128::from(batch) * u128::from(sequence);
        let bytes = tokens
            .saturating_mul(widest(config, sequence))
            .saturating_mul(8 * u128::from(config.layers() + 2));
        let bad = |key: &str, value: String, expected: &str| {
            Err(JobFault::Value { key: format!("{path}.{key}"), value, expected: expected.to_owned() })
        };
        if bytes > 1 << 62 {
            let value = format!("{sequence} with a batch of {batch}");
            return bad("sequence", value, "the activations would exceed 2^62 bytes; no GPU comes near");
        }
        if passes.saturating_mul(config.layers()) > 500_000 {
            let (key, what) =
                if path == "train" { ("steps", "steps × accumulation") } else { ("decode_steps", "passes") };
            let value = format!("too large: {passes} {what} through {} layers", config.layers());
            return bad(key, value, "at most 500000 blocks are run; memory repeats from the second step on");
        }
        Ok(())
    }
}

/// Elements per token of the widest activation.
fn widest(config: &Config, sequence: u64) -> u128 {
    let (vocabulary, hidden, inner, heads) = match config {
        Config::Decoder(c) => (
            c.vocab_size,
            c.hidden_size.max(c.num_attention_heads * c.head_dim),
            c.intermediate_size,
            c.num_attention_heads,
        ),
        Config::Gpt2(c) => (c.vocab_size, 3 * c.n_embd, c.n_inner, c.n_head),
    };
    u128::from(vocabulary)
        + u128::from(hidden) * 4
        + u128::from(inner) * 4
        + u128::from(heads) * u128::from(sequence)
}

fn task(section: &Section) -> Result<Task, JobFault> {
    let choices = TASKS.map(|task| (task, task));
    match section.choice("task", &choices)? {
        None | Some("causal-lm") => Ok(Task::CausalLm),
        Some(other) => {
            Err(section.not_simulated("task", &Value::String(other.to_owned()), "causal-lm is simulated"))
        }
    }
}

/// `true`, or the largest norm as Trainer's `max_grad_norm` has it.
fn clip_grad_norm(section: &Section) -> Result<bool, JobFault> {
    match section.get("clip_grad_norm") {
        Some(Value::Number(norm)) if norm.as_f64().is_some_and(|norm| norm >= 0.0) => {
            Ok(norm.as_f64() != Some(0.0))
        }
        _ => section.flag("clip_grad_norm"),
    }
}

/// The key-value cache; a static one must hold the prompt and what is generated.
fn cache(section: &Section, length: u64) -> Result<Cache, JobFault> {
    let kind = section.choice_or_first("cache", &[("dynamic", 'd'), ("static", 's'), ("none", 'n')])?;
    let given = section.count("max_cache_len", 1, MOST)?;
    match (kind, given) {
        ('s', Some(max)) if max < length => {
            Err(section.bad("max_cache_len", max, format!("prompt and generated tokens are {length}")))
        }
        ('s', max) => {
            let max_cache_len =
                max.unwrap_or_else(|| section.assume("max_cache_len", length, "prompt and generated tokens"));
            Ok(Cache::Static { max_cache_len })
        }
        (_, Some(max)) => {
            Err(section.bad("max_cache_len", max, "only a static cache has it; write cache = \"static\""))
        }
        ('d', None) => Ok(Cache::Dynamic),
        (_, None) => Ok(Cache::None),
    }
}
