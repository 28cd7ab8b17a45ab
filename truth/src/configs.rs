//! Random configs beside what transformers makes of them (`fixtures/models/configs.jsonl`, which `configs.py` writes).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use brimful_models::{Config, ConfigFile};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The first line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigsHeader {
    /// How many configs follow: a file that was cut off is noticed.
    pub cases: usize,
    /// The seed of the draw; the first draw was made before the generator was in the tree, and has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The version of each library.
    pub versions: BTreeMap<String, String>,
}

/// Keys of a config.json, and what transformers makes of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigCase {
    /// The keys.
    pub config: Map<String, Value>,
    /// The `error`, or the numbers that follow.
    pub real: Value,
}

/// Reads a file of configs.
///
/// # Errors
/// A file that is not there, is cut off, or has a line that is no config.
pub fn read_configs(path: &Path) -> Result<(ConfigsHeader, Vec<ConfigCase>)> {
    let named = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(named)?;
    let mut lines = text.lines();
    let first = lines.next().context("the file is empty").with_context(named)?;
    let header: ConfigsHeader = serde_json::from_str(first).with_context(named)?;
    let cases: Vec<ConfigCase> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>().with_context(named)?;
    let (said, held) = (header.cases, cases.len());
    ensure!(said == held, "{}: the first line says {said} configs, the file holds {held}", named());
    Ok((header, cases))
}

/// How brimful differs from transformers over a config; `None` if it does not.
pub fn config_difference(case: &ConfigCase) -> Option<String> {
    let text = match (ConfigFile::from_map(&case.config), case.real.get("error")) {
        (Ok(file), None) => number_that_differs(&file.config, &case.real)?,
        (Ok(_), Some(error)) => format!("accepted, but transformers says {error}"),
        (Err(fault), None) => format!("refused ({fault}), but transformers takes it"),
        (Err(_), Some(_)) => return None,
    };
    Some(format!("{text}: {}", Value::Object(case.config.clone())))
}

/// The first number that differs.
fn number_that_differs(config: &Config, real: &Value) -> Option<String> {
    let mut pairs = vec![
        ("params", Value::from(config.parameter_count())),
        ("tensors", Value::from(config.parameter_tensors().len())),
        ("positions", Value::from(config.max_positions())),
    ];
    match config {
        Config::Decoder(decoder) => {
            let windows = decoder.sliding_windows.iter().map(|window| Value::from(*window));
            pairs.extend([
                ("head_dim", Value::from(decoder.head_dim)),
                ("kv", Value::from(decoder.num_key_value_heads)),
                ("windows", Value::from_iter(windows)),
                ("rope", Value::from(format!("{:?}", decoder.rope_type).to_lowercase())),
            ]);
        }
        Config::Gpt2(gpt2) => {
            pairs.extend([("heads", Value::from(gpt2.n_head)), ("width", Value::from(gpt2.n_embd))]);
        }
        // What a program does not know of the config is not compared.
        Config::Recorded(_) => {}
    }
    let (key, value) = pairs.into_iter().find(|(key, value)| real[*key] != *value)?;
    Some(format!("{key} is {value}, but transformers has {}", real[key]))
}
