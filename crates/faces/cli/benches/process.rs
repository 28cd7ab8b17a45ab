//! The whole process, from the shell's call to its end.

use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};

/// Commands whose answer is short: the start of the process is most of their time.
const COLD: [(&str, &[&str]); 5] = [
    ("cold version", &["--version"]),
    ("cold facts", &["--version", "--facts"]),
    ("cold list of causes", &["explain", "--list"]),
    ("cold cause", &["explain", "--cause", "fragmentation"]),
    ("cold log", &["explain", "LOG", "--json"]),
];

/// A log of three lines, which names no program: the most patterns are looked at.
const LOG: &str = "Traceback (most recent call last):
  File \"train.py\", line 12, in step
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 23.65 GiB of which 412.00 MiB is free.
";

fn run(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.code().is_some_and(|code| code < 2), "{status}");
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process");
    for model in ["llama-3-8b", "llama-3-70b"] {
        let arguments = ["fit", model, "--gpu", "h100-sxm-80gb", "--json"];
        group.bench_function(model, |bencher| bencher.iter(|| run(&arguments)));
    }
    let log = std::env::temp_dir().join(format!("brimful-bench-{}.log", std::process::id()));
    std::fs::write(&log, LOG).unwrap();
    let path = log.to_str().unwrap();
    for (name, arguments) in COLD {
        let arguments: Vec<&str> =
            arguments.iter().map(|argument| if *argument == "LOG" { path } else { argument }).collect();
        group.bench_function(name, |bencher| bencher.iter(|| run(&arguments)));
    }
    std::fs::remove_file(&log).unwrap();
    group.finish();
}

criterion_group!(benches, process);
criterion_main!(benches);
