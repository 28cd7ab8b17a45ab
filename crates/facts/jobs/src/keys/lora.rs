//! `[train.lora]`: PEFT's `LoraConfig`.

use super::{Absent, Key, Kind, key};

const LORA: &[&str] = &["train.lora"];
const LEAVE_OUT: &str = "leave it out";

pub(super) const KEYS: &[Key] = &[
    key(LORA, "r", Kind::Count { least: 1, most: 1 << 20 }, "The adapters have this rank.")
        .assumed("8")
        .also(&["rank", "lora_r", "lora_rank"]),
    key(LORA, "lora_alpha", Kind::Number, "The adapters' scale does not change memory.").also(&["alpha"]),
    key(LORA, "lora_dropout", Kind::Probability, "The adapters' input is dropped with this probability.")
        .silently("0.0")
        .also(&["dropout"]),
    key(
        LORA,
        "target_modules",
        Kind::Other {
            expected: "\"all-linear\", a regular expression or a list of module names",
            types: &["string", "array"],
        },
        "Adapters are put on \"all-linear\", on the modules of this list, or on those whose whole path matches this text.",
    )
    .absent(Absent::Follows("every Linear but the output layer"))
    .also(&["targets"]),
    key(LORA, "autocast_adapter_dtype", Kind::Flag, "Adapters of a half-precision model are kept in fp32.")
        .silently("true"),
    key(LORA, "enable_input_require_grads", Kind::Flag, "The embedding's output requires a gradient.")
        .silently("false"),
    key(LORA, "bias", Kind::Text("a text such as \"none\""), "These biases are trained.")
        .silently("none")
        .only(&["none"], "\"none\" is simulated"),
    key(LORA, "task_type", Kind::Text("a text such as \"CAUSAL_LM\""), "PEFT wraps the model for this task."),
    key(LORA, "use_rslora", Kind::Flag, "The adapters' scale is rank-stabilized.").silently("false"),
    key(
        LORA,
        "use_dora",
        Kind::Flag,
        "Adapters are decomposed by weight, and the lengths of its rows are trained.",
    )
    .silently("false"),
    key(LORA, "exclude_modules", Kind::Other { expected: MODULES, types: &["string", "array"] }, "These modules get no adapters."),
    key(
        LORA,
        "layers_to_transform",
        Kind::Other { expected: "a whole number or a list of them", types: &["integer", "array"] },
        "Only the modules in these blocks get adapters.",
    ),
    key(
        LORA,
        "layers_pattern",
        Kind::Other { expected: "a text or a list of texts", types: &["string", "array"] },
        "The blocks are numbered behind this name.",
    ),
    key(LORA, "rank_pattern", Kind::Other { expected: RANKS, types: &["object"] }, "These modules get another rank."),
    key(
        LORA,
        "alpha_pattern",
        Kind::Other { expected: "a table from patterns of module names to numbers", types: &["object"] },
        "These modules get another scale, which does not change memory.",
    ),
    // These arguments make other adapters than the plain ones.
    other("modules_to_save", "These modules are trained whole."),
    other("layer_replication", "These blocks are repeated."),
];

const MODULES: &str = "a regular expression or a list of module names";
const RANKS: &str = "a table from patterns of module names to ranks";

const fn other(name: &'static str, help: &'static str) -> Key {
    let types = &["boolean", "integer", "string", "array", "object"];
    key(LORA, name, Kind::Other { expected: "an argument of PEFT", types }, help).only(&["false"], LEAVE_OUT)
}
