//! `[parallel]`: how a run is spread over GPUs.

use super::elsewhere::SEVERAL_GPUS;
use super::{Key, Kind, MOST, key};

const PARALLEL: &[&str] = &["parallel"];
const SHARDS: &[&str] = &["none", "ddp", "fsdp1", "fsdp2", "zero1", "zero2", "zero3"];
const COUNT: Kind = Kind::Count { least: 1, most: MOST };

pub(super) const KEYS: &[Key] = &[
    axis("data", "The batch is split over this many GPUs."),
    row("shard", Kind::Words(SHARDS), "States are sharded over the data-parallel GPUs in this way."),
    axis("tensor", "Each matrix is split over this many GPUs."),
    axis("sequence", "Norms and dropouts split the sequence over this many GPUs."),
    axis("context", "Attention splits the sequence over this many GPUs."),
    axis("expert", "Experts are split over this many GPUs."),
    axis("pipeline", "Blocks are split into this many stages."),
    axis("gpus_per_node", "A node has this many GPUs."),
    row("reshard_after_forward", Kind::Flag, "FSDP2 frees gathered parameters after the forward."),
    row("param_dtype", Kind::Text("a dtype"), "FSDP2 computes in this dtype."),
    row("reduce_dtype", Kind::Text("a dtype"), "FSDP2 reduces gradients in this dtype."),
    row("cpu_offload", Kind::Flag, "FSDP2 keeps shards in host memory."),
    row("bucket_cap_mb", Kind::Number, "DDP's buckets hold this many MiB."),
    row(
        "layer_split",
        Kind::Other { expected: "a list of numbers", types: &["array", "string"] },
        "Blocks are split over GPUs in these proportions (llama.cpp, device_map).",
    ),
];

const fn axis(name: &'static str, help: &'static str) -> Key {
    row(name, COUNT, help)
}

const fn row(name: &'static str, kind: Kind, help: &'static str) -> Key {
    key(PARALLEL, name, kind, help).only(&["1", "none", "false"], SEVERAL_GPUS)
}
