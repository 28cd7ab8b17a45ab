//! Defaults and refusals of the config classes, against the numbers transformers 5.23 gives.

use brimful_models::{Activation, Config, ConfigFile, DecoderConfig, Fault, Gpt2Config, RopeType};
use brimful_units::Dtype;

fn decoder(text: &str) -> DecoderConfig {
    match ConfigFile::from_json(text).unwrap_or_else(|fault| panic!("{text}: {fault}")).config {
        Config::Decoder(decoder) => decoder,
        Config::Gpt2(_) | Config::Recorded(_) => panic!("{text} is no decoder"),
    }
}

fn gpt2(text: &str) -> Gpt2Config {
    match ConfigFile::from_json(text).unwrap().config {
        Config::Gpt2(gpt2) => gpt2,
        Config::Decoder(_) | Config::Recorded(_) => panic!("{text} is no GPT-2"),
    }
}

fn refusal(text: &str) -> String {
    ConfigFile::from_json(text).unwrap_err().to_string()
}

#[test]
fn absent_keys_take_the_default_of_the_class() {
    let llama = decoder(r#"{"model_type": "llama"}"#);
    assert_eq!((llama.vocab_size, llama.intermediate_size, llama.num_key_value_heads), (32000, 11008, 32));
    assert_eq!(
        (llama.head_dim, llama.max_position_embeddings, llama.tie_word_embeddings),
        (128, 2048, false)
    );
    let mistral = decoder(r#"{"model_type": "mistral"}"#);
    assert_eq!((mistral.num_key_value_heads, mistral.intermediate_size), (8, 14336));
    assert_eq!(mistral.sliding_windows, vec![Some(4096); 32]);
    let qwen2 = decoder(r#"{"model_type": "qwen2", "num_attention_heads": 64}"#);
    assert_eq!((qwen2.num_key_value_heads, qwen2.head_dim, qwen2.vocab_size), (32, 64, 151_936));
    assert!(qwen2.qkv_bias && !qwen2.o_bias && qwen2.sliding_windows.iter().all(Option::is_none));
    let qwen3 = decoder(
        r#"{"model_type": "qwen3", "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8}"#,
    );
    assert_eq!((qwen3.head_dim, qwen3.qkv_bias), (128, false));
    let gpt2 = gpt2(r#"{"model_type": "gpt2", "n_ctx": 2048}"#);
    assert_eq!(
        (gpt2.n_inner, gpt2.n_positions, gpt2.tie_word_embeddings, gpt2.attn_pdrop),
        (3072, 1024, true, 0.1)
    );
}

#[test]
fn gemma2_reads_the_keys_of_its_own_class() {
    let gemma2 =
        |keys: &str| decoder(&format!(r#"{{"model_type": "gemma2", "num_hidden_layers": 3 {keys}}}"#));
    let refused =
        |keys: &str| refusal(&format!(r#"{{"model_type": "gemma2", "num_hidden_layers": 3 {keys}}}"#));
    // `hidden_act` of the published files is not its activation.
    let plain = gemma2(r#", "hidden_act": "relu""#);
    assert_eq!((plain.hidden_act, plain.head_dim, plain.num_key_value_heads), (Activation::GeluTanh, 256, 4));
    assert_eq!(gemma2(r#", "hidden_activation": "relu""#).hidden_act, Activation::Relu);
    assert!(plain.tie_word_embeddings && plain.attn_logit_softcapping && plain.final_logit_softcapping);
    assert_eq!(plain.sliding_windows, [Some(4096), None, Some(4096)]);
    let full = gemma2(r#", "layer_types": ["full_attention", "full_attention", "attention"]"#);
    assert_eq!((full.sliding_windows, full.mask_window), (vec![None; 3], Some(4096)));
    let uncapped = gemma2(r#", "attn_logit_softcapping": null, "final_logit_softcapping": null"#);
    assert!(!uncapped.attn_logit_softcapping && !uncapped.final_logit_softcapping);
    for (keys, expected) in [
        (r#", "sliding_window": null"#, "sliding_window"),
        (r#", "attn_logit_softcapping": 50"#, "a float, such as 50.0, or null"),
        (r#", "final_logit_softcapping": true"#, "a float, such as 50.0, or null"),
        (r#", "hidden_size": 2305"#, "multiple of `num_attention_heads`"),
        (r#", "head_dim": null"#, "head_dim"),
    ] {
        assert!(refused(keys).contains(expected), "{keys}: {}", refused(keys));
    }
}

#[test]
fn null_means_what_the_class_makes_of_it() {
    let qwen2 = decoder(r#"{"model_type": "qwen2", "num_attention_heads": 16, "num_key_value_heads": null}"#);
    assert_eq!(qwen2.num_key_value_heads, 16);
    assert_eq!(
        decoder(r#"{"model_type": "mistral", "sliding_window": null, "head_dim": null}"#).sliding_windows[0],
        None
    );
    assert!(refusal(r#"{"model_type": "mistral", "num_key_value_heads": null}"#).contains("is null"));
    assert!(refusal(r#"{"model_type": "qwen3", "head_dim": null}"#).contains("`head_dim` is null"));
}

#[test]
fn windows_follow_layers_and_flags() {
    let text = r#"{"model_type": "qwen2", "num_hidden_layers": 4, "use_sliding_window": true, "sliding_window": 256, "max_window_layers": 3}"#;
    assert_eq!(decoder(text).sliding_windows, [None, None, None, Some(256)]);
    let text = r#"{"model_type": "qwen3", "num_hidden_layers": 2, "use_sliding_window": true,
        "layer_types": ["sliding_attention", "attention"]}"#;
    assert_eq!(decoder(text).sliding_windows, [Some(4096), None]);
    assert!(
        refusal(r#"{"model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]}"#)
            .contains("use_sliding_window")
    );
    assert!(
        refusal(r#"{"model_type": "qwen3", "num_hidden_layers": 2, "layer_types": ["full_attention"]}"#)
            .contains("list of 1")
    );
}

#[test]
fn gpt2_understands_the_names_of_other_families() {
    let gpt2 = gpt2(
        r#"{"architectures": ["GPT2LMHeadModel"], "n_embd": 768, "hidden_size": 1024, "num_attention_heads": 16}"#,
    );
    assert_eq!((gpt2.n_embd, gpt2.n_head, gpt2.n_inner), (1024, 16, 4096));
}

#[test]
fn rotary_parameters_in_both_spellings() {
    let old = r#"{"model_type": "llama", "rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 2.0}}"#;
    assert_eq!(decoder(old).rope_type, RopeType::Linear);
    let new = r#"{"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}"#;
    assert_eq!(decoder(new).rope_type, RopeType::Llama3);
    assert_eq!(
        decoder(r#"{"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4}}"#).rope_type,
        RopeType::Yarn
    );
    assert!(
        refusal(r#"{"model_type": "llama", "rope_scaling": {"rope_type": "linear"}}"#)
            .contains("needs the key `factor`")
    );
    assert!(
        refusal(r#"{"model_type": "llama", "rope_scaling": {"rope_type": "lineer", "factor": 2}}"#)
            .contains("lineer")
    );
}

#[test]
fn the_dtype_is_a_hint() {
    let dtype = |text| ConfigFile::from_json(text).unwrap().dtype;
    assert_eq!(dtype(r#"{"model_type": "llama", "torch_dtype": "bfloat16"}"#), Some(Dtype::Bf16));
    assert_eq!(
        dtype(r#"{"model_type": "llama", "dtype": "float16", "torch_dtype": "float32"}"#),
        Some(Dtype::F16)
    );
    assert_eq!(dtype(r#"{"model_type": "llama"}"#), None);
}

#[test]
fn what_transformers_refuses_is_refused_with_key_and_value() {
    for (keys, expected) in [
        (r#""num_attention_heads": 0"#, "`num_attention_heads` is 0"),
        (r#""hidden_size": -4096"#, "`hidden_size` is -4096"),
        (r#""hidden_size": 1000000000000000000"#, "`hidden_size` is 1000000000000000000"),
        (r#""hidden_size": 1e18"#, "`hidden_size` is "),
        (r#""hidden_size": 100, "num_attention_heads": 3"#, "`hidden_size` is 100; it must be a multiple"),
        (r#""num_key_value_heads": 5"#, "`num_key_value_heads` is 5"),
        (r#""hidden_size": "4096""#, "`hidden_size` is \"4096\""),
        (r#""vocab_size": true"#, "`vocab_size` is true"),
        (r#""num_hidden_layers": 1000000"#, "at most 10000 layers"),
        (r#""tie_word_embeddings": 1"#, "`tie_word_embeddings` is 1"),
        (r#""attention_dropout": 1.5"#, "between 0 and 1"),
        (r#""head_dim": 33"#, "`head_dim` is 33"),
        (r#""hidden_act": "silo""#, "`hidden_act` is \"silo\""),
        (
            r#""vocab_size": 2000000000, "hidden_size": 2000000000, "num_attention_heads": 2"#,
            "number of parameters",
        ),
        (r#""quantization_config": {"quant_method": "awq"}"#, "quantization_config"),
    ] {
        let found = refusal(&format!(r#"{{"model_type": "llama", {keys}}}"#));
        assert!(found.contains(expected), "{keys}: {found}");
    }
}

#[test]
fn unknown_architectures_say_which_are_known() {
    let fault = |text: &str| ConfigFile::from_json(text).unwrap_err();
    assert!(matches!(fault(r#"{"model_type": "bamba"}"#), Fault::NotSimulated { name } if name == "bamba"));
    assert!(
        matches!(fault(r#"{"architectures": ["BambaForCausalLM"]}"#), Fault::NotSimulated { name } if name == "bamba")
    );
    let near = refusal(r#"{"architectures": ["LammaForCausalLM"]}"#);
    assert!(near.contains("did you mean `LlamaForCausalLM`") && near.contains("qwen3"), "{near}");
    assert!(refusal(r#"{"model_type": "mistrall"}"#).contains("did you mean `mistral`"));
    assert_eq!(fault("{}"), Fault::NoArchitecture);
    assert_eq!(fault(r#"{"architectures": []}"#), Fault::NoArchitecture);
}

#[test]
fn texts_that_are_no_config() {
    assert!(refusal("").contains("not valid JSON"));
    assert!(refusal(r#"{"model_type": "llama", "hidden_size": 40"#).contains("line 1"));
    assert!(refusal("[1, 2]").contains("a list of 2"));
    assert!(refusal(&"[".repeat(100_000)).contains("not valid JSON"));
}
