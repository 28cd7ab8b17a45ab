use brimful_devices::{Gpu, Processor};
use brimful_models::{AttentionKernel, Config};
use brimful_units::Dtype;

use crate::Pattern;
use crate::optimizer::{BitsAndBytes, TorchAo};
use crate::versions::CudnnRules;

/// A run of a model: every key of the job file, resolved and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The model's numbers.
    pub model: Config,
    /// The GPU; `None` where the user named none.
    pub gpu: Option<Gpu>,
    /// What is done with the model.
    pub workload: Workload,
    /// How the run is spread over GPUs; `None` for one GPU.
    pub parallel: Option<Parallel>,
    /// `PYTORCH_CUDA_ALLOC_CONF`, as written.
    pub allocator_conf: String,
    /// Whose behaviour is predicted.
    pub versions: Versions,
}

impl Job {
    /// What the kernels are predicted for: the GPU's processor, or the assumed one where no GPU is named.
    pub fn processor(&self) -> Processor {
        self.gpu.as_ref().map_or(Processor::ASSUMED, |gpu| Processor {
            compute_capability: gpu.compute_capability,
            multiprocessors: gpu.multiprocessors,
        })
    }

    /// Whether torch tries cuDNN's attention before its own kernels (`check_prefer_cudnn_attention` in
    /// aten/src/ATen/native/transformers/cuda/sdp_utils.cpp); `None` where cuDNN's version decides nothing: on other compute
    /// capabilities than 9 and 10, without SDPA, and in fp32.
    pub fn prefers_cudnn_attention(&self) -> Option<bool> {
        let (attention, precision) = match &self.workload {
            Workload::Train(run) => (run.attention, run.precision),
            Workload::Infer(run) => (run.attention, run.precision),
        };
        let decides = matches!(self.processor().compute_capability.0, 9 | 10)
            && attention == AttentionKernel::Sdpa
            && precision != Precision::Fp32;
        decides.then(|| self.versions.cudnn_rules() >= CudnnRules::V9_15_1)
    }

    /// The parameters in all, adapters included, and those that are trained; in elements.
    pub fn parameter_counts(&self) -> (u64, u64) {
        let base = self.model.parameter_count();
        match &self.workload {
            Workload::Train(Train { lora: Some(lora), .. }) => {
                let adapters = lora.parameter_count(&self.model);
                (base.saturating_add(adapters), adapters)
            }
            Workload::Train(_) | Workload::Infer(_) => {
                let of_layers = self.workload.quantization().map_or(0, |it| it.parameter_count(&self.model));
                let frozen = self.model.frozen_parameter_count().saturating_add(of_layers);
                (base, base.saturating_sub(frozen))
            }
        }
    }
}

/// A run that several GPUs share, each with a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallel {
    /// How many GPUs share the batch: the world size. It is at least 2.
    pub data: u64,
    /// Whether gradients are reduced in every micro step.
    pub sync_each_batch: bool,
    /// What each GPU holds.
    pub shard: Shard,
}

/// What each GPU of several holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// `DistributedDataParallel`: everything.
    Ddp {
        /// `bucket_cap_mb`, in bytes; `None` for torch's own sizes.
        bucket_cap_bytes: Option<u64>,
        /// `gradient_as_bucket_view`.
        gradient_as_bucket_view: bool,
    },
    /// `fully_shard` of every layer and of the model: a part of each parameter, its gradient and its states.
    Fsdp2 {
        /// `reshard_after_forward`.
        reshard_after_forward: bool,
        /// `MixedPrecisionPolicy.param_dtype`.
        param_dtype: Option<Dtype>,
        /// `MixedPrecisionPolicy.reduce_dtype`.
        reduce_dtype: Option<Dtype>,
    },
}

/// What is done with the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// Training steps.
    Train(Train),
    /// Generation with plain transformers.
    Infer(Infer),
}

impl Workload {
    /// The form of the weights; `None` if they have the dtype of the model.
    pub fn quantization(&self) -> Option<&Quantization> {
        match self {
            Workload::Train(run) => run.quantization.as_ref(),
            Workload::Infer(run) => run.quantization.as_ref(),
        }
    }

    /// The side of each image in pixels; `None` where the task has no images.
    pub fn image(&self) -> Option<u64> {
        match self {
            Workload::Train(run) => run.image,
            Workload::Infer(run) => run.image,
        }
    }

    /// What the model is trained or called for.
    pub fn task(&self) -> Task {
        match self {
            Workload::Train(run) => run.task,
            Workload::Infer(run) => run.task,
        }
    }
}

/// What the model is trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Next-token prediction.
    CausalLm,
    /// Prediction of masked tokens.
    MaskedLm,
    /// A class for each sequence.
    SequenceClassification,
    /// A class for each token.
    TokenClassification,
    /// Where in a text its answer begins and ends.
    QuestionAnswering,
    /// A text from a text.
    Seq2Seq,
    /// A text from speech.
    SpeechSeq2Seq,
    /// A class for each image.
    ImageClassification,
    /// Images and texts in one space.
    ImageText,
    /// The noise of a diffusion model's input.
    Denoising,
}

impl Task {
    /// Whether a sample has an image.
    pub fn reads_images(self) -> bool {
        matches!(self, Task::ImageClassification | Task::ImageText | Task::Denoising)
    }

    /// Whether a sample has tokens. A model that takes noise away may be given a text as well.
    pub fn reads_text(self) -> bool {
        !matches!(self, Task::ImageClassification | Task::SpeechSeq2Seq | Task::Denoising)
    }

    /// Whether a sample is speech.
    pub fn reads_speech(self) -> bool {
        self == Task::SpeechSeq2Seq
    }

    /// Whether the model has an encoder and a decoder, and targets of a length of their own.
    pub fn has_encoder_and_decoder(self) -> bool {
        matches!(self, Task::Seq2Seq | Task::SpeechSeq2Seq)
    }
}

/// The dtype of weights and computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Everything in fp32.
    Fp32,
    /// Weights and computation in fp16.
    Fp16,
    /// Weights and computation in bf16.
    Bf16,
    /// fp32 weights, `torch.autocast(bfloat16)`.
    AmpBf16,
    /// fp32 weights, `torch.autocast(float16)`; training with a `GradScaler`.
    AmpFp16,
    /// bf16 weights, `torch.autocast(bfloat16)`: transformers' and TRL's trainers with `dtype="auto"` and `bf16=True`.
    Bf16Autocast,
}

impl Precision {
    /// The dtype of the weights.
    pub fn weights(self) -> Dtype {
        match self {
            Precision::Fp32 | Precision::AmpBf16 | Precision::AmpFp16 => Dtype::F32,
            Precision::Fp16 => Dtype::F16,
            Precision::Bf16 | Precision::Bf16Autocast => Dtype::Bf16,
        }
    }

    /// The dtype of `torch.autocast`; `None` without it.
    pub fn autocast(self) -> Option<Dtype> {
        match self {
            Precision::AmpBf16 | Precision::Bf16Autocast => Some(Dtype::Bf16),
            Precision::AmpFp16 => Some(Dtype::F16),
            Precision::Fp32 | Precision::Fp16 | Precision::Bf16 => None,
        }
    }
}

/// The `attention_mask` in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionMask {
    /// No mask is passed.
    None,
    /// A mask of ones: no padding.
    Ones,
    /// A mask with zeros: a dense mask is built.
    Padded,
}

/// Gradient checkpointing of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Checkpointing {
    None,
    Reentrant,
    NonReentrant,
}

/// A training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// What for.
    pub task: Task,
    /// Samples per device and micro step.
    pub batch: u64,
    /// Tokens per sample; 0 where the task has no text.
    pub sequence: u64,
    /// The side of each image in pixels; `None` where the task has no images.
    pub image: Option<u64>,
    /// Tokens per target; `None` where the task has no targets of a length of their own.
    pub target_sequence: Option<u64>,
    /// Micro steps per optimizer step.
    pub accumulation: u64,
    /// Dtypes.
    pub precision: Precision,
    /// Attention implementation.
    pub attention: AttentionKernel,
    /// Mask in the batch.
    pub attention_mask: AttentionMask,
    /// Gradient checkpointing.
    pub checkpointing: Checkpointing,
    /// Whether the model keeps keys and values in training (transformers' `use_cache`).
    pub use_cache: bool,
    /// Whether the loop keeps `outputs` alive through the backward.
    pub hold_outputs: bool,
    /// Whether `clip_grad_norm_` runs before the optimizer.
    pub clip_grad_norm: bool,
    /// Optimizer steps that are simulated.
    pub steps: u64,
    /// The optimizer; `None` leaves gradients only.
    pub optimizer: Option<Optimizer>,
    /// LoRA adapters; `None` for full fine-tuning.
    pub lora: Option<Lora>,
    /// The weights' form; `None` if they have the dtype of the model.
    pub quantization: Option<Quantization>,
    /// Whether PEFT's function of this name casts what is not quantized to fp32.
    pub prepare_model_for_kbit_training: bool,
    /// Whose loop it is.
    pub recipe: TrainingLoop,
}

/// The loop that trains, with its library's habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrainingLoop {
    /// A script of one's own, as PyTorch's tutorials have it.
    Plain,
    /// `transformers.Trainer` (transformers/trainer.py, 5.23; accelerate 1.15).
    Trainer,
}

/// A run without gradients: generation, or one forward where the task generates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Infer {
    /// What for.
    pub task: Task,
    /// Sequences.
    pub batch: u64,
    /// Tokens of the prompt; 0 where the task has no text.
    pub sequence: u64,
    /// The side of each image in pixels; `None` where the task has no images.
    pub image: Option<u64>,
    /// Tokens that the decoder is given; `None` where the model has no encoder beside it.
    pub target_sequence: Option<u64>,
    /// Mask in the batch.
    pub attention_mask: AttentionMask,
    /// Dtypes.
    pub precision: Precision,
    /// Attention implementation.
    pub attention: AttentionKernel,
    /// Tokens generated after the prefill.
    pub decode_steps: u64,
    /// Key-value cache.
    pub cache: Cache,
    /// Positions that get logits; `None` for all.
    pub logits_to_keep: Option<u64>,
    /// Whether the loop keeps `outputs` alive into the next call.
    pub hold_outputs: bool,
    /// The weights' form; `None` if they have the dtype of the model.
    pub quantization: Option<Quantization>,
}

/// bitsandbytes' weights in a model of transformers.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// How a weight is held and computed with.
    pub form: QuantizedForm,
    /// The modules that are left alone, and all inside of them: paths, or the ends of paths.
    pub kept: Vec<String>,
}

/// How bitsandbytes holds a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizedForm {
    /// `Linear4bit`: 4 bits an element, and a scale for each 64 of them.
    FourBit {
        /// What the 4 bits mean.
        four_bit_type: FourBitType,
        /// Whether the scales are quantized, too.
        double_quant: bool,
        /// The dtype of the layer's input and of its weight while it computes.
        compute_dtype: Dtype,
        /// The dtype of the tensor that holds the bits.
        storage: Dtype,
    },
    /// `Linear8bitLt`: a byte an element, and a scale for each row.
    EightBit {
        /// Whether `llm_int8_threshold` is above 0: each input is compared with it.
        looks_for_outliers: bool,
    },
}

/// `bnb_4bit_quant_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourBitType {
    /// Quantiles of the normal distribution.
    Nf4,
    /// A floating-point number of 4 bits.
    Fp4,
}

/// transformers' key-value cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cache {
    /// Grows by concatenation (`DynamicCache`).
    Dynamic,
    /// Allocated once (`StaticCache`).
    Static {
        /// Tokens it holds.
        max_cache_len: u64,
    },
    /// No cache.
    None,
}

/// An optimizer with the arguments that decide its memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// Which one.
    pub kind: OptimizerKind,
    /// torch's `foreach`; `None` where it was not passed (CUDA parameters then get foreach).
    pub foreach: Option<bool>,
    /// torch's `fused`.
    pub fused: Option<bool>,
}

/// An optimizer, by library and name.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum OptimizerKind {
    Sgd {
        momentum: bool,
        nesterov: bool,
        weight_decay: bool,
        dampening: bool,
    },
    Adam {
        amsgrad: bool,
        weight_decay: bool,
    },
    AdamW {
        amsgrad: bool,
    },
    /// `weight_decay` says whether weights decay through the gradient.
    NAdam {
        weight_decay: bool,
    },
    /// `weight_decay` says whether weights decay through the gradient.
    RAdam {
        weight_decay: bool,
    },
    Adamax {
        weight_decay: bool,
    },
    Adadelta {
        weight_decay: bool,
    },
    Adagrad {
        weight_decay: bool,
    },
    RmsProp {
        momentum: bool,
        centered: bool,
        weight_decay: bool,
    },
    Adafactor,
    TransformersAdafactor {
        beta1: bool,
        relative_step: bool,
        scale_parameter: bool,
        weight_decay: bool,
    },
    BitsAndBytes(BitsAndBytes),
    TorchAo(TorchAo),
}

/// PEFT's `LoraConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Rank.
    pub r: u64,
    /// Dropout on the adapter's input.
    pub lora_dropout: f64,
    /// Which Linears are adapted.
    pub target_modules: LoraTargets,
    /// What the other options say about single modules.
    pub modules: Box<LoraModules>,
    /// Whether adapters are kept in fp32 beside a half-precision base (PEFT's default).
    pub autocast_adapter_dtype: bool,
    /// Whether the lengths of the weight's rows are trained, too (DoRA).
    pub use_dora: bool,
    /// Whether the embedding's output is made to require a gradient; with checkpointing PEFT does so by itself.
    pub enable_input_require_grads: bool,
}

/// The options of PEFT that say more about modules than `target_modules`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoraModules {
    /// Which modules get no adapter although `target_modules` names them; `None` leaves out none.
    pub exclude_modules: Option<LoraTargets>,
    /// The blocks whose modules get adapters; `None` for all.
    pub layers_to_transform: Option<LoraLayers>,
    /// The modules with a rank of their own.
    pub rank_pattern: Vec<(Pattern, u64)>,
}

/// PEFT's `layers_to_transform` and `layers_pattern`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraLayers {
    /// The numbers of the blocks, from 0 on.
    pub indices: Vec<u64>,
    /// What stands before the number of a block in a path; the first that is found decides.
    pub patterns: Vec<Pattern>,
}

/// PEFT's `target_modules`.
#[derive(Clone, Debug, PartialEq)]
pub enum LoraTargets {
    /// `"all-linear"`: every Linear but the output layer.
    AllLinear,
    /// The modules whose path ends in one of these names.
    Named(Vec<String>),
    /// The modules whose whole path is of this form.
    Pattern(Pattern),
}

/// The versions whose behaviour is predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// torch, such as "2.15.0".
    pub torch: String,
    /// transformers, such as "5.23.0".
    pub transformers: String,
    /// cuDNN as PyTorch reports it, such as "9.26.0".
    pub cudnn: String,
}
