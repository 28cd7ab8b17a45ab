//! Headers whose keys or shapes were changed: an answer or an error, and never a panic.

use std::io::Read;

use brimful_gguf::{GgmlType, Header, Value};
use brimful_llama_cpp::{Error, Gpu, Settings, plan};
use brimful_units::Bytes;
use flate2::read::GzDecoder;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/llama-cpp/headers");

/// One model of each kind of graph.
const MODELS: [&str; 6] =
    ["qwen2.5-0.5b", "gemma-3-1b", "gpt-oss-20b", "granite-4.0-h-tiny", "deepseek-v2-lite", "qwen3.5-0.8b"];

fn header(model: &str) -> Header {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(format!("{FOLDER}/{model}.gguf.gz")).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let mut header = Header::read(&bytes[..]).unwrap();
    // Two layers of each kind are enough, and keep the test short.
    let key = header.metadata.iter_mut().find(|(key, _)| key.ends_with(".block_count")).unwrap();
    key.1 = Value::Unsigned(6.min(key.1.as_u64().unwrap()));
    header
}

fn settings() -> Settings {
    Settings { ctx_size: 4096, parallel: 2, n_outputs_max: 2, ..Settings::default() }
}

fn answer(header: &Header) -> Result<(), Error> {
    let gpu = Gpu { free: Bytes::gib(20), compute_capability: 890 };
    plan(header, &settings(), &[gpu]).map(|_| ())
}

#[test]
fn a_key_with_any_number_is_answered_or_refused() {
    let mut refused = 0;
    for model in MODELS {
        let whole = header(model);
        answer(&whole).unwrap();
        for index in 0..whole.metadata.len() {
            if whole.metadata[index].0.starts_with("tokenizer.") {
                continue;
            }
            for number in [0, 1, 3, 255, 1 << 20, u64::MAX] {
                let mut damaged = whole.clone();
                damaged.metadata[index].1 = Value::Unsigned(number);
                refused += usize::from(answer(&damaged).is_err());
            }
            let mut damaged = whole.clone();
            damaged.metadata.remove(index);
            refused += usize::from(answer(&damaged).is_err());
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_tensor_of_any_shape_is_answered_or_refused() {
    for model in MODELS {
        let whole = header(model);
        let first_layers = whole.tensors.iter().enumerate().filter(|(_, tensor)| {
            !tensor.name.starts_with("blk.")
                || tensor.name.starts_with("blk.0.")
                || tensor.name.starts_with("blk.3.")
        });
        for (index, tensor) in first_layers {
            for shape in
                [[1, 1, 1, 1], [0, 1, 1, 1], [32, 1 << 40, 1, 1], [64, 64, 64, 1], [1 << 62, 1, 1, 1]]
            {
                let mut damaged = whole.clone();
                damaged.tensors[index].shape = shape;
                let _ = answer(&damaged);
            }
            let mut damaged = whole.clone();
            damaged.tensors.remove(index);
            if tensor.name == "output_norm.weight" {
                assert_eq!(answer(&damaged), Err(Error::Tensor(tensor.name.clone())));
            }
            let _ = answer(&damaged);
        }
    }
}

#[test]
fn an_unknown_architecture_and_an_unknown_type_are_named() {
    let mut other = header("qwen2.5-0.5b");
    for (key, value) in &mut other.metadata {
        if key == "general.architecture" {
            *value = Value::Text("nonesuch".into());
        } else if let Some(rest) = key.strip_prefix("qwen2.") {
            *key = format!("nonesuch.{rest}");
        }
    }
    assert_eq!(answer(&other), Err(Error::Architecture("nonesuch".into())));
    let mut other = header("qwen2.5-0.5b");
    other.tensors[0].ty = GgmlType(99);
    let name = other.tensors[0].name.clone();
    assert_eq!(answer(&other), Err(Error::Type { name, number: 99 }));
}

#[test]
fn settings_that_llama_cpp_refuses_are_refused() {
    let header = header("qwen2.5-0.5b");
    let gpu = Gpu { free: Bytes::gib(20), compute_capability: 890 };
    let refused = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        matches!(plan(&header, &settings, std::slice::from_ref(&gpu)), Err(Error::Setting { .. }))
    };
    assert!(refused(|settings| settings.parallel = 257));
    assert!(refused(|settings| settings.batch_size = 0));
    assert!(refused(|settings| settings.ctx_size = u32::MAX));
    assert!(refused(|settings| settings.overrides.push(brimful_llama_cpp::Override { pattern: "(".into() })));
    // Without flash attention a quantised V cache does not start.
    assert!(refused(|settings| {
        settings.flash_attn = brimful_llama_cpp::FlashAttention::Off;
        settings.cache_type_v = GgmlType::Q8_0;
    }));
    // A row of 64 elements is no whole block of 256.
    assert!(refused(|settings| settings.cache_type_k = GgmlType(14)));
}

#[test]
fn without_a_gpu_everything_lies_in_host_memory() {
    let buffers = plan(&header("gemma-3-1b"), &settings(), &[]).unwrap();
    assert!(buffers.gpus.is_empty());
    assert!(
        buffers.host.kv > Bytes::ZERO
            && buffers.host.compute > Bytes::ZERO
            && buffers.host.mapped > Bytes::ZERO
    );
}
