//! Recorded programs of the families that are written by hand, against recorded runs of real PyTorch.
//! `BRIMFUL_CASE=qwen3/` narrows it to the cases whose name holds the text.

use brimful_models::{Config, RecordedConfig};
use brimful_truth::{Case, difference_of, fixtures, root};

#[test]
fn every_recorded_sequence_is_what_the_program_does() {
    let recorded = fixtures::for_tests(&root()).unwrap();
    let recorded: Vec<_> = recorded.iter().filter(|case| case.events.is_some()).collect();
    let compared: Vec<(&str, Option<String>)> =
        recorded.iter().filter_map(|case| Some((case.id.as_str(), by_program(case)?))).collect();
    assert!(!compared.is_empty(), "no case of that name has a program and a sequence of events");
    let differences: Vec<&String> = compared.iter().filter_map(|row| row.1.as_ref()).collect();
    let (count, all) = (differences.len(), compared.len());
    let shown: Vec<&str> = differences.iter().take(12).map(|text| text.as_str()).collect();
    assert!(count == 0, "{count} of {all} sequences differ:\n{}", shown.join("\n"));
}

/// The first difference between the recorded run and the program of the case's model; `None` within where there is none,
/// and outside where the model has no program.
fn by_program(case: &Case) -> Option<Option<String>> {
    let keys = case.job["model"].as_object()?;
    let (_, program) = brimful_programs::shipped(keys.get("model_type")?.as_str()?)?;
    let mut job = case.job().ok()?;
    match RecordedConfig::read(program, keys) {
        Ok(config) => job.model = Config::Recorded(config),
        Err(fault) => return Some(Some(format!("{}: {fault}", case.id))),
    }
    Some(difference_of(case, &job))
}
