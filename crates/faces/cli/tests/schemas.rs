//! `schemas/`: the contract of the answers in JSON. `cargo xtask schema` writes the files.

mod seen;

use std::fs;

use brimful_report::schemas;
use seen::{ROOT, breaches, brimful};
use serde_json::Value;

/// Set by `cargo xtask schema`: the files are written and not compared.
const WRITE: &str = "BRIMFUL_WRITE_SCHEMAS";

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (command, schema) in schemas() {
        let path = format!("{ROOT}/schemas/{command}.schema.json");
        let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os(WRITE).is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "{path} is not what the types say: cargo xtask schema");
    }
}

fn answer(arguments: &[&str]) -> Value {
    serde_json::from_slice(&brimful(arguments).stdout).unwrap()
}

#[test]
fn an_answer_with_a_missing_or_a_wrong_value_breaks_its_schema() {
    let whole = answer(&["fit", "gpt2", "--json"]);
    assert_eq!(breaches(&whole), Vec::<String>::new());
    let mut broken = [whole.clone(), whole.clone(), whole];
    broken[0].as_object_mut().unwrap().remove("peak");
    broken[1]["verdict"] = "perhaps".into();
    broken[2]["peak"]["reserved"] = "1 GiB".into();
    for answer in broken {
        assert_ne!(breaches(&answer), Vec::<String>::new(), "{answer}");
    }
}

/// `kind` says which of its three shapes an answer of `explain` has.
#[test]
fn an_explanation_says_what_its_input_is() {
    for (kind, input) in [
        ("log", "crates/faces/cli/tests/logs/train.log"),
        ("snapshot", "fixtures/snapshots/tiny/torch-2.15.pickle"),
        ("statistics", "fixtures/snapshots/statistics/memory_stats.json"),
    ] {
        let mut explained = answer(&["explain", input, "--json"]);
        assert_eq!(explained["kind"], kind, "{input}");
        explained["kind"] = "another".into();
        assert_ne!(breaches(&explained), Vec::<String>::new(), "{input}");
    }
}
