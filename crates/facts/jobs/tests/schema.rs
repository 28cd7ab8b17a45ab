//! The published schema is written from the table of keys. After a change of the table, write it anew with
//! `BRIMFUL_UPDATE=1 cargo test -p brimful-jobs --test schema`.

use std::fs;

use brimful_jobs::{Absent, Kind, flags, keys, schema};
use serde_json::Value;

const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../schemas/job.schema.json");

#[test]
fn the_published_schema_says_what_the_table_of_keys_says() {
    if std::env::var_os("BRIMFUL_UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../schemas")).unwrap();
        fs::write(PUBLISHED, text).unwrap();
    }
    let published: Value = serde_json::from_str(&fs::read_to_string(PUBLISHED).unwrap()).unwrap();
    assert!(published == schema(), "schemas/job.schema.json is not what the table of keys says; see above");
}

#[test]
fn every_path_is_one_row() {
    let mut paths: Vec<String> = keys().flat_map(|key| key.paths()).collect();
    let all = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), all);
}

#[test]
fn every_flag_is_one_row_and_its_help_is_a_sentence() {
    let mut names: Vec<&str> = flags().map(|(name, _)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for key in keys() {
        assert!(key.help.ends_with('.') && key.help.contains(' '), "{}: {:?}", key.name, key.help);
    }
}

#[test]
fn a_default_is_a_value_of_its_key() {
    for key in keys() {
        let (Absent::Silently(default) | Absent::Assumed(default, _)) = key.absent else { continue };
        let right = match key.kind {
            Kind::Count { least, most } => {
                default.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number))
            }
            Kind::Flag | Kind::FlagOrNumber => ["true", "false"].contains(&default),
            Kind::Words(words) => words.contains(&default),
            Kind::Probability => default.parse::<f64>().is_ok(),
            _ => true,
        };
        assert!(right, "{}: {default}", key.name);
    }
}
