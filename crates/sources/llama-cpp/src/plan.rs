//! The buffers of a model under settings.

use brimful_gguf::Header;
use brimful_units::Bytes;

use crate::build::{Builder, Run};
use crate::context::Context;
use crate::ggml::{Machine, Op, Schedule, schedule};
use crate::hparams::Hparams;
use crate::memory::Memory;
use crate::models;
use crate::weights::Weights;
use crate::{Error, FlashAttention, Gpu, Settings};

/// What llama.cpp allocates on one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GpuBuffers {
    /// Weights ("model buffer size").
    pub model: Bytes,
    /// Keys and values ("KV buffer size").
    pub kv: Bytes,
    /// States of recurrent layers ("RS buffer size").
    pub recurrent: Bytes,
    /// Tensors of the graph ("compute buffer size").
    pub compute: Bytes,
}

impl GpuBuffers {
    /// The sum. The CUDA context and cuBLAS come on top of it.
    pub fn total(&self) -> Bytes {
        let parts = [self.model, self.kv, self.recurrent, self.compute];
        Bytes::new(parts.iter().fold(0, |sum, part| sum.saturating_add(part.get())))
    }
}

/// What llama.cpp allocates in host memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostBuffers {
    /// The part of the file that is mapped for weights on the CPU ("CPU_Mapped model buffer size").
    pub mapped: Bytes,
    /// Keys and values ("CPU KV buffer size").
    pub kv: Bytes,
    /// States of recurrent layers ("CPU RS buffer size").
    pub recurrent: Bytes,
    /// Logits and embeddings for the caller ("output buffer size").
    pub output: Bytes,
    /// Tensors of the graph ("CUDA_Host compute buffer size", "CPU compute buffer size" without a GPU).
    pub compute: Bytes,
}

/// What llama.cpp allocates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffers {
    /// In CUDA's order.
    pub gpus: Vec<GpuBuffers>,
    /// Host memory.
    pub host: HostBuffers,
    /// Tokens of context of each slot, as llama.cpp rounds them (`n_ctx_seq`).
    pub context_of_slot: u64,
    /// Is flash attention used?
    pub flash_attention: bool,
    /// Nodes and splits of the graph for prompts, as llama.cpp prints them.
    pub graph: (usize, usize),
}

/// Computes the buffers that llama.cpp v0.5.0 allocates for a model.
///
/// The compute buffers are those of the graph itself, placed by ggml's own rule; nothing is fitted or measured.
///
/// ```no_run
/// use brimful_llama_cpp::{Gpu, Settings, plan};
/// use brimful_units::Bytes;
///
/// let header = brimful_gguf::Header::read(std::fs::File::open("model.gguf")?)?;
/// let settings = Settings { ctx_size: 8192, ..Settings::default() };
/// let gpu = Gpu { free: Bytes::gib(23), compute_capability: 890 };
/// let buffers = plan(&header, &settings, &[gpu])?;
/// println!("{} on the GPU", buffers.gpus[0].total());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If the architecture is not known, the header lacks what it needs, or llama.cpp refuses the settings.
pub fn plan(header: &Header, settings: &Settings, gpus: &[Gpu]) -> Result<Buffers, Error> {
    let hparams = Hparams::read(header)?;
    let context = Context::new(&hparams, settings)?;
    let weights = Weights::place(header, &hparams, settings, gpus)?;
    let memory = Memory::new(&hparams, settings, &context)?;
    let machine = Machine {
        capabilities: gpus.iter().map(|gpu| gpu.compute_capability).collect(),
        // A pipeline needs all layers on several GPUs, with their caches and without exceptions.
        pipeline: gpus.len() > 1
            && weights.all_on_gpus(&hparams)
            && settings.kv_offload
            && !weights.has_overrides(),
        offload_ops: settings.op_offload,
    };
    let graphs = Graphs {
        hparams: &hparams,
        context: &context,
        weights: &weights,
        memory: &memory,
        machine: &machine,
        settings,
    };
    let (flash, probe) = graphs.flash()?;
    if !flash && settings.cache_type_v.is_quantized() && memory.has_values {
        return Err(Error::Setting {
            key: "cache-type-v",
            found: settings.cache_type_v.to_string(),
            reason: "a quantised V cache needs flash attention, which is off; take f16".into(),
        });
    }
    let prompt = graphs.schedule(context.tokens_of_graph(), context.outputs_of_graph(), flash)?;
    // The graph that decided about flash attention is the one for one token of each slot.
    let token = match probe.filter(|_| flash) {
        Some(probe) => probe,
        None => graphs.schedule(context.sequences, context.sequences, flash)?,
    };
    Ok(buffers(header, &graphs, flash, &prompt, &token))
}

/// Builds and schedules the graphs of one context.
struct Graphs<'a> {
    hparams: &'a Hparams,
    context: &'a Context,
    weights: &'a Weights<'a>,
    memory: &'a Memory,
    machine: &'a Machine,
    settings: &'a Settings,
}

impl Graphs<'_> {
    fn builder(&self, tokens: u64, outputs: u64, flash: bool) -> Builder<'_> {
        let run = Run {
            tokens,
            sequences: self.context.sequences,
            outputs,
            flash,
            offload_kv: self.settings.kv_offload,
        };
        Builder::new(self.hparams, self.memory, self.weights, self.machine, run)
    }

    fn schedule(&self, tokens: u64, outputs: u64, flash: bool) -> Result<Schedule, Error> {
        let mut graph = models::build(self.builder(tokens, outputs, flash))?;
        Ok(schedule(&mut graph, self.machine))
    }

    /// Flash attention is used unless it would run on another device than its layer (`resolve_fused_ops`). The schedule
    /// is that of the graph with flash attention for one token of each slot, if it had to be made.
    fn flash(&self) -> Result<(bool, Option<Schedule>), Error> {
        match self.settings.flash_attn {
            FlashAttention::On => return Ok((true, None)),
            FlashAttention::Off => return Ok((false, None)),
            FlashAttention::Auto => {}
        }
        let sequences = self.context.sequences;
        let mut graph = models::build(self.builder(sequences, sequences, true))?;
        let schedule = schedule(&mut graph, self.machine);
        let attentions = graph.nodes.iter().filter(|id| graph.get(**id).op == Op::FlashAttention);
        let layers = (0..self.hparams.layers).filter(|layer| crate::memory::cached(self.hparams, *layer));
        let agrees = attentions.zip(layers).all(|(id, layer)| {
            schedule.backends.get(id.index()).copied().flatten() == Some(self.weights.layer(layer))
        });
        Ok((agrees, Some(schedule)))
    }
}

fn buffers(
    header: &Header,
    graphs: &Graphs<'_>,
    flash: bool,
    prompt: &Schedule,
    token: &Schedule,
) -> Buffers {
    let Graphs { hparams, context, weights, memory, machine, settings } = graphs;
    let model = weights.bytes(header, hparams);
    let caches = memory.bytes(hparams, weights, settings.kv_offload);
    let of = |bytes: &[u64], backend: usize| Bytes::new(bytes.get(backend).copied().unwrap_or(0));
    // The buffers are reserved for a prompt and for one token of each slot, and keep the larger size.
    let compute = |backend: usize| of(&prompt.bytes, backend).max(of(&token.bytes, backend));
    let cpu = machine.cpu();
    let gpus = (0..machine.gpus())
        .map(|gpu| GpuBuffers {
            model: of(&model.gpus, gpu),
            kv: of(&caches.kv, gpu),
            recurrent: of(&caches.recurrent, gpu),
            compute: compute(gpu),
        })
        .collect();
    let embeddings = if settings.embeddings { hparams.embedding_out } else { 0 };
    let output = (hparams.vocabulary + embeddings).saturating_mul(context.sequences).saturating_mul(4);
    Buffers {
        gpus,
        host: HostBuffers {
            mapped: Bytes::new(model.mapped),
            kv: of(&caches.kv, cpu),
            recurrent: of(&caches.recurrent, cpu),
            output: Bytes::new(output),
            compute: compute(cpu),
        },
        context_of_slot: context.of_sequence,
        flash_attention: flash,
        graph: (prompt.nodes, prompt.splits),
    }
}
