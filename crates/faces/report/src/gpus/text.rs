use brimful_devices::catalogue::Entry;

use crate::forms::table;

/// The GPUs for people: what to type, the memory that the driver reports, and the name.
pub fn gpus_text(gpus: &[Entry]) -> String {
    let mut rows =
        vec![["  --gpu", "memory", "capability", "multiprocessors", "name"].map(str::to_owned).to_vec()];
    rows.extend(gpus.iter().map(row));
    let simulated = gpus.iter().filter(|gpu| gpu.cuda.is_some()).count();
    let count = format!("{} GPUs, of which {simulated} run CUDA: --gpu takes those", gpus.len());
    format!("{}\n\n  {count}\n", table(&rows).join("\n"))
}

fn row(gpu: &Entry) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let (capability, multiprocessors) = match &gpu.cuda {
        Some(cuda) => {
            let (major, minor) = cuda.compute_capability;
            (format!("{major}.{minor}"), cuda.multiprocessors.to_string())
        }
        None => ("no CUDA".to_owned(), String::new()),
    };
    vec![
        format!("  {}", gpu.id),
        gpu.total.map_or_else(unknown, |total| total.to_string()),
        capability,
        multiprocessors,
        gpu.name.to_owned(),
    ]
}
