//! What blocks are said to be for, where their maker decides it.

use brimful_jobs::{Format, Overrides, load};
use brimful_models::NoFiles;
use brimful_step::simulate;
use brimful_trace::{Category, Trace};

const FAMILIES: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gpt2"];
const VOCABULARY: u64 = 96;

/// Two steps of a small model whose MLP is `intermediate` wide.
fn trained(family: &str, intermediate: u64, checkpointing: &str) -> Trace {
    let sizes = match family {
        "gpt2" => format!(
            r#""n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "n_inner": {intermediate}"#
        ),
        _ => format!(
            r#""hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "head_dim": 16, "max_position_embeddings": 64, "intermediate_size": {intermediate}"#
        ),
    };
    let job = format!(
        r#"{{"model": {{"model_type": "{family}", "vocab_size": {VOCABULARY}, {sizes}}},
        "train": {{"batch": 2, "sequence": 24, "steps": 2, "optimizer": "SGD", "checkpointing": "{checkpointing}"}}}}"#
    );
    let loaded = load(family, &job, Format::Json, &NoFiles, &Overrides::default());
    simulate(&loaded.unwrap().job).unwrap()
}

/// The module, op and node of every block of logits.
fn logits(trace: &Trace) -> Vec<String> {
    let ids = trace.allocations.ids().filter(|id| trace.allocations.category(*id) == Category::Logits);
    let name = |id| trace.contexts.str(id);
    ids.map(|id| {
        let context = trace.contexts.get(trace.allocations.get(id).context);
        format!("{}/{}/{}", name(context.module), name(context.op), name(context.node))
    })
    .collect()
}

#[test]
fn the_head_and_the_loss_of_every_family_make_logits() {
    for family in FAMILIES {
        let found = logits(&trained(family, 80, "none"));
        let made = |what: &str| found.iter().any(|made| made == what);
        assert!(made("lm_head/mm/"), "{family}: {found:?}");
        assert!(made("/_log_softmax/"), "{family}: {found:?}");
        assert!(made("/nll_loss_backward/NllLossBackward0"), "{family}: {found:?}");
    }
}

#[test]
fn an_mlp_as_wide_as_the_vocabulary_makes_no_logits() {
    for family in FAMILIES {
        for checkpointing in ["none", "reentrant", "non-reentrant"] {
            let narrow = logits(&trained(family, 80, checkpointing));
            let wide = logits(&trained(family, VOCABULARY, checkpointing));
            assert_eq!(wide, narrow, "{family}, checkpointing {checkpointing}");
        }
    }
}
