//! The catalogue's models load, have the published number of parameters, and are found as people write them.

use brimful_models::{Config, Fault, NoFiles, Source, catalogue};

#[test]
fn parameter_counts_are_the_published_ones() {
    for name in catalogue::simulated() {
        let model = catalogue::model(name).unwrap_or_else(|error| panic!("{error}"));
        let Some(published) = catalogue::published_parameters(name) else {
            // The families that are written by hand have a published count each.
            assert!(matches!(model.file.config, Config::Recorded(_)), "{name} has no `params`");
            continue;
        };
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
        match catalogue::model(name) {
            Ok(model) => assert!(matches!(model.file.config, Config::Recorded(_)), "{name}"),
            // A class that was recorded refuses a config that the recording does not cover.
            Err(error) => assert!(
                matches!(error.fault, Fault::NotSimulated { .. } | Fault::Value { .. }),
                "{name}: {error}"
            ),
        }
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

/// The hub id that a name is read as, or the fault.
fn read_as(asked: &str) -> Result<String, Fault> {
    let model = catalogue::model(asked).map_err(|error| error.fault)?;
    match model.source {
        Source::Catalogue { hub_id, .. } => Ok(hub_id),
        source => panic!("{asked}: {source:?}"),
    }
}

#[test]
fn pages_copies_and_short_names_are_the_model_that_they_name() {
    for (asked, hub_id) in [
        ("https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "Qwen/Qwen3-8B"),
        ("META-LLAMA/llama-3.1-8b", "meta-llama/Llama-3.1-8B"),
        ("NousResearch/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"),
        ("NousResearch/Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf"),
        ("llama3-8b", "meta-llama/Meta-Llama-3-8B"),
        ("Llama3.1:8b", "meta-llama/Llama-3.1-8B"),
        ("mistral 7b", "mistralai/Mistral-7B-v0.3"),
        ("mistral-7b-instruct", "mistralai/Mistral-7B-v0.3"),
        ("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("qwen3 8b", "Qwen/Qwen3-8B"),
        ("gpt2", "openai-community/gpt2"),
    ] {
        assert_eq!(read_as(asked).as_deref(), Ok(hub_id), "{asked}");
    }
}

#[test]
fn a_copy_or_another_training_is_said_and_another_spelling_is_not() {
    let note = |asked: &str| catalogue::model(asked).unwrap().note;
    for asked in ["NousResearch/Meta-Llama-3.1-8B-Instruct", "mistral-7b-instruct"] {
        assert!(note(asked).is_some_and(|note| note.starts_with(&format!("{asked} is read as "))), "{asked}");
    }
    for asked in ["llama3-8b", "https://huggingface.co/meta-llama/Llama-3.1-8B", "mistral 7b", "GPT2"] {
        assert_eq!(note(asked), None, "{asked}");
    }
}

#[test]
fn a_quantized_copy_is_refused_with_the_model_it_is_made_of() {
    for (asked, weights, base) in [
        ("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "bitsandbytes", "meta-llama/Llama-3.1-8B"),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-unsloth-bnb-4bit", "bitsandbytes", "meta-llama/Llama-3.1-8B"),
        ("TheBloke/Llama-2-7B-AWQ", "AWQ", "meta-llama/Llama-2-7b-hf"),
        ("TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "GGUF", "mistralai/Mistral-7B-Instruct-v0.2"),
        ("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", "AWQ", "meta-llama/Llama-3.1-8B"),
        ("mlx-community/Qwen3-8B-4bit", "4-bit", "Qwen/Qwen3-8B"),
        ("llama3:8b-instruct-q4_K_M", "GGUF", "meta-llama/Meta-Llama-3-8B"),
    ] {
        let expected = Fault::Quantized { weights, base: base.to_owned() };
        assert_eq!(read_as(asked), Err(expected), "{asked}");
        assert!(read_as(base).is_ok(), "{base}");
    }
}

#[test]
fn a_hint_never_leads_to_what_is_refused_next() {
    for asked in [
        "gemma-3-12b-it",
        "google/gemma-3-12b-it",
        "nemotron-h",
        "facebook/wav2vec2-large-960h",
        "bert-large",
        "bert-base-uncased",
        "phi-3.5",
        "mixtral-8x7b",
        "llama-3-9b",
        "llama3",
        "qwen9-8b",
        "lama-3-8b",
        "NousResearch/Hermes-3-Llama-3.1-8B",
        "my/own-thing",
    ] {
        match read_as(asked) {
            Err(Fault::Missing { nearest: Some(name) }) => {
                assert!(read_as(&name).is_ok(), "{asked} → {name}")
            }
            Err(Fault::SeveralModels { known }) => {
                assert!(
                    !known.is_empty() && known.iter().all(|name| read_as(name).is_ok()),
                    "{asked} → {known:?}"
                );
            }
            Err(Fault::Missing { nearest: None } | Fault::NotSimulated { .. }) => {}
            other => panic!("{asked} → {other:?}"),
        }
    }
    for asked in ["gemma-3-4b-it", "nemotron-h"] {
        assert!(matches!(read_as(asked), Err(Fault::NotSimulated { .. })), "{asked}: {:?}", read_as(asked));
    }
    let Err(Fault::SeveralModels { known }) = read_as("bert-large") else {
        panic!("{:?}", read_as("bert-large"))
    };
    assert_eq!(known, ["bert-large-uncased"]);
    let Err(Fault::SeveralModels { known }) = read_as("llama3") else { panic!("{:?}", read_as("llama3")) };
    assert_eq!(known, ["meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-70B"]);
    let Err(Fault::Missing { nearest }) = read_as("NousResearch/Hermes-3-Llama-3.1-8B") else {
        panic!("resolved")
    };
    assert_eq!(nearest.as_deref(), Some("meta-llama/Llama-3.1-8B"));
}

#[test]
fn a_path_that_is_not_there_is_no_copy_of_a_model() {
    for path in ["models/llama-3-8b", "./llama-3-8b", "/data/llama-3-8b"] {
        assert_eq!(read_as(path), Err(Fault::Missing { nearest: None }), "{path}");
    }
}

#[test]
fn the_list_is_filtered_by_words() {
    let all = catalogue::entries("");
    assert_eq!(all.len(), catalogue::names().count());
    assert_eq!(all.iter().filter(|entry| entry.simulated).count(), catalogue::simulated().count());
    let found =
        |filter: &str| catalogue::entries(filter).into_iter().map(|entry| entry.names[0]).collect::<Vec<_>>();
    assert_eq!(found("llama3 8b"), ["meta-llama/Meta-Llama-3-8B"]);
    assert!(found("gemma").len() >= 5 && found("no-such-model").is_empty());
}
