//! Whatever a config or a header says: an answer or an error, never a panic; and what is accepted is sound.

use brimful_models::{ConfigFile, header_length, parse_header, simulated_families};
use proptest::prelude::*;
use serde_json::{Map, Value};

const KEYS: [&str; 33] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "hidden_activation",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "max_position_embeddings",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
    "attention_dropout",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
    "rope_scaling",
    "rope_parameters",
    "rope_theta",
    "n_embd",
    "n_head",
    "n_layer",
    "n_positions",
    "n_inner",
    "activation_function",
    "dtype",
    "torch_dtype",
    "pad_token_id",
    "architectures",
];

fn number() -> impl Strategy<Value = Value> {
    let sizes = [0u64, 1, 2, 3, 8, 64, 128, 4096, 10_000, 1 << 31, (1 << 31) + 1, 1 << 62, u64::MAX];
    prop_oneof![
        proptest::sample::select(sizes.to_vec()).prop_map(Value::from),
        (1u64..300).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let words =
        ["silu", "gelu_new", "linear", "llama3", "full_attention", "sliding_attention", "bfloat16", "", "x"];
    let leaf = prop_oneof![
        4 => number(),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        2 => proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("rope_type|factor|type|full_attention", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn config() -> impl Strategy<Value = Map<String, Value>> {
    let family = proptest::sample::select(simulated_families().collect::<Vec<_>>());
    let keys = proptest::collection::btree_map(proptest::sample::select(KEYS.to_vec()), value(), 0..8);
    (family, keys).prop_map(|(family, keys)| {
        let mut map: Map<String, Value> =
            keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        map.insert("model_type".to_owned(), family.into());
        map
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn configs(map in config()) {
        if let Ok(file) = ConfigFile::from_map(&map) {
            let count = file.config.parameter_count();
            prop_assert!(count > 0 && count <= 1 << 50);
            prop_assert!(file.config.layers() <= 10_000);
        }
    }

    #[test]
    fn config_texts(text in ".{0,200}") {
        let _ = ConfigFile::from_json(&text);
    }

    #[test]
    fn headers(bytes in proptest::collection::vec(any::<u8>(), 0..200), data in any::<u64>()) {
        let _ = header_length(&bytes, data);
        let _ = parse_header(&bytes, data);
    }

    /// A good header is read back as it was written; any change of the data's size is noticed.
    #[test]
    fn round_trip(shapes in proptest::collection::vec(proptest::collection::vec(0u64..9, 0..4), 0..6), off in 1u64..9) {
        let mut at = 0;
        let mut entries = Map::new();
        for (n, shape) in shapes.iter().enumerate() {
            let end = at + 4 * shape.iter().product::<u64>();
            let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]});
            entries.insert(format!("t{n}"), entry);
            at = end;
        }
        let json = Value::Object(entries).to_string();
        let tensors = parse_header(json.as_bytes(), at).unwrap();
        prop_assert_eq!(tensors.len(), shapes.len());
        prop_assert_eq!(tensors.iter().map(|t| t.bytes.get()).sum::<u64>(), at);
        prop_assert!(parse_header(json.as_bytes(), at + off).is_err());
    }
}
