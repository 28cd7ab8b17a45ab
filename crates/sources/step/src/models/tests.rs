//! The models that are built against what `brimful-models` declares.

use brimful_jobs::{Lora, LoraTargets, Precision};
use brimful_models::{Config, ConfigFile};
use brimful_units::Shape;

use super::*;

/// Small configs of every family, with each switch that adds or removes a parameter.
const CONFIGS: [&str; 13] = [
    r#"{"model_type": "llama"}"#,
    r#"{"model_type": "llama", "attention_bias": true, "mlp_bias": true}"#,
    r#"{"model_type": "llama", "tie_word_embeddings": true, "num_key_value_heads": 1}"#,
    r#"{"model_type": "mistral", "num_key_value_heads": 2, "head_dim": 6}"#,
    r#"{"model_type": "mistral", "num_key_value_heads": 4, "tie_word_embeddings": true}"#,
    r#"{"model_type": "qwen2", "num_key_value_heads": 2}"#,
    r#"{"model_type": "qwen2", "num_key_value_heads": 2, "tie_word_embeddings": true}"#,
    r#"{"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 10}"#,
    r#"{"model_type": "qwen3", "num_key_value_heads": 2, "attention_bias": true, "tie_word_embeddings": true}"#,
    r#"{"model_type": "gemma2", "num_key_value_heads": 2, "head_dim": 10}"#,
    r#"{"model_type": "gemma2", "attention_bias": true, "tie_word_embeddings": false}"#,
    r#"{"model_type": "gpt2", "n_embd": 16, "n_head": 2, "n_layer": 3, "vocab_size": 50, "n_positions": 8}"#,
    r#"{"model_type": "gpt2", "n_embd": 16, "n_head": 2, "n_layer": 2, "n_inner": 24, "tie_word_embeddings": false}"#,
];

fn config(text: &str) -> Config {
    let mut keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    if keys["model_type"] != "gpt2" {
        for (key, size) in [
            ("hidden_size", 16),
            ("intermediate_size", 24),
            ("num_hidden_layers", 2),
            ("num_attention_heads", 4),
            ("vocab_size", 50),
        ] {
            keys.insert(key.to_owned(), size.into());
        }
    }
    ConfigFile::from_json(&serde_json::to_string(&keys).unwrap()).unwrap().config
}

fn built(config: &Config, techniques: Techniques) -> Model {
    build(&Device::for_tests(), config, Precision::Bf16, techniques)
}

fn named(model: &Model) -> Vec<(String, Shape)> {
    let named = |parameter: &Rc<Parameter>| (parameter.path().to_owned(), parameter.tensor().shape().clone());
    model.parameters.iter().map(named).collect()
}

#[test]
fn every_family_builds_the_declared_parameters_in_the_declared_order() {
    for text in CONFIGS {
        let config = config(text);
        assert_eq!(named(&built(&config, Techniques::NONE)), config.parameter_tensors(), "{text}");
    }
}

#[test]
fn a_model_is_trained_whole_and_with_lora_its_adapters_alone() {
    let lora = Lora {
        r: 3,
        lora_dropout: 0.0,
        target_modules: LoraTargets::AllLinear,
        modules: Box::default(),
        autocast_adapter_dtype: true,
        use_dora: false,
        enable_input_require_grads: false,
    };
    for text in CONFIGS {
        let config = config(text);
        let whole = built(&config, Techniques::NONE);
        assert_eq!(whole.trained().len(), whole.parameters.len(), "{text}");
        let techniques = Techniques { lora: Some(lora.clone()), ..Techniques::NONE };
        let adapted = built(&config, techniques);
        let (base, adapters) = adapted.parameters.split_at(whole.parameters.len());
        assert!(!base.iter().any(|parameter| parameter.requires_grad()), "{text}");
        assert!(adapters.iter().all(|parameter| parameter.requires_grad()), "{text}");
        assert!(adapters.len() >= 2 * 4 * config.layers() as usize, "{text}");
    }
}

#[test]
fn parameters_of_a_module_come_before_those_of_its_children() {
    let device = Device::for_tests();
    let parameter = |path: &&str| {
        let tensor = crate::tensor::Tensor::empty(&device, [2], brimful_units::Dtype::F32);
        Parameter::new((*path).to_owned(), tensor)
    };
    let built =
        ["embed.weight", "head.dense.weight", "head.dense.bias", "head.bias", "head.norm.weight", "scale"];
    let ordered = in_order_of_modules(built.iter().map(parameter).collect());
    let paths: Vec<&str> = ordered.iter().map(|parameter| parameter.path()).collect();
    let expected =
        ["scale", "embed.weight", "head.bias", "head.dense.weight", "head.dense.bias", "head.norm.weight"];
    assert_eq!(paths, expected);
}
