//! `[train]` and `[infer]`.

use std::cell::RefCell;

use brimful_models::{AttentionKernel, CheckpointingKinds, Config, Model, describe};
use brimful_units::Dtype;
use serde_json::Value;

use crate::mask::{OF_SPEECH, attention_mask, no_tokens, unpadded};
use crate::quantization::{check_adapters, quantization};
use crate::section::Section;
use crate::words::Words;
use crate::{
    Cache, Checkpointing, Infer, JobFault, Lora, Precision, Quantization, Recipe, Task, Train, TrainingLoop,
    Workload, lora, optimizer,
};

impl TrainingLoop {
    /// What the loop's library has for absent keys: a key, its value, and where the library says so.
    fn defaults(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            TrainingLoop::Plain => &[],
            TrainingLoop::Trainer => &[
                ("batch", "8", "Trainer's per_device_train_batch_size"),
                ("clip_grad_norm", "true", "Trainer's max_grad_norm is 1.0"),
                ("optimizer", "adamw_torch_fused", "Trainer's optim"),
            ],
        }
    }
}

/// The kinds of key-value cache, as the job file names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheKind {
    Dynamic,
    Static,
    None,
}

/// The blocks of a model that are simulated at most: more would take minutes.
const MOST_BLOCKS: u64 = 500_000;

/// What the sections share: the model and the recipe.
pub(crate) struct Context<'a> {
    pub model: &'a Model,
    pub recipe: &'a RefCell<Recipe>,
}

impl Context<'_> {
    /// `[train]`.
    pub(crate) fn train(&self, value: &Value) -> Result<Workload, JobFault> {
        let section = Section::of("train", value, self.recipe)?.of_family(self.model.file.job_defaults);
        let recipe: TrainingLoop = section.word("recipe")?;
        let section = section.of_library(recipe.defaults());
        let task = self.task(&section);
        // Answers list what was assumed in the order of these fields.
        let batch = section.count("batch")?;
        let sequence = self.tokens(&section, task)?;
        let target_sequence = self.target_sequence(&section, task, sequence)?;
        let image = self.image(&section, task)?;
        let train = Train {
            task,
            batch,
            sequence,
            target_sequence,
            image,
            accumulation: section.count("accumulation")?,
            precision: self.precision(&section),
            attention: self.attention(&section)?,
            attention_mask: attention_mask(&section, task)?,
            checkpointing: self.checkpointing(&section)?,
            use_cache: match task {
                Task::CausalLm => section.flag("use_cache"),
                task if task.has_encoder_and_decoder() => keeps_states_of_targets(&section)?,
                task => has_no_cache(&section, task, "use_cache", &Value::Bool(false)).map(|()| false)?,
            },
            hold_outputs: section.flag("hold_outputs"),
            clip_grad_norm: clips_gradients(&section),
            steps: section.count("steps")?,
            optimizer: optimizer::optimizer(&section, self.recipe)?,
            lora: self.lora(&section, task)?,
            quantization: self.quantization(&section, "train.quantization")?,
            prepare_model_for_kbit_training: section.flag("prepare_model_for_kbit_training"),
            recipe,
        };
        check_adapters(&section, &train)?;
        self.check_scale("train", batch, self.places(sequence.max(target_sequence.unwrap_or(0)), image))?;
        self.check_passes("train", &[("steps", train.steps), ("accumulation", train.accumulation)])?;
        Ok(Workload::Train(train))
    }

    /// `[infer]`.
    pub(crate) fn infer(&self, value: &Value) -> Result<Workload, JobFault> {
        let section = Section::of("infer", value, self.recipe)?.of_family(self.model.file.job_defaults);
        let task = self.task(&section);
        if task != Task::CausalLm {
            return self.forward(&section, task);
        }
        let decode_steps = self.decode_steps(&section);
        let sequence = self.sequence(&section, decode_steps)?;
        let infer = Infer {
            task,
            batch: section.count("batch")?,
            sequence,
            image: self.image(&section, task)?,
            target_sequence: self.target_sequence(&section, task, sequence)?,
            attention_mask: unpadded(&section)?,
            precision: self.precision(&section),
            attention: self.attention(&section)?,
            decode_steps,
            cache: cache(&section, sequence + decode_steps)?,
            logits_to_keep: logits_to_keep(&section),
            hold_outputs: section.flag("hold_outputs"),
            quantization: self.quantization(&section, "infer.quantization")?,
        };
        self.check_scale("infer", infer.batch, sequence + decode_steps)?;
        // The prompt is a pass of its own, which a bound of half a million need not count.
        self.check_passes("infer", &[("decode_steps", decode_steps)])?;
        Ok(Workload::Infer(infer))
    }

    /// `[infer]` of a task that generates nothing: one forward, whose outputs the script holds.
    fn forward(&self, section: &Section, task: Task) -> Result<Workload, JobFault> {
        let without = [
            ("cache", Value::from("none")),
            ("max_cache_len", Value::Null),
            ("decode_steps", Value::from(0)),
            ("logits_to_keep", Value::from(0)),
        ];
        for (key, none) in &without {
            has_no_cache(section, task, key, none)?;
        }
        let batch = section.count("batch")?;
        let sequence = self.tokens(section, task)?;
        let target_sequence = self.target_sequence(section, task, sequence)?;
        let image = self.image(section, task)?;
        let infer = Infer {
            task,
            batch,
            sequence,
            target_sequence,
            image,
            attention_mask: attention_mask(section, task)?,
            precision: self.precision(section),
            attention: self.attention(section)?,
            decode_steps: 0,
            // A decoder beside an encoder makes a cache of its own, as its class's `use_cache` says.
            cache: if task.has_encoder_and_decoder() { Cache::Dynamic } else { Cache::None },
            logits_to_keep: None,
            hold_outputs: true,
            quantization: self.quantization(section, "infer.quantization")?,
        };
        self.check_scale("infer", batch, self.places(sequence.max(target_sequence.unwrap_or(0)), image))?;
        Ok(Workload::Infer(infer))
    }

    /// The task of the job, for which the model was read. Where the job has none, that of the model's class.
    fn task(&self, section: &Section) -> Task {
        let task = Task::of_word(self.model.file.task).unwrap_or(Task::CausalLm);
        if section.get("task").is_none() && task != Task::CausalLm {
            section.assume("task", task.word(), "the class of the model's config");
        }
        task
    }

    fn quantization(&self, section: &Section, path: &str) -> Result<Option<Quantization>, JobFault> {
        quantization(section, path, &self.model.file, self.recipe)
    }

    /// Adapters, which are compared with PEFT's for models that write a text only.
    fn lora(&self, section: &Section, task: Task) -> Result<Option<Lora>, JobFault> {
        match section.get("lora") {
            Some(value) if task != Task::CausalLm && !task.has_encoder_and_decoder() => {
                let instead = format!(
                    "LoRA is simulated with the tasks causal-lm, seq2seq and speech-seq2seq, not with {}",
                    task.word()
                );
                Err(section.not_simulated("lora", value, &instead))
            }
            _ => lora::lora(section, &self.model.file.config, self.recipe),
        }
    }

    /// The attention of the job, or of the family. transformers refuses sdpa for a class that does not support it
    /// (`_sdpa_can_dispatch` in transformers/modeling_utils.py, 5.23).
    fn attention(&self, section: &Section) -> Result<AttentionKernel, JobFault> {
        let attention = section.word("attention")?;
        let file = &self.model.file;
        if attention == AttentionKernel::Sdpa && !file.job_defaults.sdpa {
            let instead =
                format!("transformers has no sdpa for {}; write attention = \"eager\"", file.model_type);
            return Err(section.bad("attention", "\"sdpa\"", instead));
        }
        if attention == AttentionKernel::Eager && !file.job_defaults.eager {
            let expected = format!("{} has no attn_implementation; leave it out", file.model_type);
            return Err(section.bad("attention", "\"eager\"", expected));
        }
        Ok(attention)
    }

    /// The checkpoints of the job, which models of torchvision have none of.
    fn checkpointing(&self, section: &Section) -> Result<Checkpointing, JobFault> {
        let checkpointing = section.word("checkpointing")?;
        let file = &self.model.file;
        match file.job_defaults.checkpointing {
            CheckpointingKinds::None if checkpointing != Checkpointing::None => {
                let word = section.get("checkpointing").map(describe).unwrap_or_default();
                let expected = format!("{} has no gradient checkpointing; leave it out", file.model_type);
                Err(section.bad("checkpointing", word, expected))
            }
            CheckpointingKinds::NonReentrant if checkpointing == Checkpointing::Reentrant => {
                Ok(Checkpointing::NonReentrant)
            }
            _ => Ok(checkpointing),
        }
    }

    /// Tokens after the prompt: as many as the job says, or 4, or as many as learned positions leave after the prompt.
    fn decode_steps(&self, section: &Section) -> u64 {
        let learned = self.model.file.config.learned_positions();
        let prompt = section.given_count("sequence").unwrap_or(0);
        let room = learned.map_or(u64::MAX, |(_, positions)| positions.saturating_sub(prompt));
        let why = "4, or fewer where the model has fewer positions";
        section
            .given_count("decode_steps")
            .unwrap_or_else(|| section.assume("decode_steps", room.min(4), why))
    }

    /// Tokens of a sample of a task that generates nothing: none where a sample is an image.
    fn tokens(&self, section: &Section, task: Task) -> Result<u64, JobFault> {
        if task.reads_text() {
            return self.sequence(section, 0);
        }
        if task == Task::Denoising && self.own_number("cross_attention_dim").is_some() {
            let texts = || section.assume("sequence", 77, "the tokens of CLIP's texts");
            return Ok(section.given_count("sequence").unwrap_or_else(texts));
        }
        match section.get("sequence") {
            Some(value) if task.reads_speech() => {
                Err(section.bad("sequence", value, format!("{OF_SPEECH}; write target_sequence")))
            }
            Some(value) => {
                Err(section.bad("sequence", value, format!("{}; write image = 224", no_tokens(task))))
            }
            None => Ok(0),
        }
    }

    /// The side of an image: what the job says, or the model's own `image_size`, or 224. A model whose positions are a
    /// table refuses other images than its own (`ViTEmbeddings.forward` in models/vit/modeling_vit.py, 5.23).
    fn image(&self, section: &Section, task: Task) -> Result<Option<u64>, JobFault> {
        let given = section.given_count("image");
        if !task.reads_images() {
            return match given {
                Some(side) => {
                    let expected = format!("the task {} has no images; leave it out", task.word());
                    Err(section.bad("image", side, expected))
                }
                None => Ok(None),
            };
        }
        let Config::Recorded(config) = &self.model.file.config else { return Ok(given) };
        if task == Task::Denoising {
            let own = config.number("sample_size");
            let (side, why) =
                own.map_or((64, "that of 512 pixels"), |own| (own, "the model's `sample_size`"));
            return Ok(Some(given.unwrap_or_else(|| section.assume("image", side, why))));
        }
        let own = config.image_number("image_size");
        match (given, own) {
            (Some(side), Some(own)) if side != own && config.program.fixes_images() => {
                let expected = format!(
                    "the model takes images of {own} x {own} pixels (`image_size`) and fails on others; write image = {own}"
                );
                Err(section.bad("image", side, expected))
            }
            (Some(side), _) => Ok(Some(side)),
            (None, Some(own)) => Ok(Some(section.assume("image", own, "the model's `image_size`"))),
            (None, None) => Ok(Some(section.assume("image", 224, "the side that models for ImageNet take"))),
        }
    }

    /// A key of a recorded model's config that is a whole number.
    fn own_number(&self, key: &str) -> Option<u64> {
        match &self.model.file.config {
            Config::Recorded(config) => config.number(key),
            Config::Decoder(_) | Config::Gpt2(_) => None,
        }
    }

    /// What stands for the tokens of a sample where sizes are checked: an image has a place for each of its patches, and
    /// speech one for each step of its spectrogram.
    fn places(&self, sequence: u64, image: Option<u64>) -> u64 {
        let steps = match &self.model.file.config {
            Config::Recorded(config) => config.spectrogram().map_or(0, |[_, steps]| steps),
            _ => 0,
        };
        let sequence = sequence.max(steps);
        let patch = match &self.model.file.config {
            Config::Recorded(config) => config.image_number("patch_size"),
            _ => None,
        };
        let across = image.map(|side| side / patch.unwrap_or(1).max(1) + 1);
        across.map_or(sequence, |across| across.saturating_mul(across).max(sequence))
    }

    /// Tokens of a sample: as many as the job says, or 2048, or as many as the model has positions for besides the
    /// `generated` ones.
    fn sequence(&self, section: &Section, generated: u64) -> Result<u64, JobFault> {
        let room = self.model.file.config.max_positions().saturating_sub(generated).clamp(1, 2048);
        let why = "2048, or fewer where the model has fewer positions";
        let sequence =
            section.given_count("sequence").unwrap_or_else(|| section.assume("sequence", room, why));
        self.check_positions(section, sequence, generated)?;
        Ok(sequence)
    }

    /// Tokens of a target: as many as the job says, or as many as a sample has, or where samples are speech as many as the
    /// decoder has positions. Other tasks than seq2seq and speech-seq2seq have no targets of a length of their own.
    fn target_sequence(&self, section: &Section, task: Task, sequence: u64) -> Result<Option<u64>, JobFault> {
        let given = section.given_count("target_sequence");
        if !task.has_encoder_and_decoder() {
            return match given {
                None => Ok(None),
                Some(target) => {
                    let expected = format!(
                        "the targets of {} have no length of their own; leave it out, or write task = \"seq2seq\"",
                        task.word()
                    );
                    Err(section.bad("target_sequence", target, expected))
                }
            };
        }
        let positions = self.target_positions(task);
        let target = given.unwrap_or_else(|| match positions {
            Some((_, positions)) if task.reads_speech() => {
                section.assume("target_sequence", positions, "as many as the decoder has positions")
            }
            _ => section.assume("target_sequence", sequence, "as many as `sequence`"),
        });
        match positions {
            Some((key, positions)) if target > positions => {
                let expected = format!("the model has {positions} positions (`{key}`), and fails beyond");
                Err(section.bad("target_sequence", target, expected))
            }
            _ => Ok(Some(target)),
        }
    }

    /// The positions that a decoder has, with their key; `None` where they do not end.
    fn target_positions(&self, task: Task) -> Option<(&'static str, u64)> {
        const OF_SPEECH: &str = "max_target_positions";
        match &self.model.file.config {
            Config::Recorded(config) if task.reads_speech() => Some((OF_SPEECH, config.number(OF_SPEECH)?)),
            config => config.learned_positions(),
        }
    }

    /// A learned position embedding ends, and beyond it the real model fails: PyTorch indexes past the table. A rotary one
    /// goes on, in training as in generation, and the answer says that the model was not made for it.
    fn check_positions(&self, section: &Section, prompt: u64, generated: u64) -> Result<(), JobFault> {
        let config = &self.model.file.config;
        let (length, positions) = (prompt + generated, config.max_positions());
        if length <= positions {
            return Ok(());
        }
        match config.learned_positions() {
            // A virtual GPU runs such a job to its end, so that its memory is known; a real one does not.
            Some((key, positions)) if generated > 0 && prompt <= positions => {
                let fault = section.bad(
                    "decode_steps",
                    generated,
                    format!(
                        "with a prompt of {prompt} that is more than the model's {positions} positions (`{key}`), and it \
                         fails beyond; write at most {}",
                        positions - prompt
                    ),
                );
                self.recipe.borrow_mut().fails = Some(fault.to_string());
                Ok(())
            }
            Some((key, positions)) => {
                let expected = format!("the model has {positions} positions (`{key}`), and fails beyond");
                Err(section.bad("sequence", prompt, expected))
            }
            None => {
                let note = format!(
                    "{length} tokens are more than the model's max_position_embeddings ({positions}): a rotary embedding \
                     goes on, but the model was not trained for them"
                );
                self.recipe.borrow_mut().notes.push(note);
                Ok(())
            }
        }
    }

    /// The dtypes: what the job says, else those of the weights, else bf16.
    fn precision(&self, section: &Section) -> Precision {
        if let Some(precision) = section.given_word("precision") {
            return precision;
        }
        let (precision, why) = match self.model.dtype() {
            Some(Dtype::F32) => (Precision::Fp32, "the dtype of the weights"),
            Some(Dtype::F16) => (Precision::Fp16, "the dtype of the weights"),
            Some(Dtype::Bf16) => (Precision::Bf16, "the dtype of the weights"),
            _ => (Precision::Bf16, "the default"),
        };
        section.assume("precision", precision.word(), why);
        precision
    }

    /// Refuses what would overflow 2^63 bytes.
    fn check_scale(&self, path: &str, batch: u64, sequence: u64) -> Result<(), JobFault> {
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
        Ok(())
    }

    /// Refuses what would keep the simulation busy for minutes. `factors` are the keys whose product is the number of passes
    /// through the model; the largest is to blame.
    fn check_passes(&self, path: &str, factors: &[(&str, u64)]) -> Result<(), JobFault> {
        let layers = self.model.file.config.layers();
        let blocks = factors.iter().fold(layers, |blocks, factor| blocks.saturating_mul(factor.1));
        let Some((key, value)) = factors.iter().max_by_key(|factor| factor.1) else { return Ok(()) };
        if blocks <= MOST_BLOCKS {
            return Ok(());
        }
        let names: Vec<&str> = factors.iter().map(|factor| factor.0).collect();
        Err(JobFault::Value {
            key: format!("{path}.{key}"),
            value: value.to_string(),
            expected: format!(
                "{} through {layers} layers is too much: at most {MOST_BLOCKS} blocks are run; memory repeats from the \
                 second step on",
                names.join(" × ")
            ),
        })
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
        Config::Recorded(c) => {
            let sizes = || c.parameters.iter().filter(|it| it.1.rank() >= 2).flat_map(|it| it.1.dims());
            let inner = sizes().copied().filter(|size| *size != config.vocab_size()).max().unwrap_or(1);
            (config.vocab_size(), inner, inner, c.number("num_attention_heads").unwrap_or(1))
        }
    };
    u128::from(vocabulary)
        + u128::from(hidden) * 4
        + u128::from(inner) * 4
        + u128::from(heads) * u128::from(sequence)
}

/// The last positions that get logits; `None` for all of them.
///
/// `generate` passes 1 (transformers/generation/utils.py, 5.23), and a job of generation means it. A job that names its
/// task means the forward of that task's class, which computes all logits if the argument is absent or 0.
fn logits_to_keep(section: &Section) -> Option<u64> {
    let names_its_task = section.get("task").is_some();
    let kept = section.given_count("logits_to_keep").unwrap_or_else(|| match names_its_task {
        true => section.assume(
            "logits_to_keep",
            0,
            "all positions, as the forward of the task's class; generate keeps 1",
        ),
        false => section.assume("logits_to_keep", 1, "as transformers' generate passes it"),
    });
    (kept > 0).then_some(kept)
}

/// Whether gradients are clipped: `true`, or the largest norm as Trainer's `max_grad_norm` has it, which 0 turns off.
fn clips_gradients(section: &Section) -> bool {
    match section.given_number("clip_grad_norm") {
        Some(norm) => norm != 0.0,
        None => section.flag("clip_grad_norm"),
    }
}

/// `use_cache` of a decoder beside an encoder: without the key it is that of the model's class, which checkpointing turns off
/// (`merge_with_config_defaults` in transformers/utils/generic.py, 5.23).
fn keeps_states_of_targets(section: &Section) -> Result<bool, JobFault> {
    let checkpointing: Checkpointing = section.word("checkpointing")?;
    if checkpointing != Checkpointing::None {
        return Ok(false);
    }
    let why = "the default of the model's class; transformers' Trainer turns it off";
    Ok(section.given_flag("use_cache").unwrap_or_else(|| section.assume("use_cache", true, why)))
}

/// Refuses a key of generation in a job of a task that generates nothing, unless it has the value that says so.
fn has_no_cache(section: &Section, task: Task, key: &str, none: &Value) -> Result<(), JobFault> {
    match section.get(key) {
        Some(value) if value != none => {
            let expected = if task.has_encoder_and_decoder() {
                let task = task.word();
                format!(
                    "one forward of the task {task} is simulated, which generates no tokens; leave it out"
                )
            } else {
                format!("the task {} generates no tokens and keeps no cache; leave it out", task.word())
            };
            Err(section.bad(key, value, expected))
        }
        _ => Ok(()),
    }
}

/// The key-value cache; a static one must hold the prompt and what is generated.
fn cache(section: &Section, length: u64) -> Result<Cache, JobFault> {
    let kind: CacheKind = section.word("cache")?;
    match (kind, section.given_count("max_cache_len")) {
        (CacheKind::Static, Some(max)) if max < length => {
            Err(section.bad("max_cache_len", max, format!("prompt and generated tokens are {length}")))
        }
        (CacheKind::Static, max) => {
            let max_cache_len =
                max.unwrap_or_else(|| section.assume("max_cache_len", length, "prompt and generated tokens"));
            Ok(Cache::Static { max_cache_len })
        }
        (_, Some(max)) => {
            Err(section.bad("max_cache_len", max, "only a static cache has it; write cache = \"static\""))
        }
        (CacheKind::Dynamic, None) => Ok(Cache::Dynamic),
        (CacheKind::None, None) => Ok(Cache::None),
    }
}

#[cfg(test)]
mod tests {
    use brimful_models::{JobDefaults, NoFiles};
    use serde_json::json;

    use super::*;

    /// A model whose family answers eager, as transformers' Gemma-2 does.
    fn eager_model() -> Model {
        let mut model = Model::open("gpt2", &NoFiles).unwrap();
        let (attention, attention_why) = (AttentionKernel::Eager, "the class has no sdpa");
        model.file.job_defaults =
            JobDefaults { attention, attention_why, sdpa: false, ..JobDefaults::TRANSFORMERS };
        model
    }

    #[test]
    fn a_family_answers_an_absent_attention_and_the_answer_is_listed() {
        let (model, recipe) = (eager_model(), RefCell::new(Recipe::default()));
        let context = Context { model: &model, recipe: &recipe };
        let Workload::Train(train) = context.train(&json!({})).unwrap() else { panic!("not a training") };
        let Workload::Infer(infer) = context.infer(&json!({})).unwrap() else { panic!("not a generation") };
        assert_eq!((train.attention, infer.attention), (AttentionKernel::Eager, AttentionKernel::Eager));
        let assumed = recipe.borrow().assumed.clone();
        let listed: Vec<_> = assumed.iter().filter(|row| row.key.ends_with(".attention")).collect();
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|row| row.value == "eager" && row.why == "the class has no sdpa"));
    }

    #[test]
    fn a_job_that_says_its_attention_does_not_ask_the_family() {
        let (model, recipe) = (eager_model(), RefCell::new(Recipe::default()));
        let context = Context { model: &model, recipe: &recipe };
        let Workload::Train(train) = context.train(&json!({"attention": "flash"})).unwrap() else {
            panic!("not a training")
        };
        assert_eq!(train.attention, AttentionKernel::Flash);
        assert!(recipe.borrow().assumed.iter().all(|row| row.key != "train.attention"));
    }

    #[test]
    fn sdpa_is_refused_for_a_family_whose_classes_do_not_support_it() {
        let (model, recipe) = (eager_model(), RefCell::new(Recipe::default()));
        let context = Context { model: &model, recipe: &recipe };
        for refused in
            [context.train(&json!({"attention": "sdpa"})), context.infer(&json!({"attention": "sdpa"}))]
        {
            let fault = refused.unwrap_err().to_string();
            assert!(fault.contains("attention") && fault.contains("write attention = \"eager\""), "{fault}");
        }
    }
}
