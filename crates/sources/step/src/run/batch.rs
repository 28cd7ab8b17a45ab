use brimful_jobs::{AttentionMask, Infer, Task, Train};
use brimful_models::Config;
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use crate::device::Device;
use crate::models::{Condition, Inputs, Noisy, Sample, Targets};
use crate::ops;
use crate::tensor::Tensor;

/// What a batch is made of.
#[derive(Clone, Copy)]
pub(super) struct Samples {
    task: Task,
    /// Samples in the batch.
    batch: u64,
    /// Tokens of a sample.
    sequence: u64,
    /// Tokens of a target, where it has a length of its own.
    target: u64,
    mask: AttentionMask,
    /// Where the samples are images.
    image: Option<Image>,
    /// Where the samples are speech.
    speech: Option<Speech>,
    /// Where the samples are images to take the noise from.
    noise: Option<Noise>,
}

/// An image: a square of pixels, in the dtype of the model's weights.
#[derive(Clone, Copy)]
struct Image {
    channels: u64,
    side: u64,
    dtype: Dtype,
}

/// A spectrogram, in the dtype of the model's weights.
#[derive(Clone, Copy)]
struct Speech {
    mel_bins: u64,
    steps: u64,
    dtype: Dtype,
}

/// What a model that takes noise away is asked for.
#[derive(Clone, Copy)]
struct Noise {
    /// Channels of the noise.
    channels: u64,
    /// The width of an encoded text; `None` for a model that is given classes.
    text: Option<u64>,
}

/// The channels of an image where the config does not count them: red, green and blue.
const CHANNELS: u64 = 3;

impl Samples {
    /// The samples of a training job.
    pub fn of_training(job: &Train, config: &Config) -> Samples {
        let dtype = job.precision.weights();
        let image = job.image.map(|side| Image::of(config, side, dtype));
        let speech = Speech::of(job.task, config, dtype);
        let noise = (job.task == Task::Denoising).then(|| Noise::of(config));
        let target = job.target_sequence.unwrap_or(job.sequence);
        let (task, batch, sequence, mask) = (job.task, job.batch, job.sequence, job.attention_mask);
        Samples { task, batch, sequence, target, mask, image, speech, noise }
    }

    /// The samples of a job without gradients.
    pub fn of_inference(job: &Infer, config: &Config) -> Samples {
        let dtype = job.precision.weights();
        let image = job.image.map(|side| Image::of(config, side, dtype));
        let speech = Speech::of(job.task, config, dtype);
        let noise = (job.task == Task::Denoising).then(|| Noise::of(config));
        let target = job.target_sequence.unwrap_or(job.sequence);
        let (task, batch, sequence, mask) = (job.task, job.batch, job.sequence, job.attention_mask);
        Samples { task, batch, sequence, target, mask, image, speech, noise }
    }
}

impl Speech {
    /// The spectrogram that a model's encoder takes; `None` where the task reads no speech.
    fn of(task: Task, config: &Config, dtype: Dtype) -> Option<Speech> {
        let Config::Recorded(config) = config else { return None };
        let [mel_bins, steps] = config.spectrogram().filter(|_| task.reads_speech())?;
        Some(Speech { mel_bins, steps, dtype })
    }
}

impl Image {
    fn of(config: &Config, side: u64, dtype: Dtype) -> Image {
        let channels = match config {
            Config::Recorded(config) => {
                config.image_number("num_channels").or_else(|| config.number("in_channels"))
            }
            Config::Decoder(_) | Config::Gpt2(_) => None,
        };
        Image { channels: channels.unwrap_or(CHANNELS), side, dtype }
    }
}

impl Noise {
    /// A model of classes answers with a variance as well, which has no target.
    fn of(config: &Config) -> Noise {
        let number = |key: &str| match config {
            Config::Recorded(config) => config.number(key),
            Config::Decoder(_) | Config::Gpt2(_) => None,
        };
        let text = number("cross_attention_dim");
        let channels = number(if text.is_some() { "out_channels" } else { "in_channels" });
        Noise { channels: channels.unwrap_or(CHANNELS), text }
    }
}

/// What a model reads, as the dict holds it.
enum OwnedSample {
    Tokens(Tensor),
    Images(Tensor),
    Features(Tensor),
    TokensAndImages(Tensor, Tensor),
    Noisy(Noisy),
}

/// The arguments of one forward, as the script's dict has them. Dropping the dict frees its values in the order of their
/// keys, which is that of these fields.
pub(super) struct Batch {
    /// What the model reads.
    sample: OwnedSample,
    /// What the model shall answer; `None` once the script has taken it out, and where the loss needs no answer.
    targets: Option<Targets>,
    /// The decoder's token ids `[B, T]`, int64, in the place of targets.
    decoder_input_ids: Option<Tensor>,
    /// 1 where a token is not padding, `[B, S]`, int64.
    attention_mask: Option<Tensor>,
}

impl Batch {
    /// `make_batch` of `fixtures/rehearsal/step_case.py`: tensors that are made on the GPU, in the order of their keys.
    pub fn new(device: &Device, samples: Samples) -> Batch {
        let Samples { task, batch, sequence, target, mask, image, speech, noise } = samples;
        let filled = |op, shape: Shape, dtype| {
            let tensor = ops::new_tensor(device, op, shape, dtype);
            tensor.categorize(Category::Input);
            tensor
        };
        let input = |op, shape: Shape| filled(op, shape, Dtype::I64);
        let tokens = || Shape::from([batch, sequence]);
        let images =
            |Image { channels, side, dtype }| filled("empty", [batch, channels, side, side].into(), dtype);
        let sample = match image {
            None => match speech {
                Some(Speech { mel_bins, steps, dtype }) => {
                    OwnedSample::Features(filled("empty", [batch, mel_bins, steps].into(), dtype))
                }
                None => OwnedSample::Tokens(input("zeros", tokens())),
            },
            Some(image) if task == Task::Denoising => {
                let sample = images(image);
                // `torch.zeros(batch, 1)[:, 0]`.
                let column = || input("zeros", [batch, 1].into()).view_as([batch].into(), [1].into());
                let timestep = column();
                let condition = match noise.and_then(|noise| noise.text) {
                    Some(width) => {
                        Condition::Text(filled("empty", [batch, sequence, width].into(), image.dtype))
                    }
                    None => Condition::Classes(column()),
                };
                OwnedSample::Noisy(Noisy { sample, timestep, condition })
            }
            Some(image) if task.reads_text() => {
                let input_ids = input("zeros", tokens());
                OwnedSample::TokensAndImages(input_ids, images(image))
            }
            Some(image) => OwnedSample::Images(images(image)),
        };
        let targets = match task {
            Task::QuestionAnswering => {
                let start = input("zeros", [batch].into());
                Some(Targets::Positions(start, input("zeros", [batch].into())))
            }
            Task::SequenceClassification | Task::ImageClassification => {
                Some(Targets::Labels(input("zeros", [batch].into())))
            }
            Task::TokenClassification => Some(Targets::Labels(input("zeros", tokens()))),
            Task::Seq2Seq | Task::SpeechSeq2Seq => {
                Some(Targets::Labels(input("zeros", [batch, target].into())))
            }
            // Texts and images that belong together need no labels.
            Task::ImageText => None,
            Task::Denoising => image
                .zip(noise)
                .map(|(image, noise)| Targets::Noise(images(Image { channels: noise.channels, ..image }))),
            _ => Some(Targets::Labels(input("clone", tokens()))),
        };
        let attention_mask = (mask != AttentionMask::None).then(|| input("ones", tokens()));
        Batch { sample, targets, decoder_input_ids: None, attention_mask }
    }

    /// The labels of tokens, `[B, S]`; `None` where the answers are something else.
    pub fn labels(&self) -> Option<&Tensor> {
        match &self.targets {
            Some(Targets::Labels(labels)) if labels.shape().rank() == 2 => Some(labels),
            _ => None,
        }
    }

    /// `batch.pop("labels")`.
    pub fn without_targets(self) -> Batch {
        Batch { targets: None, ..self }
    }

    /// The decoder's tokens in the place of its targets.
    pub fn of_decoder(mut self) -> Batch {
        if let Some(Targets::Labels(tokens)) = self.targets.take() {
            self.decoder_input_ids = Some(tokens);
        }
        self
    }

    /// The arguments of the call.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            sample: match &self.sample {
                OwnedSample::Tokens(tokens) => Sample::Tokens(tokens),
                OwnedSample::Images(images) => Sample::Images(images),
                OwnedSample::Features(features) => Sample::Features(features),
                OwnedSample::TokensAndImages(tokens, images) => Sample::TokensAndImages(tokens, images),
                OwnedSample::Noisy(noisy) => Sample::Noisy(noisy),
            },
            decoder_input_ids: self.decoder_input_ids.as_ref(),
            attention_mask: self.attention_mask.as_ref(),
            targets: self.targets.as_ref(),
            logits_to_keep: None,
        }
    }
}
