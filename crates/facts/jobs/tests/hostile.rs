//! The files of `hostile/jobs`, each refused with its name and reason; and jobs nobody would write.

use std::path::PathBuf;

use brimful_jobs::{Format, Overrides, load};
use brimful_models::NoFiles;
use proptest::prelude::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../hostile/jobs");

const EXPECTED: [(&str, &str); 16] = [
    ("misspelt.toml", "misspelt.toml:3: unknown key `train.sequense`; did you mean `train.sequence`?"),
    ("wrong-type.toml", "wrong-type.toml:3: `train.batch` is a list of 2; expected a whole number"),
    ("no-unit.toml", "no-unit.toml:2: `gpu`: \"9999\" is not a known GPU"),
    ("unknown-gpu.toml", "unknown-gpu.toml:2: `gpu`: \"h1000\" is not a known GPU"),
    ("truncated.toml", "is not valid TOML"),
    ("truncated.json", "is not valid JSON: EOF"),
    ("twice.json", "the key `batch` is there twice"),
    ("not-a-table.json", "`the job` is a list of 1"),
    ("anchors.yaml", "anchors.yaml"),
    ("deep.yaml", "is not valid YAML"),
    ("deep.json", "is not valid JSON: recursion limit"),
    ("deep.toml", "is not valid TOML"),
    ("tabs.yaml", "is not valid YAML"),
    ("infinite.toml", "inf is not a finite number"),
    ("overflow.toml", "2^62 bytes"),
    ("overflow.json", "batch"),
];

fn refusal(name: &str) -> String {
    let text = std::fs::read_to_string(PathBuf::from(FOLDER).join(name)).unwrap();
    let format = Format::of_path(name).unwrap();
    load(name, &text, format, &NoFiles, &Overrides::default()).map(|l| l.job).unwrap_err().to_string()
}

#[test]
fn every_file_is_refused_for_its_reason() {
    for (name, expected) in EXPECTED {
        let found = refusal(name);
        assert!(found.starts_with(name) && found.contains(expected), "{name}: {found}");
        assert!(found.len() < 1200, "{name}: the message is {} bytes long", found.len());
    }
    assert_eq!(
        std::fs::read_dir(FOLDER).unwrap().count(),
        EXPECTED.len() + 1,
        "a file of the folder is not in the list"
    );
}

/// A text that is close to a job: its words, its signs, and anything.
fn jobish() -> impl Strategy<Value = String> {
    let words = [
        "model",
        "gpu",
        "train",
        "infer",
        "batch",
        "sequence",
        "optimizer",
        "lora",
        "precision",
        "gpt2",
        "llama-3-8b",
        "AdamW",
        "bf16",
        "none",
        "\"",
        "'",
        "=",
        ":",
        "\n",
        " ",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "1",
        "0",
        "-1",
        "1e9",
        "true",
        "null",
        "18446744073709551615",
        "[train]",
        "[infer]",
        ".",
        "#",
        "\t",
        "- ",
        "é",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat())
}

fn format() -> impl Strategy<Value = Format> {
    proptest::sample::select(vec![Format::Toml, Format::Yaml, Format::Json])
}

/// A job whose values are anything, in a tree that is one.
fn job() -> impl Strategy<Value = String> {
    let value = || {
        let values = [
            "0",
            "1",
            "2",
            "7",
            "512",
            "4294967295",
            "-1",
            "1.5",
            "true",
            "null",
            "\"bf16\"",
            "\"none\"",
            "\"AdamW\"",
            "[]",
            "{}",
        ];
        proptest::sample::select(values.to_vec())
    };
    let keys = [
        "batch",
        "sequence",
        "accumulation",
        "steps",
        "precision",
        "attention",
        "checkpointing",
        "optimizer",
        "lora",
        "clip_grad_norm",
        "decode_steps",
        "cache",
        "max_cache_len",
        "logits_to_keep",
        "use_cache",
        "attention_mask",
    ];
    let entries = proptest::collection::btree_map(proptest::sample::select(keys.to_vec()), value(), 0..5);
    let section = proptest::sample::select(vec!["train", "infer"]);
    let model = proptest::sample::select(vec!["gpt2", "llama-3-8b", "qwen3-0.6b"]);
    (entries, section, model).prop_map(|(entries, section, model)| {
        let body: Vec<String> = entries.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{\"model\": \"{model}\", \"{section}\": {{{}}}}}", body.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn texts_never_panic(text in jobish(), format in format()) {
        let _ = load("job", &text, format, &NoFiles, &Overrides::default());
    }

    #[test]
    fn jobs_never_panic_and_faults_are_short(text in job(), key in "[a-z.]{0,20}", value in ".{0,12}") {
        let changes = Overrides::default().set(&key, &value);
        for overrides in [Overrides::default(), changes] {
            if let Err(error) = load("job.json", &text, Format::Json, &NoFiles, &overrides) {
                prop_assert!(error.to_string().len() < 900, "{}", error);
            }
        }
    }
}
