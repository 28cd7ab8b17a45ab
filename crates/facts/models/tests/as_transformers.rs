//! Random configs, accepted, refused and filled in exactly as transformers 5.23 does (`fixtures/models`).

use brimful_truth::{config_difference, read_configs, root};

#[test]
fn the_same_configs_are_accepted_and_mean_the_same() {
    let (_, cases) = read_configs(&root().join("fixtures/models/configs.jsonl")).unwrap();
    let differences: Vec<String> = cases.iter().filter_map(config_difference).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    // Both kinds of answer are among them.
    assert!(cases.iter().any(|case| case.real.get("error").is_some()));
    assert!(cases.iter().any(|case| case.real.get("params").is_some()));
}
