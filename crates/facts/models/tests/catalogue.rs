//! The catalogue's models load, have the published number of parameters, and are found as people write them.

use brimful_models::{Fault, NoFiles, Source, catalogue};

#[test]
fn parameter_counts_are_the_published_ones() {
    for name in catalogue::simulated() {
        let published =
            catalogue::published_parameters(name).unwrap_or_else(|| panic!("{name} has no `params`"));
        let model = catalogue::model(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(model.file.config.parameter_count(), published, "{name}");
        let listed: u64 =
            model.file.config.parameter_tensors().iter().map(|(_, shape)| shape.numel().unwrap()).sum();
        assert_eq!(listed, published, "{name}");
        assert!(matches!(model.source, Source::Catalogue { sources, .. } if !sources.is_empty()), "{name}");
    }
}

#[test]
fn other_architectures_are_known_but_not_simulated() {
    let others: Vec<&str> =
        catalogue::names().filter(|name| catalogue::published_parameters(name).is_none()).collect();
    assert!(!others.is_empty());
    for name in others {
        let fault = catalogue::model(name).unwrap_err().fault;
        assert!(matches!(fault, Fault::NotSimulated { .. }), "{name}: {fault}");
    }
}

#[test]
fn names_as_people_write_them() {
    for (asked, hub_id) in [
        ("llama-3-8b", "meta-llama/Meta-Llama-3-8B"),
        ("meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-8B"),
        ("LLAMA-2-7B", "meta-llama/Llama-2-7b-hf"),
        ("llama_3.1_8b", "meta-llama/Llama-3.1-8B"),
        ("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B"),
        ("gemma-2-9b-it", "google/gemma-2-9b"),
        ("gpt2", "openai-community/gpt2"),
        ("tinyllama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
    ] {
        let model = brimful_models::Model::open(asked, &NoFiles).unwrap();
        assert!(
            matches!(&model.source, Source::Catalogue { hub_id: found, .. } if found == hub_id),
            "{asked}"
        );
    }
}

#[test]
fn a_misspelt_name_gets_the_nearest() {
    for (asked, meant) in
        [("lama-3-8b", "Llama-3-8B"), ("Qwen/Qwen3-8b-Bse", "Qwen3-8B-Base"), ("gpt2-xll", "gpt2-xl")]
    {
        let error = catalogue::model(asked).unwrap_err().to_string();
        assert!(error.to_lowercase().contains(&meant.to_lowercase()), "{error}");
    }
    let error = catalogue::model("my/own-thing").unwrap_err().to_string();
    assert!(error.contains("no such file or folder") && !error.contains("did you mean"), "{error}");
}

#[test]
fn the_simulated_models_are_those_that_can_be_looked_up() {
    use brimful_models::catalogue::{model, names, simulated};
    assert!(simulated().eq(names().filter(|name| model(name).is_ok())));
}
