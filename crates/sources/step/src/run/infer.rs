use brimful_jobs::{Cache as CacheKind, Infer, Task};
use brimful_models::Config;
use brimful_trace::{Category, PhaseKind};
use brimful_units::Dtype;

use super::batch::{Batch, Samples};
use crate::autocast::autocast;
use crate::device::Device;
use crate::models::{self, Cache, Inputs, Mode, Model, Outputs, Sample};
use crate::nn::Techniques;
use crate::ops;
use crate::rules::TransformersRules;
use crate::tensor::Tensor;

/// Loads the model and calls it without gradients: with a prompt and then one token after the other, or once where the task
/// generates nothing.
pub(crate) fn infer(device: &Device, config: &Config, job: &Infer, rules: TransformersRules) {
    device.begin_phase(PhaseKind::Load, "build");
    let techniques = Techniques { quantization: job.quantization.clone(), ..Techniques::NONE };
    let model = models::build(device, config, job.precision, techniques);
    device.empty_cache();
    let mode = Mode {
        attention: job.attention,
        attention_mask: job.attention_mask,
        training: false,
        rules,
        use_cache: job.cache != CacheKind::None,
    };
    match job.task {
        Task::CausalLm => generate(device, &model, job, mode),
        _ => forward(device, &model, (job, config), mode),
    }
}

/// One call, whose batch and outputs the script holds to the end.
fn forward(device: &Device, model: &Model, (job, config): (&Infer, &Config), mode: Mode) {
    let _off = device.set_grad_enabled(false);
    let autocast = job.precision.autocast().map(|dtype| autocast(device, Some(dtype)));
    device.begin_phase(PhaseKind::Data, "data");
    let batch = Batch::new(device, Samples::of_inference(job, config));
    let batch = match job.task {
        task if task.has_encoder_and_decoder() => batch.of_decoder(),
        // The model of torchvision is given the images alone, and the batch keeps its labels.
        _ if is_of_torchvision(config) => batch,
        _ => batch.without_targets(),
    };
    device.begin_phase(PhaseKind::Prefill, "prefill");
    let outputs = model.root.call(&batch.inputs(), &mode, None);
    // The region ends inside the recording; what the script still holds does not.
    drop(autocast);
    device.end();
    drop(outputs);
}

fn is_of_torchvision(config: &Config) -> bool {
    matches!(config, Config::Recorded(config) if config.program.header.library.name == "torchvision")
}

/// A prompt, then one token after the other.
fn generate(device: &Device, model: &Model, job: &Infer, mut mode: Mode) {
    let _off = device.set_grad_enabled(false);
    let autocast = job.precision.autocast().map(|dtype| autocast(device, Some(dtype)));
    device.begin_phase(PhaseKind::Data, "data");
    let prompt = tokens(device, job.batch, job.sequence);
    device.begin_phase(PhaseKind::Prefill, "prefill");
    let windows = model.root.windows();
    let mut cache = match job.cache {
        CacheKind::Dynamic => Some(Cache::dynamic(&windows)),
        CacheKind::Static { max_cache_len } => Some(Cache::fixed(&windows, max_cache_len)),
        CacheKind::None => None,
    };
    let mut held: Option<Outputs> = None;
    let mut input = Some(prompt.clone());
    for call in 0..=job.decode_steps {
        if call > 0 {
            device.begin_phase(PhaseKind::Decode, &format!("decode.{}", call - 1));
            let next = tokens(device, job.batch, 1);
            input = Some(next);
            // Without a cache of the caller's, each call makes one of its own: `use_cache` is transformers' default.
            mode.use_cache = true;
        }
        let Some(ids) = &input else { return };
        let inputs = Inputs {
            sample: Sample::Tokens(ids),
            decoder_input_ids: None,
            attention_mask: None,
            targets: None,
            logits_to_keep: job.logits_to_keep,
        };
        let outputs = model.root.call(&inputs, &mode, cache.as_mut());
        if device.failed() {
            return;
        }
        if let Some(cache) = &mut cache {
            cache.advance(ids.last(0));
        }
        // `out = model(…)`: a script that keeps the name frees the last outputs after the next call.
        held = job.hold_outputs.then_some(outputs);
    }
    // The region ends inside the recording; what the script still holds does not.
    drop(autocast);
    device.end();
    drop(held);
}

fn tokens(device: &Device, batch: u64, length: u64) -> Tensor {
    let ids = ops::new_tensor(device, "zeros", [batch, length], Dtype::I64);
    ids.categorize(Category::Input);
    ids
}
