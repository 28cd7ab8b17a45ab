//! The speed of the first pass: a log of 64 interleaved ranks with one failure near its end, and one in which every line
//! speaks of memory and nothing failed.

use std::fmt::Write;
use std::hint::black_box;

use brimful_logs::scan;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Steps of 64 ranks, then one failure, then a little more.
fn log(bytes: usize, colours: bool) -> String {
    let (on, off) = if colours { ("\x1b[32m", "\x1b[0m") } else { ("", "") };
    let mut log = String::with_capacity(bytes + 4096);
    let mut step = 0;
    while log.len() < bytes {
        step += 1;
        let rank = step % 64;
        writeln!(
            log,
            "[rank{rank}]: 2026-11-24 10:00:00,{:03} {on}INFO{off} trainer.py:88 step={step} loss=2.31 grad_norm=0.71 lr=2e-05 \
             max_memory_allocated=61.{rank}GiB tokens/s=14{rank}.3",
            step % 1000
        )
        .unwrap();
    }
    log += "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.74 GiB. GPU 1 has a total capacity of \
            23.57 GiB of which 605.88 MiB is free. Of the allocated memory 20.21 GiB is allocated by PyTorch, and 185.98 MiB \
            is reserved by PyTorch but unallocated.\n[rank3]: exiting\n";
    log
}

/// Healthy texts, again and again with other numbers: every line speaks of memory.
fn healthy(bytes: usize) -> String {
    let texts = include_str!("../../../../fixtures/logs/healthy.txt");
    let lines: Vec<&str> = texts.lines().filter(|line| !line.starts_with("== ")).collect();
    let mut log = String::with_capacity(bytes + 4096);
    let mut n = 0;
    while log.len() < bytes {
        n += 1;
        for line in &lines {
            log += &line.replace("{n}", &(n % 1000).to_string());
            log.push('\n');
        }
    }
    log
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(20);
    for (name, colours) in [("64 ranks", false), ("64 ranks in colour", true)] {
        let log = log(64 << 20, colours);
        group.throughput(Throughput::Bytes(log.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| scan(black_box(log.as_bytes())).unwrap().incident.unwrap().line)
        });
    }
    let log = healthy(64 << 20);
    group.throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function("healthy lines about memory", |bencher| {
        bencher.iter(|| scan(black_box(log.as_bytes())).unwrap().incident.is_none())
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
