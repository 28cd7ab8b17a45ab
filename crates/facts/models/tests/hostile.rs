//! The files of `hostile/models`, each refused for the reason it was made for; and folders put together from them.

use std::path::PathBuf;

use brimful_models::{Fault, MemoryFiles, Model, ModelError, NoFiles};

const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "vocab_size": 100}"#;

fn hostile(name: &str) -> Vec<u8> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../hostile/models")).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What opening a folder says that has the file as its config, or beside a good config as its weights.
fn refusal(name: &str) -> String {
    let files = if name.ends_with(".safetensors") {
        MemoryFiles::default().with("m/config.json", CONFIG).with("m/model.safetensors", hostile(name))
    } else {
        MemoryFiles::default().with("m/config.json", hostile(name))
    };
    Model::open("m", &files).map(|_| ()).unwrap_err().to_string()
}

const EXPECTED: [(&str, &str); 28] = [
    ("truncated.config.json", "m/config.json: is not valid JSON: EOF"),
    ("not-json.config.json", "is not valid JSON"),
    ("empty.config.json", "is not valid JSON"),
    ("deep.config.json", "recursion limit"),
    ("not-utf8.config.json", "not UTF-8"),
    ("unknown-architecture.config.json", "did you mean `llama`?"),
    ("zero-heads.config.json", "`num_attention_heads` is 0"),
    ("negative.config.json", "`hidden_size` is -64"),
    ("huge.config.json", "`hidden_size` is 1000000000000000000"),
    ("uneven-heads.config.json", "`hidden_size` is 66; it must be a multiple of `num_attention_heads` (4)"),
    ("overflowing-product.config.json", "the number of parameters"),
    ("lying-length.safetensors", "m/model.safetensors: the header says it is 4000 bytes long, but only"),
    ("ten-gigabyte-header.safetensors", "10000000000 bytes long"),
    ("overlap.safetensors", "\"a\" and \"b\" overlap at byte 8"),
    ("gap.safetensors", "from byte 16 to 32"),
    ("duplicate.safetensors", "\"a\" is in the header twice"),
    ("unknown-dtype.safetensors", "unknown dtype \"F33\""),
    ("span-mismatch.safetensors", "[5] of f32, but its span is 16 bytes"),
    ("overflowing-shape.safetensors", "but its span is 16 bytes"),
    ("reversed-offsets.safetensors", "`data_offsets`"),
    ("negative-offset.safetensors", "`data_offsets`"),
    ("truncated-data.safetensors", "the tensors need 16 bytes of data, but the file holds 10"),
    ("truncated-header.safetensors", "cut off"),
    ("short.safetensors", "has 3 bytes"),
    ("not-utf8.safetensors", "not UTF-8"),
    ("not-a-table.safetensors", "not a JSON table"),
    ("tensor-is-a-number.safetensors", "expected a table"),
    ("zip.safetensors", "not a safetensors file"),
];

#[test]
fn every_file_is_refused_for_its_reason() {
    for (name, expected) in EXPECTED {
        let found = refusal(name);
        assert!(found.contains(expected), "{name}: {found}");
        assert!(found.len() < 600, "{name}: the message is {} bytes long", found.len());
    }
    assert!(refusal("trailing.safetensors").contains("not a JSON table"));
}

#[test]
fn no_file_of_the_folder_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../hostile/models");
    let known = EXPECTED.len() + ["trailing.safetensors", "README.md"].len();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), known);
}

fn opened(files: MemoryFiles) -> Result<Model, ModelError> {
    Model::open("m/", &files)
}

fn with_config() -> MemoryFiles {
    MemoryFiles::default().with("m/config.json", CONFIG)
}

/// A safetensors file of one bf16 matrix.
fn matrix(name: &str, rows: u64, columns: u64) -> Vec<u8> {
    let bytes = rows * columns * 2;
    let json = format!(
        r#"{{"{name}": {{"dtype": "BF16", "shape": [{rows}, {columns}], "data_offsets": [0, {bytes}]}}}}"#
    );
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.bytes());
    file.resize(file.len() + bytes as usize, 0);
    file
}

#[test]
fn missing_and_empty_folders() {
    assert!(matches!(Model::open("m", &NoFiles).unwrap_err().fault, Fault::Missing { .. }));
    let weights = MemoryFiles::default().with("m/model.safetensors", matrix("x", 1, 1));
    assert_eq!(opened(weights).unwrap_err().fault, Fault::NoConfig { weights: true });
    let nothing = MemoryFiles::default().with("m/README.md", "");
    assert_eq!(opened(nothing).unwrap_err().fault, Fault::NoConfig { weights: false });
}

#[test]
fn shards_by_index_and_by_name() {
    let shards = with_config()
        .with("m/model-00001-of-00002.safetensors", matrix("model.embed_tokens.weight", 100, 64))
        .with("m/model-00002-of-00002.safetensors", matrix("lm_head.weight", 100, 64));
    let by_name = opened(shards.clone()).unwrap().checkpoint.unwrap();
    assert_eq!((by_name.files.len(), by_name.bytes().get()), (2, 25_600));
    assert_eq!(by_name.dtype(), Some(brimful_units::Dtype::Bf16));
    let index = r#"{"weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors",
        "lm_head.weight": "model-00002-of-00002.safetensors"}}"#;
    let by_index = opened(shards.clone().with("m/model.safetensors.index.json", index)).unwrap();
    assert_eq!(by_index.checkpoint.unwrap().tensors, by_name.tensors);
    let missing = index.replace("00001-of", "00003-of");
    let error =
        opened(shards.clone().with("m/model.safetensors.index.json", missing)).unwrap_err().to_string();
    assert!(error.contains("model-00003-of-00002.safetensors, which is not there"), "{error}");
    let outside = index.replace("model-00001-of-00002", "../../etc/passwd");
    let error = opened(shards.with("m/model.safetensors.index.json", outside)).unwrap_err().to_string();
    assert!(error.contains("lies outside the folder"), "{error}");
}

#[test]
fn weights_of_another_model_are_noticed() {
    let error =
        opened(with_config().with("m/model.safetensors", matrix("embed_tokens.weight", 7, 64))).unwrap_err();
    assert!(error.to_string().contains("[100,64], but the weights hold [7,64]"), "{error}");
    let twice =
        with_config().with("m/a.safetensors", matrix("x", 1, 1)).with("m/b.safetensors", matrix("x", 1, 1));
    assert!(opened(twice).unwrap_err().to_string().contains("is in m/a.safetensors too"));
}

#[test]
fn a_safetensors_file_leads_to_the_config_beside_it() {
    let files = with_config().with("m/model.safetensors", matrix("lm_head.weight", 100, 64));
    let model = Model::open("m/model.safetensors", &files).unwrap();
    assert_eq!(model.checkpoint.unwrap().tensors.len(), 1);
}
