//! `[parallel]`: how a run is spread over GPUs.

use super::elsewhere::{OTHER_SHARDS, SEVERAL_GPUS};
use super::{Key, Kind, MOST, key};

const PARALLEL: &[&str] = &["parallel"];
const SHARDS: &[&str] = &["none", "ddp", "fsdp1", "fsdp2", "zero1", "zero2", "zero3"];
const DTYPES: Kind = Kind::Words(&["fp32", "bf16", "fp16"]);
const COUNT: Kind = Kind::Count { least: 1, most: MOST };

pub(super) const KEYS: &[Key] = &[
    row("data", COUNT, "The batch is split over this many GPUs.").silently("1"),
    row("shard", Kind::Words(SHARDS), "States are sharded over the data-parallel GPUs in this way.")
        .only(&["none", "ddp", "fsdp2"], OTHER_SHARDS)
        .absent(super::Absent::Follows("ddp where data is more than 1")),
    axis("tensor", "Each matrix is split over this many GPUs."),
    axis("sequence", "Norms and dropouts split the sequence over this many GPUs."),
    axis("context", "Attention splits the sequence over this many GPUs."),
    axis("expert", "Experts are split over this many GPUs."),
    axis("pipeline", "Blocks are split into this many stages."),
    row("gpus_per_node", COUNT, "A node has this many GPUs."),
    row(
        "sync_each_batch",
        Kind::Flag,
        "Gradients go to the other GPUs after every micro step, not only after the last of a step.",
    )
    .assumed("false"),
    row("reshard_after_forward", Kind::Flag, "FSDP2 frees gathered parameters after the forward.")
        .silently("true"),
    row("param_dtype", DTYPES, "FSDP2 computes in this dtype; without it in that of the weights."),
    row("reduce_dtype", DTYPES, "FSDP2 reduces gradients in this dtype; without it in that of the weights."),
    row("cpu_offload", Kind::Flag, "FSDP2 keeps shards in host memory.").only(&["false"], SEVERAL_GPUS),
    row(
        "bucket_cap_mb",
        Kind::NonNegative,
        "DDP's buckets hold this many MiB; without it 25, and the first one 1.",
    ),
    row("gradient_as_bucket_view", Kind::Flag, "DDP's gradients are views into its buckets.")
        .silently("false"),
    row("static_graph", Kind::Flag, "Every step uses the same parameters, and DDP may rely on it.")
        .only(&["false"], SEVERAL_GPUS),
    row(
        "layer_split",
        Kind::Other { expected: "a list of numbers", types: &["array", "string"] },
        "Blocks are split over GPUs in these proportions (llama.cpp, device_map).",
    )
    .only(&["1", "none", "false"], SEVERAL_GPUS),
];

const fn axis(name: &'static str, help: &'static str) -> Key {
    row(name, COUNT, help).only(&["1", "none", "false"], SEVERAL_GPUS)
}

const fn row(name: &'static str, kind: Kind, help: &'static str) -> Key {
    key(PARALLEL, name, kind, help)
}
