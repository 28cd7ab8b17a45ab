//! The job's own keys, `[train]`, `[infer]`, `[allocator]` and `[versions]`.

use brimful_models::AttentionKernel;

use super::elsewhere::UNQUANTIZED;
use super::spelled::{ATTENTION, CHECKPOINTING, OPTIMIZER, PRECISION};
use super::{Absent, COUNT, INFER, Key, Kind, MOST, ROOT, RUNS, TRAIN, key, spelled};
use crate::run::CacheKind;
use crate::words::Words;
use crate::{AttentionMask, Checkpointing, FourBitType, Precision, Task, TrainingLoop};

const QUANTIZATION: &[&str] = &["train.quantization", "infer.quantization"];
/// The tasks that are simulated, each for the model types that have a program for it.
const TASKS: &[&str] = &[
    "causal-lm",
    "masked-lm",
    "sequence-classification",
    "token-classification",
    "question-answering",
    "image-classification",
    "image-text",
    "seq2seq",
    "denoising",
    "speech-seq2seq",
];
/// What to do instead of keys that belong to other tasks.
const LEAVE_OUT: &str = "leave it out";

pub(super) const KEYS: &[Key] = &[
    key(
        ROOT,
        "model",
        Kind::TextOrTable("a folder, a file, a name, or a table of config.json keys"),
        "The model is a folder, a config.json, a safetensors file, a model known by name, or a table of config.json keys.",
    )
    .absent(Absent::Required)
    .flag(),
    key(
        ROOT,
        "gpu",
        Kind::Text("a GPU's name or a size such as \"24 GiB\""),
        "The GPU is given by name (h100-sxm-80gb, rtx4090) or by size (\"24 GiB\"); fit also takes a list, and any.",
    )
    .flag(),
    key(
        &["model"],
        "library",
        Kind::Text("a library's name"),
        "The model belongs to this library (torchvision), in which `name` names it; absent for transformers.",
    ),
    key(
        &["model"],
        "_class_name",
        Kind::Text("a class of diffusers"),
        "The model is of this class of diffusers; the other keys are those of its config.json.",
    ),
    key(ROOT, "train", Kind::Table, "The model is trained."),
    key(ROOT, "infer", Kind::Table, "The model generates text with plain transformers."),
    key(ROOT, "serve", Kind::Table, "A serving engine runs the model."),
    key(ROOT, "parallel", Kind::Table, "The run is spread over several GPUs."),
    key(ROOT, "allocator", Kind::Table, "These are the settings of PyTorch's CUDA caching allocator."),
    key(ROOT, "versions", Kind::Table, "These are the versions whose behaviour is predicted."),
    key(RUNS, "task", Kind::Words(Task::WORDS), "The model is trained or called for this task.")
        .absent(Absent::Follows("the task of the class in the model's `architectures`, or causal-lm"))
        .only(
            TASKS,
            "causal-lm, masked-lm, sequence-classification, token-classification, question-answering, seq2seq, \
             speech-seq2seq, image-classification, image-text and denoising are simulated",
        )
        .flag(),
    key(
        TRAIN,
        "recipe",
        Kind::Words(&["plain", "trainer", "trl", "accelerate"]),
        "The loop is a plain script's, or transformers' Trainer with its defaults.",
    )
    .silently("plain")
    .only(
        TrainingLoop::WORDS,
        "plain and trainer are simulated; what TRL and a script of accelerate do is measured: brimful rehearse -- python \
         train.py",
    )
    .flag(),
    key(RUNS, "batch", COUNT, "A device takes this many samples in each micro step.").assumed("1").flag().also(&[
        "batch-size",
        "bs",
        "micro-batch-size",
        "per-device-train-batch-size",
        "per-device-batch-size",
    ]),
    key(RUNS, "sequence", COUNT, "Each sample has this many tokens.")
        .absent(Absent::Follows("2048, or fewer where the model has fewer positions"))
        .flag()
        .also(&["seq", "seq-len", "sequence-length", "sequence-len", "seqlen", "max-seq-length", "max-seq-len", "max-length", "context", "context-length", "ctx", "cutoff-len", "block-size"]),
    key(TRAIN, "accumulation", COUNT, "An optimizer step follows this many micro steps.").assumed("1").flag().also(&["gradient-accumulation-steps", "gradient-accumulation", "grad-accum", "accumulate-grad-batches"]),
    key(
        RUNS,
        "precision",
        Kind::Words(Precision::WORDS),
        "Weights and computation have this dtype; amp-bf16 and amp-fp16 autocast over fp32 weights, bf16-autocast over \
         bf16 weights (a Trainer with dtype=\"auto\" and bf16=True).",
    )
    .absent(Absent::Follows("the dtype of the weights, or bf16"))
    .flag()
    .also(&["dtype", "torch-dtype", "mixed-precision"])
    .spelled(PRECISION),
    key(
        RUNS,
        "attention",
        Kind::Words(AttentionKernel::WORDS),
        "transformers runs this attn_implementation.",
    )
    .absent(Absent::Family(|family| (family.attention.word(), family.attention_why)))
    .flag()
    .also(&["attn", "attn-implementation", "attn-impl"])
    .spelled(ATTENTION),
    key(
        TRAIN,
        "attention_mask",
        Kind::Words(AttentionMask::WORDS),
        "The batch holds no mask, a mask of ones, or a mask with padding.",
    )
    .absent(Absent::Assumed("none", "samples without padding"))
    .flag(),
    key(INFER, "attention_mask", Kind::Words(AttentionMask::WORDS), "The prompt has this mask.").silently("none"),
    key(
        TRAIN,
        "checkpointing",
        Kind::Words(Checkpointing::WORDS),
        "Gradient checkpointing recomputes the blocks in the backward.",
    )
    .assumed("none")
    .flag()
    .also(&["gradient-checkpointing", "grad-checkpointing", "activation-checkpointing"])
    .spelled(CHECKPOINTING),
    // transformers' Trainer writes its own `use_cache`, false by default, into the model's config (trainer.py,
    // training_args.py, 5.23): the default is not the family's.
    key(TRAIN, "use_cache", Kind::Flag, "The model keeps keys and values in training.")
        .absent(Absent::Assumed("false", "as transformers' Trainer sets it"))
        .flag(),
    key(RUNS, "hold_outputs", Kind::Flag, "The loop keeps the model's outputs alive.")
        .absent(Absent::Assumed("false", "the loop drops them"))
        .flag(),
    key(
        TRAIN,
        "clip_grad_norm",
        Kind::FlagOrNumber,
        "Gradients are clipped by their norm; a number is the largest norm.",
    )
    .absent(Absent::Assumed("false", "a plain loop; transformers' Trainer and TRL clip at 1.0"))
    .flag()
    .also(&["max-grad-norm", "grad-clip", "gradient-clip-val"]),
    key(TRAIN, "steps", COUNT, "This many optimizer steps are simulated; the second shows the steady state.")
        .assumed("2")
        .flag(),
    key(
        TRAIN,
        "optimizer",
        Kind::TextOrTable("a name, \"none\", or a table with `name`"),
        "The optimizer is a name (AdamW), \"none\", or a table of its arguments.",
    )
    .absent(Absent::Assumed("AdamW", "the default (torch.optim.AdamW)"))
    .flag()
    .also(&["optim"])
    .spelled(OPTIMIZER),
    key(TRAIN, "lora", Kind::Table, "LoRA adapters are trained; the table has the names of PEFT's LoraConfig.").flag().short("r"),
    key(
        RUNS,
        "quantization",
        Kind::TextOrTable("nf4, fp4, 4bit, 8bit, int8, or a table of keys"),
        "bitsandbytes quantizes the weights; the table has the names of transformers' BitsAndBytesConfig.",
    )
    .flag()
    .spelled(spelled::QUANTIZATION),
    key(QUANTIZATION, "quant_method", Kind::Text("\"bitsandbytes\""), "This library quantizes the weights.")
        .silently("bitsandbytes")
        .only(&["bitsandbytes"], UNQUANTIZED),
    key(QUANTIZATION, "load_in_4bit", Kind::Flag, "bitsandbytes holds weights in 4 bits.")
        .silently("false")
        .flag()
        .also(&["4bit"]),
    key(QUANTIZATION, "load_in_8bit", Kind::Flag, "bitsandbytes holds weights in 8 bits.")
        .silently("false")
        .flag()
        .also(&["8bit"]),
    key(QUANTIZATION, "bnb_4bit_quant_type", Kind::Words(FourBitType::WORDS), "The 4-bit weights have this type.")
        .absent(Absent::Assumed("fp4", "transformers' default; it takes as much memory as nf4")),
    key(QUANTIZATION, "bnb_4bit_use_double_quant", Kind::Flag, "The scales are quantized, too.").silently("false"),
    key(QUANTIZATION, "bnb_4bit_compute_dtype", DTYPE, "The layers compute in this dtype.")
        .absent(Absent::Follows("fp32, transformers' default")),
    key(QUANTIZATION, "bnb_4bit_quant_storage", DTYPE, "A tensor of this dtype holds the bits.")
        .absent(Absent::Follows("uint8, transformers' default")),
    key(
        QUANTIZATION,
        "llm_int8_skip_modules",
        Kind::Other { expected: "a list of module names", types: &["array"] },
        "These modules keep their dtype, in 4 bits as well as in 8.",
    )
    .absent(Absent::Follows("the output layer, modules with tied weights, and the last module")),
    key(QUANTIZATION, "llm_int8_threshold", Kind::Number, "Activations from this size on are computed in fp16.")
        .absent(Absent::Follows("6.0, transformers' default")),
    key(QUANTIZATION, "llm_int8_has_fp16_weight", Kind::Flag, "8-bit layers keep the weights in fp16.")
        .silently("false")
        .only(&["false"], UNQUANTIZED),
    key(QUANTIZATION, "llm_int8_enable_fp32_cpu_offload", Kind::Flag, "Some modules are kept on the CPU.")
        .silently("false")
        .only(&["false"], UNQUANTIZED),
    key(
        TRAIN,
        "prepare_model_for_kbit_training",
        Kind::Flag,
        "PEFT's function of this name casts what is not quantized to fp32.",
    )
    .absent(Absent::Silently("false"))
    .flag(),
    key(RUNS, "target_sequence", COUNT, "With the tasks seq2seq and speech-seq2seq, each target has this many tokens.")
        .absent(Absent::Follows("as many as `sequence`, for speech as many as the decoder has positions; other tasks have none"))
        .flag()
        .also(&["max-target-length", "target-length"]),
    key(RUNS, "image", COUNT, "Each side of an image has this many pixels, where the task has images.")
        .absent(Absent::Follows("the model's `image_size`, or 224 where its config has none"))
        .flag()
        .also(&["image-size", "img-size", "resolution"]),
    key(INFER, "decode_steps", Kind::Count { least: 0, most: MOST }, "The model generates this many tokens after the prompt.")
        .absent(Absent::Follows("4, or fewer where the model has fewer positions"))
        .flag()
        .also(&["max-new-tokens", "new-tokens"]),
    key(INFER, "cache", Kind::Words(CacheKind::WORDS), "transformers keeps keys and values in this cache.")
        .absent(Absent::Assumed("dynamic", "as transformers' generate makes a DynamicCache"))
        .flag(),
    key(INFER, "max_cache_len", COUNT, "A static cache holds this many tokens.")
        .absent(Absent::Follows("prompt and generated tokens"))
        .flag(),
    key(
        INFER,
        "logits_to_keep",
        Kind::Count { least: 0, most: MOST },
        "Logits are computed for this many last positions; 0 means all of them.",
    )
    .absent(Absent::Follows("1, as transformers' generate passes it; 0 where the job names its task"))
    .flag(),
    key(TRAIN, "logits_to_keep", COUNT, "Logits are computed for this many last positions.").not_yet(LEAVE_OUT),
    key(TRAIN, "compile", ANYTHING, "torch.compile compiles the model.").not_yet(LEAVE_OUT).flag(),
    key(TRAIN, "offload", ANYTHING, "States live in host memory.").not_yet(LEAVE_OUT).flag(),
];

/// A dtype by PyTorch's name or a short one.
const DTYPE: Kind = Kind::Text("a dtype such as \"bfloat16\"");
/// A value of any type.
const ANYTHING: Kind = Kind::Other {
    expected: "anything",
    types: &["boolean", "integer", "number", "string", "array", "object"],
};

pub(super) const OTHER_KEYS: &[Key] = &[
    Key {
        flag: Some("conf"),
        also: &["alloc-conf", "allocator-conf"],
        absent: Absent::Silently(""),
        ..key(
            &["allocator"],
            "conf",
            Kind::Text("a text such as \"expandable_segments:True\""),
            "PyTorch gets this PYTORCH_CUDA_ALLOC_CONF, such as expandable_segments:True.",
        )
    },
    version("torch", "The behaviour of this version of torch is predicted."),
    version("transformers", "The behaviour of this version of transformers is predicted."),
    version("cudnn", "The behaviour of this version of cuDNN is predicted."),
];

const fn version(name: &'static str, help: &'static str) -> Key {
    key(&["versions"], name, Kind::Text("a version in quotes"), help)
        .absent(Absent::Follows("the newest version that is followed"))
        .flag()
}
