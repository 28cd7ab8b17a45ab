//! Starts of the real vLLM on the virtual GPU (fixtures/serving/vllm-virtual.jsonl) beside what is predicted for them.

use brimful_devices::Gpu;
use brimful_jobs::{Length, Overrides, ServedJob, VllmSettings, served_command};
use brimful_serving::{Serving, vllm};
use serde_json::{Map, Value};

fn rows() -> Vec<Value> {
    let text = include_str!("../../../../fixtures/serving/vllm-virtual.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn settings(row: &Value) -> VllmSettings {
    let number = |key: &str| row[key].as_u64();
    let flags = row["flags"].as_str().unwrap_or_default();
    let asked = |key: &str| row["flags"][key].as_u64();
    let after = |flag: &str| flags.split(' ').skip_while(|word| *word != flag).nth(1)?.parse().ok();
    VllmSettings {
        version: "0.33.0".to_owned(),
        max_model_len: Length::Tokens(asked("max_model_len").or(after("--max-model-len")).unwrap()),
        gpu_memory_utilization: None,
        kv_cache_memory_bytes: None,
        max_num_seqs: None,
        max_num_batched_tokens: asked("max_num_batched_tokens"),
        kv_cache_dtype: row["cache_dtype"].as_str().unwrap_or("auto").to_owned(),
        tensor_parallel_size: number("gpus").unwrap(),
        enforce_eager: row["flags"]["enforce_eager"] == true || flags.contains("--enforce-eager"),
        quantization: None,
        dtype: None,
        block_size: None,
        enable_prefix_caching: None,
        async_scheduling: None,
        num_gpu_blocks_override: None,
        in_program: row["how"].as_str().unwrap().starts_with("LLM class"),
        warm_compile_cache: false,
    }
}

fn predicted(row: &Value) -> Serving {
    let config: &Map<String, Value> = row["config"].as_object().unwrap();
    // The virtual GPU of these starts had the catalogue's total, of which each row has the figure.
    let mut gpu = Gpu::find(row["gpu"].as_str().unwrap()).unwrap();
    if let Some(total) = row["total_bytes"].as_u64() {
        gpu.total = total.into();
    }
    vllm(&settings(row), config, &gpu).unwrap_or_else(|error| panic!("{}: {error}", row["id"]))
}

/// A figure of a row, the prediction, and how far it may be off.
struct Compared {
    row: String,
    figure: &'static str,
    real: f64,
    ours: f64,
    bar: f64,
}

impl Compared {
    fn off(&self) -> f64 {
        (self.ours - self.real).abs() / self.real.max(1.0)
    }
}

fn compare(row: &Value, ours: &Serving) -> Vec<Compared> {
    let id = row["id"].as_str().unwrap().replace("virtual-vllm033-", "");
    let figures = [
        ("weights_bytes", ours.weights.get() as f64, 0.005),
        ("activation_bytes", ours.activation_peak.get() as f64, 0.08),
        ("kv_available_bytes", ours.kv_cache.bytes.get() as f64, 0.02),
        ("kv_tokens", ours.kv_cache.tokens as f64, 0.02),
        ("max_concurrency", ours.max_concurrency, 0.02),
        ("num_blocks", ours.kv_cache.blocks as f64, 0.02),
        ("block_size", ours.kv_cache.block_size as f64, 0.0),
        ("max_num_seqs", ours.max_num_seqs as f64, 0.0),
        ("max_num_batched_tokens", ours.max_num_batched_tokens as f64, 0.0),
    ];
    let known = figures.into_iter().filter_map(|(figure, ours, bar)| {
        let real = row[figure].as_f64()?;
        Some(Compared { row: id.clone(), figure, real, ours, bar })
    });
    known.collect()
}

fn table(all: &[Compared]) -> String {
    let line = |one: &Compared| {
        let off = 100.0 * (one.ours - one.real) / one.real.max(1.0);
        format!("{:32} {:24} real {:>16} ours {:>16} {off:+.2} %", one.row, one.figure, one.real, one.ours)
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn weights_activations_and_the_kv_cache_are_within_their_bars() {
    let all: Vec<Compared> = rows().iter().flat_map(|row| compare(row, &predicted(row))).collect();
    assert!(all.len() > 80, "{} figures", all.len());
    let wrong: Vec<&Compared> = all.iter().filter(|one| one.off() > one.bar).collect();
    let names: Vec<String> = wrong.iter().map(|one| format!("{} of {}", one.figure, one.row)).collect();
    assert!(wrong.is_empty(), "beyond their bars: {}\n{}", names.join(", "), table(&all));
}

/// Blocks, pages and groups are rules: with the bytes that the engine had, they must come out equal.
#[test]
fn groups_and_blocks_are_those_of_the_engine() {
    for row in rows() {
        let mut settings = settings(&row);
        settings.kv_cache_memory_bytes = row["kv_available_bytes"].as_u64();
        settings.max_num_seqs = row["max_num_seqs"].as_u64();
        settings.max_num_batched_tokens = row["max_num_batched_tokens"].as_u64().or(Some(8192));
        let gpu = Gpu::find(row["gpu"].as_str().unwrap()).unwrap();
        let ours = vllm(&settings, row["config"].as_object().unwrap(), &gpu).unwrap();
        assert_eq!(Some(ours.kv_cache.blocks), row["num_blocks"].as_u64(), "{}", row["id"]);
        if let Some(real) = row["max_concurrency"].as_f64() {
            // The parser of the fixture is off by the last bit.
            assert!((ours.max_concurrency - real).abs() < 1e-9, "{}", row["id"]);
            assert_eq!(Some(ours.kv_cache.tokens), row["kv_tokens"].as_u64(), "{}", row["id"]);
        }
        let groups: Vec<_> = ours
            .kv_cache
            .groups
            .iter()
            .map(|group| {
                (group.kind.name().to_owned(), group.layers, group.count, group.block_size, group.page_size)
            })
            .collect();
        let number = |group: &Value, key: &str| group[key].as_u64().unwrap();
        let real: Vec<_> = row["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| {
                (
                    group["kind"].as_str().unwrap().to_owned(),
                    number(group, "layers"),
                    number(group, "count"),
                    number(group, "block_size"),
                    number(group, "page_size_bytes"),
                )
            })
            .collect();
        assert_eq!(groups, real, "{}", row["id"]);
    }
}

/// vLLM 0.19 and 0.20 on the virtual H100 (fixtures/serving/h100.jsonl) on one GPU.
#[test]
fn older_starts_are_within_their_bars() {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/serving/models");
    let mut all = Vec::new();
    for line in include_str!("../../../../fixtures/serving/h100.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text =
            std::fs::read_to_string(format!("{models}/{}/config.json", row["model"].as_str().unwrap()))
                .unwrap();
        let config: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for (version, real) in row["observed"].as_object().unwrap() {
            if row["gpus"] != 1 || real["kv_cache"]["bytes"].is_null() || !is_known(&config) {
                continue;
            }
            let ours = older(&row["arguments"], version, &config);
            let id = format!("{} {version}", row["id"].as_str().unwrap());
            let figures = [
                ("weights", real["weights"].as_f64(), ours.weights.get(), 0.005),
                ("activation_peak", real["activation_peak"].as_f64(), ours.activation_peak.get(), 0.08),
                ("kv bytes", real["kv_cache"]["bytes"].as_f64(), ours.kv_cache.bytes.get(), 0.02),
                ("kv tokens", real["kv_cache"]["tokens"].as_f64(), ours.kv_cache.tokens, 0.02),
            ];
            all.extend(figures.into_iter().filter_map(|(figure, real, ours, bar)| {
                Some(Compared { row: id.clone(), figure, real: real?, ours: ours as f64, bar })
            }));
        }
    }
    assert!(all.len() > 20, "{} figures", all.len());
    let wrong = all.iter().filter(|one| one.off() > one.bar).count();
    assert!(wrong == 0, "{wrong} are beyond their bars\n{}", table(&all));
}

fn is_known(config: &Map<String, Value>) -> bool {
    brimful_serving::known_model_types().any(|known| config["model_type"] == known)
}

fn older(arguments: &Value, version: &str, config: &Map<String, Value>) -> Serving {
    let number = |key: &str| arguments[key].as_u64();
    let settings = VllmSettings {
        version: version.to_owned(),
        max_model_len: Length::Tokens(number("max_model_len").unwrap()),
        gpu_memory_utilization: arguments["gpu_memory_utilization"].as_f64(),
        max_num_seqs: number("max_num_seqs"),
        max_num_batched_tokens: number("max_num_batched_tokens"),
        tensor_parallel_size: 1,
        kv_cache_dtype: arguments["kv_cache_dtype"].as_str().unwrap_or("auto").to_owned(),
        quantization: arguments["quantization"].as_str().map(str::to_owned),
        enforce_eager: arguments["enforce_eager"] == true,
        ..settings(&rows()[0])
    };
    let mut gpu = Gpu::find("h100-sxm-80gb").unwrap();
    gpu.total = "79.19 GiB".parse().unwrap();
    vllm(&settings, config, &gpu).unwrap_or_else(|error| panic!("{error}"))
}

/// What vLLM 0.33.0 reported for two of the models of fixtures/serving (its README): activation peak in GiB, and tokens.
#[test]
fn the_newest_runner_on_an_h100_is_within_its_bars() {
    for (name, activation, tokens) in [("llama-3.1-8b", 1.79, 474_256.0), ("qwen2.5-7b", 2.09, 1_089_648.0)] {
        let path =
            format!("{}/../../../fixtures/serving/models/{name}/config.json", env!("CARGO_MANIFEST_DIR"));
        let config: Map<String, Value> =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let arguments = serde_json::json!({
            "max_model_len": 8192, "gpu_memory_utilization": 0.95, "max_num_batched_tokens": 8192, "max_num_seqs": 1024,
            "enforce_eager": true,
        });
        let ours = older(&arguments, "0.33.0", &config);
        assert_eq!(format!("{:.2}", ours.activation_peak.as_gib()), activation.to_string());
        assert!(
            (ours.kv_cache.tokens as f64 / tokens - 1.0).abs() < 0.005,
            "{name}: {}",
            ours.kv_cache.tokens
        );
    }
}

/// Logs of real cards (fixtures/serving/vllm-real.jsonl): tokens within 3 %, and the KV cache's bytes inside the margin.
#[test]
fn starts_on_real_cards_are_within_the_margin() {
    for line in include_str!("../../../../fixtures/serving/vllm-real.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let words: Vec<String> = row["command"].as_str().unwrap().split(' ').map(str::to_owned).collect();
        let version = Overrides::default().set_value("serve.version", row["version"].clone());
        let ServedJob::Vllm(job) = served_command(&words, &brimful_models::NoFiles, &version).unwrap() else {
            panic!("{words:?} is vLLM's command")
        };
        let mut gpu = Gpu::find(row["gpu"].as_str().unwrap()).unwrap();
        gpu.total = row["total_bytes"].as_u64().unwrap().into();
        let ours = vllm(&job.settings, &job.config, &gpu).unwrap();
        let off = ours.kv_cache.tokens as f64 / row["kv_tokens"].as_f64().unwrap() - 1.0;
        assert!(off.abs() < 0.03, "{}: {:+.2} % of the tokens", row["id"], 100.0 * off);
        let bytes = ours.kv_cache.bytes.get().abs_diff(row["kv_bytes"].as_u64().unwrap());
        assert!(bytes <= ours.margin.get(), "{}: {bytes} bytes beyond {}", row["id"], ours.margin);
    }
}
