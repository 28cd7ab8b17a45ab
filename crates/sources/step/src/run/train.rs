use std::rc::Rc;

use brimful_jobs::{Checkpointing, Lora, Parallel, Precision, Shard, Train, TrainingLoop};
use brimful_models::Config;
use brimful_trace::PhaseKind;

use super::batch::{Batch, Samples};
use super::scaler::GradScaler;
use super::trainer::Trainer;
use crate::autocast::autocast;
use crate::autograd::backward;
use crate::device::Device;
use crate::models::{self, Mode, Model, Outputs};
use crate::nn::{Parameter, Techniques};
use crate::ops;
use crate::optim;
use crate::parallel::Spread;
use crate::rules::TransformersRules;
use crate::tensor::Tensor;

/// Loads the model and simulates the job's optimizer steps: the loop of a plain PyTorch script,
/// with the outputs dropped after the forward (unless held) and the batch after the backward.
pub(crate) fn train(
    device: &Device,
    config: &Config,
    job: &Train,
    parallel: Option<&Parallel>,
    rules: TransformersRules,
) {
    device.begin_phase(PhaseKind::Load, "build");
    let param_dtype = match parallel.map(|parallel| parallel.shard) {
        Some(Shard::Fsdp2 { param_dtype, .. }) => param_dtype,
        Some(Shard::Ddp { .. }) | None => None,
    };
    let techniques = Techniques {
        checkpointing: job.checkpointing,
        lora: job.lora.clone().map(|lora| with_input_gradients(lora, job.checkpointing)),
        quantization: job.quantization.clone(),
        prepare_for_kbit: job.prepare_model_for_kbit_training,
        param_dtype,
    };
    let model = models::build(device, config, job.precision, techniques);
    let spread = Spread::around(&model, device, parallel);
    let parameters = model.trained();
    device.empty_cache();
    let mut steps = Loop {
        device,
        job,
        samples: Samples::of_training(job, config),
        mode: Mode {
            attention: job.attention,
            attention_mask: job.attention_mask,
            training: true,
            rules,
            use_cache: job.use_cache,
        },
        optimizer: job.optimizer.as_ref().map(|choice| optim::make(choice, parameters.clone(), job.recipe)),
        scaler: (job.precision == Precision::AmpFp16).then(|| GradScaler::new(spread.splits_gradients())),
        computes_loss: !is_of_transformers(config),
        parameters,
        spread,
        sync_each_batch: parallel.is_some_and(|parallel| parallel.sync_each_batch),
        model,
        loss: None,
        outputs: None,
        trainer: (job.recipe == TrainingLoop::Trainer)
            .then(|| Trainer::new(device, Samples::of_training(job, config))),
    };
    for step in 0..job.steps {
        for micro in 0..job.accumulation {
            steps.micro_step(step, micro);
            if device.failed() {
                return;
            }
        }
        steps.update(step);
        if device.failed() {
            return;
        }
    }
    device.end();
}

/// `prepare_model_for_gradient_checkpointing` (peft/peft_model.py), and for quantized models, which it leaves alone,
/// `activation_checkpointing_enable` (transformers/modeling_utils.py, 5.23): a checkpointed model's embeddings are made to
/// require a gradient, whatever the user asked for.
fn with_input_gradients(lora: Lora, checkpointing: Checkpointing) -> Lora {
    let required = checkpointing != Checkpointing::None || lora.enable_input_require_grads;
    Lora { enable_input_require_grads: required, ..lora }
}

/// Models of other libraries have no loss of their own.
fn is_of_transformers(config: &Config) -> bool {
    match config {
        Config::Recorded(config) => config.program.header.library.name == "transformers",
        Config::Decoder(_) | Config::Gpt2(_) => true,
    }
}

/// The names of the training script between two of its statements.
struct Loop<'a> {
    device: &'a Device,
    job: &'a Train,
    samples: Samples,
    mode: Mode,
    model: Model,
    /// What is around the model where several GPUs share the run.
    spread: Spread,
    /// Whether gradients are reduced in every micro step, not only in the last of a step.
    sync_each_batch: bool,
    /// The trained parameters.
    parameters: Vec<Rc<Parameter>>,
    optimizer: Option<Box<dyn optim::Optimizer>>,
    scaler: Option<GradScaler>,
    /// Whether the script computes the loss itself, so that the model's outputs do not hold it.
    computes_loss: bool,
    /// The loop's names `loss` and `outputs`.
    loss: Option<Tensor>,
    outputs: Option<Outputs>,
    /// What the loop of transformers' Trainer holds beside; `None` for a plain loop.
    trainer: Option<Trainer>,
}

impl Loop<'_> {
    fn micro_step(&mut self, step: u64, micro: u64) {
        self.device.begin_phase(PhaseKind::Data, &format!("it{step}.data.{micro}"));
        let batch = self.batch(micro);
        self.device.begin_phase(PhaseKind::Forward, &format!("it{step}.forward.{micro}"));
        self.forward(&batch, self.sync_each_batch || micro + 1 == self.job.accumulation);
        self.device.begin_phase(PhaseKind::Backward, &format!("it{step}.backward.{micro}"));
        self.backward();
        if let (Some(trainer), Some(loss)) = (&mut self.trainer, &self.loss) {
            trainer.add(loss);
        }
        if !self.job.hold_outputs {
            self.loss = None;
        }
        // The script's `batch = None`.
        drop(batch);
    }

    /// The next micro batch: made now, or fetched with the others of the optimizer step.
    fn batch(&mut self, micro: u64) -> Rc<Batch> {
        let Some(trainer) = &mut self.trainer else { return Rc::new(Batch::new(self.device, self.samples)) };
        if micro == 0 {
            trainer.fetch(self.device, self.job);
        }
        trainer.batch(micro).unwrap_or_else(|| Rc::new(Batch::new(self.device, self.samples)))
    }

    fn forward(&mut self, batch: &Batch, synchronized: bool) {
        let autocast = self.job.precision.autocast().map(|dtype| autocast(self.device, Some(dtype)));
        let mut inputs = batch.inputs();
        let given =
            inputs.sample.images().or(inputs.sample.features()).and_then(|numbers| self.spread.cast(numbers));
        if let Some(given) = &given {
            inputs.sample = inputs.sample.with_numbers(given);
        }
        self.spread.before_forward(synchronized);
        if self.device.failed() {
            return;
        }
        let mut outputs = self.model.root.call(&inputs, &self.mode, None);
        self.spread.after_forward(&outputs);
        drop(given);
        self.loss = if self.computes_loss { outputs.loss.take() } else { outputs.loss.clone() };
        self.outputs = Some(outputs);
        if !self.job.hold_outputs {
            self.outputs = None;
        }
        drop(autocast);
        if let Some(trainer) = &self.trainer {
            self.loss = self.loss.take().map(|loss| trainer.loss_of(loss));
        } else if self.job.accumulation > 1 {
            self.loss = self.loss.take().map(ops::div_scalar);
        }
    }

    fn backward(&mut self) {
        // A run that became void in the forward has no new loss; the last one was gone through already.
        if self.device.failed() {
            return;
        }
        let Some(mut loss) = self.loss.clone() else { return };
        if self.trainer.is_some() {
            // `Accelerator.backward` divides by its own number of steps, which the Trainer leaves at 1.
            loss = ops::div_scalar(&loss);
        }
        let root = match &mut self.scaler {
            Some(scaler) => scaler.scale(&loss),
            None => loss,
        };
        let ones = ops::like(&root, "ones_like", root.dtype());
        backward(&root, ones.clone());
        self.spread.after_backward();
        // `backward()` holds the root's gradient until the engine has returned.
        drop(ones);
    }

    fn update(&mut self, step: u64) {
        let Some(optimizer) = &mut self.optimizer else { return };
        let _off = self.device.set_grad_enabled(false);
        // Without a largest norm the Trainer clips to infinity, to know the norm (`_get_grad_norm`).
        if self.job.clip_grad_norm || self.trainer.is_some() {
            self.device.begin_phase(PhaseKind::Clip, &format!("it{step}.clip"));
            if let Some(scaler) = &mut self.scaler {
                scaler.unscale(&self.parameters);
            }
            if let Some(trainer) = &mut self.trainer {
                trainer.keep_norm(None);
            }
            let norm = clip_grad_norm(&self.parameters, self.spread.splits_gradients());
            if let Some(trainer) = &mut self.trainer {
                trainer.keep_norm(norm);
            }
        }
        self.device.begin_phase(PhaseKind::Optimizer, &format!("it{step}.optimizer"));
        match &mut self.scaler {
            Some(scaler) => {
                scaler.step(optimizer.as_mut(), &self.parameters);
                scaler.update();
            }
            None => optimizer.step(),
        }
        self.device.begin_phase(PhaseKind::ZeroGrad, &format!("it{step}.zero_grad"));
        for parameter in &self.parameters {
            parameter.clear_grad();
        }
    }
}

/// `torch.nn.utils.clip_grad_norm_`, which returns the norm.
fn clip_grad_norm(parameters: &[Rc<Parameter>], of_parts: bool) -> Option<Tensor> {
    let grads: Vec<Tensor> = parameters.iter().filter_map(|parameter| parameter.grad()).collect();
    let first = grads.first()?;
    let device = first.device();
    let norms = ops::foreach_norm(&grads);
    let total = {
        let stacked = ops::new_tensor(device, "cat", [grads.len() as u64], first.dtype());
        // The norms of parts: their squares are summed over all ranks, and the root is taken.
        let whole = of_parts.then(|| {
            let squares = ops::plain_unary("pow", &stacked, stacked.dtype());
            let sums = ops::plain_unary("all_reduce", &squares, stacked.dtype());
            let roots = ops::plain_unary("pow", &sums, stacked.dtype());
            drop(sums);
            drop(squares);
            roots
        });
        let total = ops::reduced_to_scalar(&stacked, "linalg_vector_norm", first.dtype());
        drop(whole);
        drop(stacked);
        total
    };
    // `_get_total_norm` returns: the list of norms goes, the total stays.
    drop(norms);
    let coefficient = {
        let shifted = ops::plain_unary("add", &total, total.dtype());
        let reciprocal = ops::plain_unary("reciprocal", &shifted, total.dtype());
        let coefficient = ops::plain_unary("mul", &reciprocal, total.dtype());
        drop(reciprocal);
        drop(shifted);
        coefficient
    };
    let clamped = ops::plain_unary("clamp", &coefficient, total.dtype());
    drop(coefficient);
    drop(clamped);
    Some(total)
}
