//! vLLM: from a job's settings and a model's config to the memory at the end of its start.

mod blocks;
mod defaults;
mod groups;
mod profile;
mod rules;

use brimful_devices::{Basis, BasisKind, Gpu, servers};
use brimful_jobs::{Assumption, Length, VllmSettings};
use brimful_units::Bytes;
use serde_json::{Map, Value};

use blocks::Plan;
use defaults::Start;
pub use groups::{Group, GroupKind};
use profile::Kept;
pub use rules::VllmRules;

use crate::weights::product;
use crate::{Architecture, Quantization, ServingError, weights};

/// The memory of one GPU at the end of vLLM's start. Bytes are of the tightest rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// The version whose rules were taken.
    pub version: &'static str,
    /// The model's `model_type`.
    pub model_type: String,
    /// How the weights are stored; `None` for the model's dtype.
    pub quantization: Option<String>,
    /// What the engine takes of the GPU: its share of the total.
    pub budget: Bytes,
    /// The weights.
    pub weights: Bytes,
    /// What stays beside the weights after the profile run, in torch's memory.
    pub kept: Bytes,
    /// NCCL's and the all-reduce's buffers.
    pub non_torch: Bytes,
    /// What the profile run takes for a moment.
    pub activation_peak: Bytes,
    /// What is set aside for CUDA graphs.
    pub graphs: Bytes,
    /// The KV cache; all figures are 0 where nothing is left for it.
    pub kv_cache: KvCache,
    /// Requests of full length at once.
    pub max_concurrency: f64,
    /// The longest request.
    pub max_model_len: u64,
    /// Requests that run together at most.
    pub max_num_seqs: u64,
    /// Tokens of a batch.
    pub max_num_batched_tokens: u64,
    /// The share of the GPU.
    pub utilization: f64,
    /// GPUs over which each layer is split.
    pub ranks: u64,
    /// The longest request for which the memory suffices, at most the model's own; `None` if not even one token fits.
    pub longest: Option<u64>,
    /// The same start with a filled cache of torch.compile, where that gives another KV cache.
    pub warm: Option<KvCache>,
    /// Does it start?
    pub verdict: ServedVerdict,
    /// What is missing, if it does not start.
    pub shortage: Option<Shortage>,
    /// How far the KV cache's bytes can be off, to either side.
    pub margin: Bytes,
    /// What was taken for keys that the job does not have.
    pub assumed: Vec<Assumption>,
    /// What each figure rests on.
    pub basis: Vec<(String, Basis)>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// The KV cache of a GPU.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct KvCache {
    /// Bytes that are available for it.
    pub bytes: Bytes,
    /// Its blocks, one of which is never handed out.
    pub blocks: u64,
    /// Tokens, as the engine counts them.
    pub tokens: u64,
    /// Tokens of a block of attention.
    pub block_size: u64,
    /// Bytes of a block over all layers of a group.
    pub bytes_per_block: Bytes,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// Does the engine start?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedVerdict {
    /// It starts, also if each figure is off by its margin.
    Fits,
    /// The margin reaches over the edge.
    TooClose,
    /// It does not start.
    DoesNotFit,
}

/// Why the engine does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The share of the total is more than what is free beside the CUDA context.
    Budget {
        /// What is free.
        free: Bytes,
        /// What is missing.
        missing: Bytes,
    },
    /// Nothing is left for the KV cache.
    NoCache {
        /// What is missing before the first block.
        missing: Bytes,
    },
    /// The KV cache holds no request of full length.
    Request {
        /// What one request needs.
        needed: Bytes,
        /// What is missing.
        missing: Bytes,
    },
}

/// Predicts the start of vLLM with this model on this GPU.
///
/// # Errors
/// An architecture, a quantization or a setting that is not known or that the engine refuses.
pub fn vllm(
    settings: &VllmSettings,
    config: &Map<String, Value>,
    gpu: &Gpu,
) -> Result<Serving, ServingError> {
    let model = Architecture::of(config, settings.dtype)?;
    let quantization = quantization(settings, config)?;
    let start = Start::of(settings, &model, gpu)?;
    let groups = groups::groups(&model, &start);
    let plan = Plan { groups: &groups, start: &start };
    let prediction = Prediction::of(settings, &model, &quantization, gpu, &plan);
    Ok(prediction.answer(settings, &model, &quantization, gpu))
}

/// The method of the config, unless the job asks for another.
fn quantization(settings: &VllmSettings, config: &Map<String, Value>) -> Result<Quantization, ServingError> {
    let inner = config.get("text_config").and_then(Value::as_object);
    let own = inner.and_then(|inner| inner.get("quantization_config"));
    let own = own.or_else(|| config.get("quantization_config")).and_then(Value::as_object);
    let found = Quantization::of(own, settings.quantization.as_deref())?;
    if let (Some(stored), Some(asked)) = (&found.method, &settings.quantization)
        && own.is_some()
        && !asked.starts_with(stored.as_str())
        && !(stored == "mxfp4" && asked == "gpt_oss_mxfp4")
    {
        let expected =
            format!("the checkpoint's quantization_config says {stored:?}; leave quantization out");
        return Err(ServingError::value("serve.quantization", format!("{asked:?}"), expected));
    }
    Ok(found)
}

/// The figures before they are an answer.
struct Prediction<'a> {
    plan: &'a Plan<'a>,
    budget: Bytes,
    weights: Bytes,
    kept: Kept,
    non_torch: Bytes,
    activation: Bytes,
    warm_activation: Bytes,
    graphs: Bytes,
    /// `kv_cache_memory_bytes`.
    given: Option<Bytes>,
    blocks_override: Option<u64>,
}

impl<'a> Prediction<'a> {
    fn of(
        settings: &VllmSettings,
        model: &Architecture,
        quantization: &Quantization,
        gpu: &Gpu,
        plan: &'a Plan<'a>,
    ) -> Prediction<'a> {
        let start = plan.start;
        // Hopper's kernels take MXFP4 as it is stored; others pad it.
        let pads_experts = gpu.compute_capability.0 != 9;
        let is_cold = !settings.warm_compile_cache;
        Prediction {
            plan,
            budget: share(gpu.total, start.utilization),
            weights: weights(model, quantization, start.ranks, pads_experts),
            kept: Kept::of(model, start, quantization.is_packed()),
            non_torch: non_torch(gpu, start),
            activation: profile::activation_peak(model, start, is_cold),
            warm_activation: profile::activation_peak(model, start, false),
            graphs: profile::graphs(model, start),
            given: settings.kv_cache_memory_bytes.map(Bytes::new),
            blocks_override: settings.num_gpu_blocks_override,
        }
    }

    /// What is not the KV cache's.
    fn taken(&self, activation: Bytes) -> Bytes {
        self.weights + self.kept.together() + self.non_torch + activation + self.graphs
    }

    /// The bytes for the KV cache.
    fn left(&self, activation: Bytes) -> Bytes {
        self.given.unwrap_or(self.budget.saturating_sub(self.taken(activation)))
    }

    fn kv_cache(&self, bytes: Bytes, length: u64) -> KvCache {
        let blocks = self.blocks_override.unwrap_or_else(|| self.plan.blocks_in(bytes.get()));
        let rows = |group: &&Group| !matches!(group.kind, GroupKind::State { .. });
        let groups = self.plan.groups;
        KvCache {
            bytes,
            blocks,
            tokens: self.plan.tokens_in(blocks, length),
            // A model of states alone keeps the engine's default, which no group then has.
            block_size: groups
                .iter()
                .find(rows)
                .map_or(self.plan.start.usual_block_size(), |group| group.block_size),
            bytes_per_block: Bytes::new(self.plan.bytes_per_block()),
            groups: groups.to_vec(),
        }
    }

    /// The bytes against which a request is checked.
    fn capacity(&self, bytes: Bytes) -> u64 {
        let of_blocks = |blocks| product([blocks, self.plan.bytes_per_block()]);
        self.blocks_override.map_or(bytes.get(), of_blocks)
    }

    fn shortage(&self, cache: &KvCache, length: u64, gpu: &Gpu) -> Option<Shortage> {
        let free = gpu.total.saturating_sub(gpu.context);
        let wanted = self.given.map_or(self.budget, |given| given + self.taken(self.activation));
        if wanted > free {
            return Some(Shortage::Budget { free, missing: wanted.saturating_sub(free) });
        }
        if cache.bytes == Bytes::ZERO {
            return Some(Shortage::NoCache {
                missing: self.taken(self.activation).saturating_sub(self.budget),
            });
        }
        let needed = Bytes::new(self.plan.needed(length));
        let missing = needed.saturating_sub(Bytes::new(self.capacity(cache.bytes)));
        (missing > Bytes::ZERO).then_some(Shortage::Request { needed, missing })
    }

    fn answer(
        self,
        settings: &VllmSettings,
        model: &Architecture,
        quantization: &Quantization,
        gpu: &Gpu,
    ) -> Serving {
        let start = self.plan.start;
        let left = self.left(self.activation);
        let longest = self.plan.longest_in(self.capacity(left), model.max_position_embeddings);
        let length = match settings.max_model_len {
            Length::Fitting => longest.unwrap_or(start.max_model_len),
            Length::Model | Length::Tokens(_) => start.max_model_len,
        };
        let cache = self.kv_cache(left, length);
        let shortage = self.shortage(&cache, length, gpu);
        let margin = self.margin();
        let warm = (!start.eager && self.given.is_none() && self.warm_activation < self.activation)
            .then(|| self.kv_cache(self.left(self.warm_activation), length));
        Serving {
            version: start.rules.version,
            model_type: model.model_type.clone(),
            quantization: quantization.method.clone(),
            budget: self.budget,
            weights: self.weights,
            kept: self.kept.together(),
            non_torch: self.non_torch,
            activation_peak: self.activation,
            graphs: self.graphs,
            max_concurrency: self.plan.requests_in(cache.blocks, length),
            max_model_len: length,
            max_num_seqs: start.max_num_seqs,
            max_num_batched_tokens: start.max_num_batched_tokens,
            utilization: start.utilization,
            ranks: start.ranks,
            longest,
            warm,
            verdict: self.verdict(shortage, &cache, length, margin, gpu),
            shortage,
            margin,
            assumed: start.assumed.clone(),
            basis: self.basis(gpu),
            notes: notes(settings, start),
            kv_cache: cache,
        }
    }

    fn verdict(
        &self,
        shortage: Option<Shortage>,
        cache: &KvCache,
        length: u64,
        margin: Bytes,
        gpu: &Gpu,
    ) -> ServedVerdict {
        let context = gpu.context_basis.margin.unwrap_or(Bytes::ZERO);
        match shortage {
            None => {
                let spare = Bytes::new(self.capacity(cache.bytes))
                    .saturating_sub(Bytes::new(self.plan.needed(length)));
                let is_given = self.given.is_some() || self.blocks_override.is_some();
                if spare >= margin || is_given { ServedVerdict::Fits } else { ServedVerdict::TooClose }
            }
            Some(Shortage::Budget { missing, .. }) if missing <= context => ServedVerdict::TooClose,
            Some(Shortage::Request { missing, .. }) if missing <= margin => ServedVerdict::TooClose,
            Some(_) => ServedVerdict::DoesNotFit,
        }
    }

    /// How far the KV cache can be off: what is measured of the rest, the whole estimate of graphs, and what libraries take on a
    /// real card (0.25 GiB beside the context, which no virtual GPU shows).
    fn margin(&self) -> Bytes {
        if self.given.is_some() {
            return Bytes::ZERO;
        }
        self.kept.margin + self.graphs + Bytes::mib(128)
    }

    fn basis(&self, gpu: &Gpu) -> Vec<(String, Basis)> {
        let version = self.plan.start.rules.version;
        let rule = |what: &str, source: &str| {
            let source = format!("{source}, vLLM {version}");
            (what.to_owned(), Basis { kind: BasisKind::Rule, source, margin: None })
        };
        let calibrated = |what: &str, source: &str, margin: Bytes| {
            let source = source.to_owned();
            (what.to_owned(), Basis { kind: BasisKind::Calibrated, source, margin: Some(margin) })
        };
        let mut all = vec![
            rule("weights", "model_executor/models/*.py, layers/linear.py and vocab_parallel_embedding.py"),
            rule("activation peak", "v1/worker/gpu/model_runner.py profile_run and sample/sampler.py"),
            rule("KV groups, blocks and tokens", "v1/core/kv_cache_planning.py and kv_cache_utils.py"),
            rule("budget", "v1/worker/utils.py request_memory, of the total that the driver reports"),
            calibrated(
                "what stays beside the weights",
                "nine starts of vLLM 0.33.0 on the virtual GPU",
                self.kept.margin,
            ),
        ];
        if self.graphs > Bytes::ZERO {
            let source = "two starts of vLLM 0.33.0 on the virtual GPU; the engine's own estimate is often twice what capture takes";
            all.push(calibrated("CUDA graphs", source, self.graphs));
        }
        if self.non_torch > Bytes::ZERO {
            let ranks = u32::try_from(self.plan.start.ranks).unwrap_or(u32::MAX);
            all.push(("NCCL and all-reduce".to_owned(), servers::nccl(gpu, ranks).basis));
        }
        all
    }
}

/// Memory beside torch's. The newer runner makes its first cuBLAS handle before it measures, so that the libraries' memory is not
/// among its figures (fixtures/serving/README.md).
fn non_torch(gpu: &Gpu, start: &Start) -> Bytes {
    let libraries = if start.rules.first_runner { servers::libraries(gpu).bytes } else { Bytes::ZERO };
    libraries + servers::nccl(gpu, u32::try_from(start.ranks).unwrap_or(u32::MAX)).bytes
}

/// What a reader must know beside the figures.
fn notes(settings: &VllmSettings, start: &Start) -> Vec<String> {
    let mut notes = Vec::new();
    if VllmRules::of(&settings.version).is_some_and(|(_, own)| !own) {
        notes.push(format!(
            "the rules of vLLM {} are not known; those of {} were taken",
            settings.version, start.rules.version
        ));
    }
    notes
}

/// The share of the GPU's total that the engine takes, rounded up (`request_memory`).
fn share(total: Bytes, utilization: f64) -> Bytes {
    // As Python computes it: a float of the total, then `math.ceil`.
    Bytes::new((total.get() as f64 * utilization).ceil() as u64)
}
