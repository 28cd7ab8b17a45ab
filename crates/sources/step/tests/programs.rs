//! Recorded programs against recorded runs of real PyTorch: the same allocations and frees, in the same order.
//! `BRIMFUL_CASE=qwen3/` narrows it to the cases whose name holds the text.

use brimful_models::{Config, RecordedConfig};
use brimful_truth::{Case, difference_of, fixtures, root};

/// Families that are written by hand and whose programs do the same. The other ones' programs are still being completed.
const BY_HAND_AND_RECORDED: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gpt2"];

#[test]
fn every_recorded_sequence_is_what_the_program_does() {
    let recorded = fixtures::for_tests(&root()).unwrap();
    let recorded: Vec<_> = recorded.iter().filter(|case| case.events.is_some()).collect();
    let compared: Vec<Option<String>> = recorded.iter().filter_map(|case| by_program(case)).collect();
    let differences: Vec<&String> = compared.iter().flatten().collect();
    let (count, all) = (differences.len(), compared.len());
    let shown: Vec<&str> = differences.iter().take(12).map(|text| text.as_str()).collect();
    assert!(count == 0, "{count} of {all} sequences differ:\n{}", shown.join("\n"));
}

/// The first difference between the recorded run and the program of the case's model; `None` within where there is none,
/// and outside where the model has no program, or one that does not cover a job that the family's own file covers.
fn by_program(case: &Case) -> Option<Option<String>> {
    let keys = case.job["model"].as_object()?;
    let model_type = keys.get("model_type")?.as_str()?;
    let (task, causal) = (case.task(), case.task() == brimful_programs::CAUSAL_LM);
    let by_hand = causal && BY_HAND_AND_RECORDED.contains(&model_type);
    if !by_hand && !brimful_programs::proven_programs().any(|proven| proven == (model_type, task)) {
        return None;
    }
    let (_, program) = brimful_programs::shipped(model_type, task)?;
    let mut job = case.job().ok()?;
    match RecordedConfig::read(program, keys) {
        Ok(config) => job.model = Config::Recorded(config),
        Err(_) if by_hand => return None,
        Err(fault) => return Some(Some(format!("{}: {fault}", case.id))),
    }
    let difference = difference_of(case, &job);
    let uncovered = difference.as_ref().is_some_and(|text| text.contains("does not cover this job"));
    if by_hand && uncovered { None } else { Some(difference) }
}

#[test]
fn every_proven_program_has_recorded_runs() {
    let recorded = fixtures::select(&root(), &[]).unwrap();
    for (model_type, task) in brimful_programs::proven_programs() {
        let of_it =
            |case: &&Case| case.family() == model_type && case.task() == task && case.events.is_some();
        let count = recorded.iter().filter(of_it).count();
        assert!(count >= 8, "{model_type} has {count} recorded runs of {task}; expected at least 8");
    }
}
