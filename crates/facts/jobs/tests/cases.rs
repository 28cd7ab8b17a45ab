//! Jobs of runs that real PyTorch has made: all of the simulated families load, all others are refused with a reason.

use brimful_jobs::{Format, JobError, JobFault, LoadedJob, Overrides, Workload, load};
use brimful_models::{Fault, NoFiles};
use serde_json::Value;

const SIMULATED: &str = include_str!("../../../../fixtures/jobs/simulated.jsonl");
const OTHERS: &str = include_str!("../../../../fixtures/jobs/not-simulated.jsonl");

fn lines(text: &'static str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn job(case: &Value) -> Result<LoadedJob, JobError> {
    load("case.json", &case["job"].to_string(), Format::Json, &NoFiles, &Overrides::default())
}

#[test]
fn every_job_of_the_simulated_families_loads() {
    for case in lines(SIMULATED) {
        let loaded = job(&case).unwrap_or_else(|error| panic!("{}: {error}", case["id"]));
        let lora = matches!(&loaded.job.workload, Workload::Train(train) if train.lora.is_some());
        if !lora {
            assert_eq!(
                loaded.job.model.parameter_count(),
                case["params"].as_u64().unwrap(),
                "{}",
                case["id"]
            );
        }
        assert!(loaded.job.gpu.is_some_and(|gpu| gpu.multiprocessors >= 108), "{}", case["id"]);
        let other_rules = loaded.recipe.notes.iter().any(|note| note.contains("rules of"));
        assert!(!other_rules, "{}", case["id"]);
    }
}

#[test]
fn every_other_job_is_refused_with_its_reason() {
    for case in lines(OTHERS) {
        // A job of a family whose class was recorded is answered.
        let Err(error) = job(&case).map(|loaded| loaded.job) else {
            let model = &case["job"]["model"];
            let text = |key: &str| model[key].as_str().unwrap_or_default();
            // A model of another library is named with it.
            let name = match (text("library"), text("_class_name")) {
                ("", "") => text("model_type").to_owned(),
                ("", class) => format!("diffusers.{class}"),
                (library, _) => format!("{library}.{}", text("name")),
            };
            assert!(brimful_models::simulated_families().any(|family| family == name), "{}", case["id"]);
            continue;
        };
        let known = match &error.fault {
            JobFault::NotSimulated { .. } => true,
            JobFault::ModelTable(fault) => matches!(**fault, Fault::NotSimulated { .. }),
            _ => false,
        };
        assert!(known, "{}: {error}", case["id"]);
    }
}
