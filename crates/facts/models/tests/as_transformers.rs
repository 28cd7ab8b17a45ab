//! Random configs, accepted, refused and filled in exactly as transformers 5.23 does (`fixtures/models`).

use brimful_models::{Config, ConfigFile};
use serde_json::Value;

const CASES: &str = include_str!("../../../../fixtures/models/configs.jsonl");

#[test]
fn the_same_configs_are_accepted_and_mean_the_same() {
    let mut differences = Vec::new();
    let mut accepted = 0;
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let ours = ConfigFile::from_map(case["config"].as_object().unwrap());
        match (ours, case["real"].get("error")) {
            (Ok(file), None) => {
                accepted += 1;
                differences
                    .extend(difference(&file.config, &case["real"]).map(|text| format!("{text}: {line}")));
            }
            (Ok(_), Some(error)) => {
                differences.push(format!("accepted, but transformers says {error}: {line}"))
            }
            (Err(fault), None) => differences.push(format!("refused ({fault}): {line}")),
            (Err(_), Some(_)) => {}
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(accepted > 200, "{accepted}");
}

/// The first number that differs.
fn difference(config: &Config, real: &Value) -> Option<String> {
    let windows: Vec<Value> = match config {
        Config::Decoder(decoder) => {
            decoder.sliding_windows.iter().map(|window| Value::from(*window)).collect()
        }
        Config::Gpt2(_) => Vec::new(),
    };
    let mut pairs = vec![
        ("params", Value::from(config.parameter_count())),
        ("tensors", Value::from(config.parameter_tensors().len())),
        ("positions", Value::from(config.max_positions())),
    ];
    match config {
        Config::Decoder(decoder) => pairs.extend([
            ("head_dim", Value::from(decoder.head_dim)),
            ("kv", Value::from(decoder.num_key_value_heads)),
            ("windows", Value::from(windows)),
            ("rope", Value::from(format!("{:?}", decoder.rope_type).to_lowercase())),
        ]),
        Config::Gpt2(gpt2) => {
            pairs.extend([("heads", Value::from(gpt2.n_head)), ("width", Value::from(gpt2.n_embd))])
        }
    }
    pairs
        .into_iter()
        .find(|(key, value)| real[*key] != *value)
        .map(|(key, value)| format!("{key} is {value}"))
}
