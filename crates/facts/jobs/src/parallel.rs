//! `[parallel]`.

use brimful_units::Dtype;
use serde_json::Value;

use crate::section::Section;
use crate::words::Words;
use crate::{JobFault, Optimizer, OptimizerKind, Parallel, Shard, TrainingLoop, Workload};

/// The ways of sharding that are simulated, as the job file names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardKind {
    None,
    Ddp,
    Fsdp2,
}

/// The keys that only one way of sharding has.
const OF_DDP: [&str; 3] = ["bucket_cap_mb", "gradient_as_bucket_view", "static_graph"];
const OF_FSDP2: [&str; 4] = ["reshard_after_forward", "param_dtype", "reduce_dtype", "cpu_offload"];

/// How the run is spread over GPUs; `None` for one GPU. The caller has checked each value by itself.
pub(crate) fn parallel(section: &Section, workload: &Workload) -> Result<Option<Parallel>, JobFault> {
    let data = section.count("data")?;
    let kind = match (section.given_word::<ShardKind>("shard"), data) {
        (Some(kind), _) => kind,
        (None, 1) => ShardKind::None,
        (None, _) => {
            section.assume("shard", "ddp", "every GPU has the whole model where nothing says otherwise");
            ShardKind::Ddp
        }
    };
    check_node(section, data)?;
    if kind == ShardKind::None && data > 1 {
        return Err(section.bad("shard", "\"none\"", "data is more than 1: expected \"ddp\" or \"fsdp2\""));
    }
    for (name, owner) in OF_DDP
        .map(|name| (name, ShardKind::Ddp))
        .into_iter()
        .chain(OF_FSDP2.map(|name| (name, ShardKind::Fsdp2)))
    {
        if let Some(value) = section.get(name).filter(|value| kind != owner && **value != Value::Bool(false))
        {
            let owner = owner.word();
            return Err(section.bad(name, value, format!("only shard = {owner:?} has this key")));
        }
    }
    if kind == ShardKind::None {
        return Ok(None);
    }
    if data < 2 {
        return Err(section.bad("data", data, "shard needs at least 2 GPUs to spread a run over"));
    }
    let Workload::Train(run) = workload else {
        return Err(section.bad(
            "shard",
            format!("{:?}", kind.word()),
            "a run without gradients is simulated on one GPU",
        ));
    };
    if kind == ShardKind::Fsdp2
        && let Some(why) = run.optimizer.as_ref().and_then(refuses_parts)
    {
        return Err(section.bad("shard", "\"fsdp2\"", format!("train.optimizer does not go with it: {why}")));
    }
    if run.recipe == TrainingLoop::Trainer {
        return Err(section.bad("shard", format!("{:?}", kind.word()), NOT_WITH_TRAINER));
    }
    if kind == ShardKind::Fsdp2 && run.quantization.is_some() {
        return Err(section.bad("shard", "\"fsdp2\"", NOT_WITH_QUANTIZATION));
    }
    let sync_each_batch = section.flag("sync_each_batch");
    let shard = match kind {
        ShardKind::Fsdp2 => Shard::Fsdp2 {
            reshard_after_forward: section.flag("reshard_after_forward"),
            param_dtype: dtype(section, "param_dtype"),
            reduce_dtype: dtype(section, "reduce_dtype"),
        },
        ShardKind::Ddp | ShardKind::None => Shard::Ddp {
            bucket_cap_bytes: bucket_cap(section)?,
            gradient_as_bucket_view: section.flag("gradient_as_bucket_view"),
        },
    };
    Ok(Some(Parallel { data, sync_each_batch, shard }))
}

const NOT_WITH_TRAINER: &str = "train.recipe = \"trainer\" is simulated on one GPU; leave the recipe out, or rehearse your own script: \
     brimful rehearse --gpus 2 -- torchrun --nproc-per-node 2 train.py";
const NOT_WITH_QUANTIZATION: &str = "train.quantization is not simulated with it: weights that are stored as bytes are not sharded at all \
     unless bnb_4bit_quant_storage is a float; rehearse your own script: brimful rehearse --gpus 2 -- torchrun \
     --nproc-per-node 2 train.py";

/// Why an optimizer does not run over parts of parameters (`DTensor`); seen with torch 2.15, transformers 5.23 and bitsandbytes
/// 0.50.2.
fn refuses_parts(optimizer: &Optimizer) -> Option<&'static str> {
    match optimizer.kind {
        OptimizerKind::Sgd { .. } if optimizer.fused == Some(true) => {
            Some("aten._fused_sgd_ does not have a sharding strategy registered")
        }
        OptimizerKind::BitsAndBytes(_) => {
            Some("bitsandbytes.optimizer_update_8bit_blockwise got mixed torch.Tensor and DTensor")
        }
        OptimizerKind::TorchAo(_) => Some("what torchao compiles for parts of parameters was not recorded"),
        OptimizerKind::TransformersAdafactor { .. } => Some("aten.add_ got mixed torch.Tensor and DTensor"),
        OptimizerKind::Adafactor => {
            Some("aten.pow_: in-place operations that require placement changes are not supported")
        }
        _ => None,
    }
}

impl Parallel {
    /// Which GPU the answer is for, and what it does not count.
    pub(crate) fn notes(&self) -> [String; 2] {
        let data = self.data;
        let whose = match self.shard {
            Shard::Ddp { .. } => {
                format!("the answer is for rank 0 of {data}; with DDP every rank holds the same")
            }
            Shard::Fsdp2 { .. } => format!(
                "the answer is for rank 0 of {data}, the fullest: parameters are split by rows, and rank 0 has a whole part of \
                 each"
            ),
        };
        let nccl = "NCCL's own buffers are not counted, since their size depends on the machine: often 0.3 to 1 GiB on each GPU";
        [whose, nccl.to_owned()]
    }
}

/// One of the row's words.
fn dtype(section: &Section, name: &str) -> Option<Dtype> {
    section.given_text(name).map(|word| match word {
        "bf16" => Dtype::Bf16,
        "fp16" => Dtype::F16,
        _ => Dtype::F32,
    })
}

/// Whole nodes, or a part of one.
fn check_node(section: &Section, data: u64) -> Result<(), JobFault> {
    match section.given_count("gpus_per_node") {
        Some(node) if data > node && !data.is_multiple_of(node) => {
            let expected = format!("data = {data} is no multiple of it: a job has whole nodes");
            Err(section.bad("gpus_per_node", node, expected))
        }
        _ => Ok(()),
    }
}

/// `int(bucket_cap_mb * 1024 * 1024)` (torch/nn/parallel/distributed.py).
fn bucket_cap(section: &Section) -> Result<Option<u64>, JobFault> {
    const MIB: f64 = 1024.0 * 1024.0;
    let Some(mib) = section.given_number("bucket_cap_mb") else { return Ok(None) };
    // A bucket of an exbibyte holds every model.
    if mib <= 0.0 || mib > MIB * MIB {
        return Err(section.bad("bucket_cap_mb", mib, "expected a positive number of MiB"));
    }
    Ok(Some((mib * MIB) as u64))
}
