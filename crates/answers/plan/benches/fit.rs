//! The parts of an answer: the step, the replay of its trace, and both with the answer around them.

use std::hint::black_box;

use brimful_jobs::{Job, Overrides, open};
use brimful_models::NoFiles;
use brimful_plan::fit;
use brimful_replay::{AllocatorConfig, Capacity, replay};
use brimful_step::simulate;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn job(model: &str) -> Job {
    open(model, &NoFiles, &Overrides::default().set("gpu", "h100-sxm-80gb")).unwrap().job
}

fn parts(criterion: &mut Criterion) {
    for model in ["llama-3-8b", "llama-3-70b"] {
        let job = job(model);
        let trace = simulate(&job).unwrap();
        let mut group = criterion.benchmark_group(model);
        group.throughput(Throughput::Elements(trace.len() as u64));
        group.bench_function("step", |bencher| bencher.iter(|| simulate(black_box(&job)).unwrap()));
        let (config, capacity) = (AllocatorConfig::default(), Capacity::unlimited());
        group.bench_function("replay", |bencher| {
            bencher.iter(|| replay(black_box(&trace), &config, &capacity));
        });
        group.bench_function("fit", |bencher| bencher.iter(|| fit(black_box(&job)).unwrap()));
        group.finish();
    }
}

criterion_group!(benches, parts);
criterion_main!(benches);
