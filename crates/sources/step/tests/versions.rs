//! Versions whose rules differ from the newest, against recorded runs of them.

use std::io::{BufRead, BufReader};
use std::path::Path;

use brimful_jobs::{Format, Job, Overrides, load};
use brimful_models::NoFiles;
use brimful_step::simulate;
use brimful_trace::Event;
use flate2::read::GzDecoder;
use serde_json::Value;

/// Allocations (positive) and frees (negative) in bytes. Consecutive frees are sorted: the order in which autocast's
/// cache is cleared differs between two runs of PyTorch.
fn changes(job: &Job) -> Vec<i64> {
    let trace = simulate(job).unwrap();
    let bytes = |id| trace.allocations.bytes(id).get() as i64;
    let changes = trace.events().filter_map(|event| match event {
        Event::Alloc(id) => Some(bytes(id)),
        Event::Free(id) => Some(-bytes(id)),
        _ => None,
    });
    changes.collect()
}

fn settled(changes: &[i64]) -> Vec<i64> {
    let mut all = changes.to_vec();
    for run in all.chunk_by_mut(|a, b| *a < 0 && *b < 0) {
        run.sort_unstable();
    }
    all
}

fn job(id: &str, value: &Value) -> Job {
    load(id, &value.to_string(), Format::Json, &NoFiles, &Overrides::default()).unwrap().job
}

#[test]
fn torch_2_14_allocates_and_frees_in_the_recorded_order() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/step/versions/torch-2.14.1.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    let mut count = 0;
    for line in lines {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let id = row["id"].as_str().unwrap();
        let real: Vec<i64> = row["events"].as_str().unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
        let ours = changes(&job(id, &row["job"]));
        let first = ours.iter().zip(&real).position(|(ours, real)| ours != real);
        let same = ours.len() <= real.len() && settled(&ours) == settled(&real[..ours.len()]);
        assert!(same, "{id}: {} events, recorded {}, first difference at {first:?}", ours.len(), real.len());
        // What follows is the end of the program.
        assert!(real[ours.len()..].iter().all(|change| *change < 0), "{id}");
        count += 1;
    }
    assert!(count > 0, "nothing is recorded");
}

#[test]
fn a_held_workspace_is_taken_once_for_the_forward_and_once_for_the_backward() {
    let text = r#"{"model": {"model_type": "gpt2", "n_embd": 16, "n_head": 2, "n_layer": 2}, "gpu": "a100-sxm-80gb",
        "train": {"batch": 1, "sequence": 8}, "versions": {"torch": "2.14.1"}}"#;
    let job = job("job", &serde_json::from_str(text).unwrap());
    let workspaces = changes(&job).into_iter().filter(|change| change.abs() == 8_519_680).collect::<Vec<_>>();
    assert_eq!(workspaces, [8_519_680, 8_519_680]);
}
