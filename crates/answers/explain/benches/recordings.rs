//! A real recording: read, replayed, followed, explained. Elements are events.

use std::hint::black_box;

use brimful_explain::snapshot::explain_recording;
use brimful_replay::{AllocatorConfig, Capacity, follow, replay};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::read::GzDecoder;
use std::io::Read;

fn pickle() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/snapshots/varlen.pickle.gz");
    let mut bytes = Vec::new();
    GzDecoder::new(&std::fs::read(path).unwrap()[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

fn recordings(criterion: &mut Criterion) {
    let bytes = pickle();
    let trace = brimful_snapshot::read(&bytes).unwrap().into_trace(0).unwrap();
    let config = AllocatorConfig::default();
    let mut group = criterion.benchmark_group("varlen");
    group.throughput(Throughput::Elements(trace.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| brimful_snapshot::read(black_box(&bytes)).unwrap())
    });
    group.bench_function("replay", |bencher| {
        bencher.iter(|| replay(black_box(&trace), &config, &Capacity::unlimited()));
    });
    group.bench_function("follow", |bencher| bencher.iter(|| follow(black_box(&trace), &config)));
    group.bench_function("explain", |bencher| bencher.iter(|| explain_recording(black_box(&trace), 20)));
    group.finish();
}

criterion_group!(benches, recordings);
criterion_main!(benches);
