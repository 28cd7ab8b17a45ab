//! The whole process, from the shell's call to its end.

use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process");
    for model in ["llama-3-8b", "llama-3-70b"] {
        group.bench_function(model, |bencher| {
            bencher.iter(|| {
                let arguments = ["fit", model, "--gpu", "h100-sxm-80gb", "--json"];
                let status = Command::new(env!("CARGO_BIN_EXE_brimful"))
                    .args(arguments)
                    .stdout(Stdio::null())
                    .status()
                    .unwrap();
                assert!(status.code().is_some_and(|code| code < 2), "{status}");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, process);
criterion_main!(benches);
