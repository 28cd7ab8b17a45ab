//! Does llama.cpp start with a GGUF file, and with which context and layers would it?

use brimful_devices::{Basis, BasisKind, Gpu};
use brimful_gguf::Header;
use brimful_jobs::{Assumption, LlamaCppJob};
use brimful_llama_cpp::{Buffers, Command, KNOWN, Settings, plan, read_command};
use brimful_units::{Bytes, nearest};

use crate::{ServedVerdict, ServingError};

/// cuBLAS' workspace, which the first large product allocates and llama.cpp does not print: the largest that PyTorch takes for it
/// (`getChosenWorkspaceSize` in aten/src/ATen/cuda/CublasHandlePool.cpp, torch 2.15).
const CUBLAS: Bytes = Bytes::mib(32);

/// The start of llama.cpp on one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaCppServing {
    /// The version whose rules were taken.
    pub version: &'static str,
    /// What it allocates.
    pub buffers: Buffers,
    /// The settings, with the server's defaults.
    pub settings: Settings,
    /// Tokens of context over all slots.
    pub context: u64,
    /// All on the GPU, with the CUDA context.
    pub needed: Bytes,
    /// What can come on top.
    pub margin: Bytes,
    /// Does it start?
    pub verdict: ServedVerdict,
    /// The largest context that fits with all else as it is; `None` if none does.
    pub largest_context: Option<u64>,
    /// The most layers on the GPU with which the context fits; looked for only if no context fits.
    pub most_layers: Option<u32>,
    /// What else to know.
    pub notes: Vec<String>,
    /// The server's own values for settings that the job does not have.
    pub assumed: Vec<Assumption>,
    /// What each figure rests on.
    pub basis: Vec<(String, Basis)>,
}

/// Predicts the start of llama.cpp with the file that has this header on this GPU.
///
/// # Errors
/// An architecture that is not known, a damaged header, a setting that llama.cpp refuses.
pub fn llama_cpp(job: &LlamaCppJob, header: &Header, gpu: &Gpu) -> Result<LlamaCppServing, ServingError> {
    check_architecture(header)?;
    let mut command = read_command(&job.words).map_err(refused)?;
    if let Some(outputs) = job.n_outputs_max {
        command.settings.n_outputs_max = outputs;
    }
    let start = Start { header, gpu, margin: margin(gpu) };
    let settings = command.settings.clone();
    let buffers = start.plan(&settings)?;
    let slots = if settings.kv_unified { 1 } else { u64::from(settings.parallel.max(1)) };
    let context = buffers.context_of_slot.saturating_mul(slots);
    let needed = start.needed(&buffers);
    let verdict = match needed {
        _ if needed > gpu.total => ServedVerdict::DoesNotFit,
        _ if needed + start.margin > gpu.total => ServedVerdict::TooClose,
        _ => ServedVerdict::Fits,
    };
    // llama.cpp rounds the context of each slot up to 256 tokens.
    let step = 256 * slots;
    let longest = context.max(start.trained());
    let with_context = |steps: u64| Settings {
        ctx_size: u32::try_from(steps * step).unwrap_or(u32::MAX),
        ..settings.clone()
    };
    let largest = largest(1, longest / step, |steps| start.holds(&with_context(steps)));
    let with_layers = |layers: u64| Settings { n_gpu_layers: u32::try_from(layers).ok(), ..settings.clone() };
    let most_layers = match largest {
        Some(_) => None,
        None => self::largest(0, start.layers(), |layers| start.holds(&with_layers(layers))),
    };
    Ok(LlamaCppServing {
        version: "0.5.0",
        notes: notes(&command, verdict),
        assumed: assumed(&job.words, &settings, context, buffers.flash_attention),
        basis: basis(gpu),
        largest_context: largest.map(|steps| steps * step),
        most_layers: most_layers.and_then(|layers| u32::try_from(layers).ok()),
        margin: start.margin,
        buffers,
        settings,
        context,
        needed,
        verdict,
    })
}

/// A model on a GPU.
struct Start<'a> {
    header: &'a Header,
    gpu: &'a Gpu,
    margin: Bytes,
}

impl Start<'_> {
    fn plan(&self, settings: &Settings) -> Result<Buffers, ServingError> {
        let (major, minor) = self.gpu.compute_capability;
        let gpu = brimful_llama_cpp::Gpu {
            free: self.gpu.total.saturating_sub(self.gpu.context),
            compute_capability: u32::from(major) * 100 + u32::from(minor) * 10,
        };
        plan(self.header, settings, &[gpu]).map_err(refused)
    }

    fn needed(&self, buffers: &Buffers) -> Bytes {
        let sums = buffers.gpus.iter().map(|gpu| gpu.total().get());
        Bytes::new(sums.fold(self.gpu.context.get(), u64::saturating_add))
    }

    /// Settings that llama.cpp refuses do not fit either.
    fn holds(&self, settings: &Settings) -> bool {
        let needed = self.plan(settings).map(|buffers| self.needed(&buffers));
        needed.is_ok_and(|needed| needed.get().saturating_add(self.margin.get()) <= self.gpu.total.get())
    }

    /// A number of the header under the architecture's name; 0 if the header lacks it.
    fn number(&self, name: &str) -> u64 {
        let architecture = self.header.architecture().unwrap_or_default();
        let value = self.header.get(&format!("{architecture}.{name}"));
        value.and_then(brimful_gguf::Value::as_u64).unwrap_or(0)
    }

    fn trained(&self) -> u64 {
        self.number("context_length").min(1 << 28)
    }

    /// The blocks, and the output as one more.
    fn layers(&self) -> u64 {
        self.number("block_count").min(1 << 16) + 1
    }
}

/// The largest number of a range that holds; `None` if the first does not. More never holds where less does not.
fn largest(first: u64, last: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (first, last.max(first));
    if !holds(low) {
        return None;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) { low = middle } else { high = middle - 1 }
    }
    Some(low)
}

fn margin(gpu: &Gpu) -> Bytes {
    gpu.context_basis.margin.unwrap_or(Bytes::ZERO) + CUBLAS
}

/// The server's own search for a smaller start (`--fit`) is not followed, but said.
fn notes(command: &Command, verdict: ServedVerdict) -> Vec<String> {
    let free = command.settings.ctx_size == 0 || command.settings.n_gpu_layers.is_none();
    let mut notes = Vec::new();
    if verdict == ServedVerdict::DoesNotFit && command.fit && free {
        notes.push(
            "the server itself would choose a smaller context or fewer layers on the GPU for what is not set; \
             --fit off turns that off"
                .to_owned(),
        );
    }
    notes
}

/// The values of the server for what none of the words sets.
fn assumed(words: &[String], settings: &Settings, context: u64, flash_attention: bool) -> Vec<Assumption> {
    let is_absent = |flags: &[&str]| !words.iter().any(|word| flags.contains(&word.as_str()));
    let mut all = Vec::new();
    let mut assume = |key: &str, value: String, why| {
        all.push(Assumption { key: format!("serve.{key}"), value, why });
    };
    if settings.ctx_size == 0 {
        assume("ctx_size", context.to_string(), "the context that the model was trained for");
    }
    if is_absent(&["-ngl", "--gpu-layers", "--n-gpu-layers"]) {
        assume("n_gpu_layers", "all".to_owned(), "the server's default");
    }
    if is_absent(&["-np", "--parallel"]) {
        let why = "the server's default: 4 slots that share one cache";
        assume("parallel", settings.parallel.to_string(), why);
    }
    if is_absent(&["-fa", "--flash-attn"]) {
        let flash = if flash_attention { "on" } else { "off" };
        assume("flash_attn", flash.to_owned(), "the server's default: where the GPU of each layer runs it");
    }
    all
}

fn basis(gpu: &Gpu) -> Vec<(String, Basis)> {
    let exact = |source: &str| Basis { kind: BasisKind::Exact, source: source.to_owned(), margin: None };
    let cublas = Basis {
        kind: BasisKind::Calibrated,
        source:
            "not printed by llama.cpp; the largest that PyTorch takes for cuBLAS (getChosenWorkspaceSize in \
                 aten/src/ATen/cuda/CublasHandlePool.cpp, torch 2.15); counted in the margin only"
                .to_owned(),
        margin: Some(CUBLAS),
    };
    let rows = vec![
        ("model, KV cache and states", exact("the tensors and keys of the GGUF header")),
        ("compute", exact("llama.cpp v0.5.0's graph, placed by ggml's scheduler and allocator without data")),
        ("GPU memory", gpu.total_basis.clone()),
        ("CUDA context", gpu.context_basis.clone()),
        ("cuBLAS' workspace", cublas),
    ];
    rows.into_iter().map(|(what, basis): (&str, Basis)| (what.to_owned(), basis)).collect()
}

/// An architecture that is not known is refused before its keys are looked for, with the nearest that is known.
fn check_architecture(header: &Header) -> Result<(), ServingError> {
    let name = header.architecture().map_err(|error| ServingError::LlamaCpp(error.to_string()))?;
    if KNOWN.contains(&name) {
        return Ok(());
    }
    let error = brimful_llama_cpp::Error::Architecture(name.to_owned());
    let near = nearest(name, KNOWN.iter().copied()).map(|near| format!("; the nearest is {near}"));
    Err(ServingError::LlamaCpp(format!("{error}{}", near.unwrap_or_default())))
}

/// llama.cpp's refusal.
fn refused(error: brimful_llama_cpp::Error) -> ServingError {
    ServingError::LlamaCpp(error.to_string())
}
