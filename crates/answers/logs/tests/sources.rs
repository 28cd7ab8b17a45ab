//! Who wrote a message: its rank, its process, its program.

use brimful_logs::{Incident, Report, scan};

const MESSAGE: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.74 GiB. GPU 1 has a total capacity of 23.57 GiB of \
    which 605.88 MiB is free. Of the allocated memory 20.21 GiB is allocated by PyTorch, and 185.98 MiB is reserved by PyTorch but \
    unallocated.";

fn report(text: &str) -> Report {
    scan(text.as_bytes()).unwrap()
}

fn incident(text: &str) -> Incident {
    report(text).incident.unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn a_process_id_is_no_rank() {
    for prefix in ["(EngineCore pid=1094)", "(ActorModelRayActor pid=1094)", "(Worker_PP0 pid=1094)"] {
        assert_eq!(incident(&format!("{prefix} {MESSAGE}\n")).rank, None, "{prefix}");
    }
    assert_eq!(incident(&format!("[rank5]: {MESSAGE}\n")).rank.as_deref(), Some("5"));
    assert_eq!(incident(&format!("(Trainer rank=5 pid=1094) {MESSAGE}\n")).rank.as_deref(), Some("5"));
}

#[test]
fn numbers_that_count_the_lines_are_no_ranks() {
    let text: String = ["start", "Traceback (most recent call last):", MESSAGE, "end"]
        .iter()
        .zip(7..)
        .map(|(line, number)| format!("{number}: {line}\n"))
        .collect();
    let incident = incident(&text);
    assert_eq!((incident.rank, incident.line), (None, 3));
    assert!(incident.frames.contains("Traceback"), "{}", incident.frames);
}

#[test]
fn later_failures_count_ranks_and_not_processes() {
    let log = |prefix: &str| {
        let line =
            |n: u32| format!("{} {MESSAGE}\n{}", prefix.replace('#', &n.to_string()), "step\n".repeat(400));
        (0..3).map(line).collect::<String>()
    };
    let (ranks, processes) = (report(&log("[rank#]:")), report(&log("(Worker pid=100#)")));
    assert_eq!((ranks.later, ranks.later_ranks), (2, vec!["1".to_owned(), "2".to_owned()]));
    assert_eq!((processes.later, processes.later_ranks.len()), (2, 0));
}

#[test]
fn the_prefix_of_a_vllm_process_names_vllm() {
    for prefix in ["(EngineCore_DP0 pid=9817)", "(Worker_TP1 pid=2)", "(VllmWorkerProcess pid=90)"] {
        assert_eq!(incident(&format!("{prefix} {MESSAGE}\n")).framework, "vllm", "{prefix}");
    }
    assert_eq!(incident(&format!("(Trainer pid=2) {MESSAGE}\n")).framework, "pytorch");
}

#[test]
fn programs_built_on_others_are_told_apart() {
    let metal = "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)";
    assert_eq!(incident(metal).framework, "mlx");
    let pool = "external/xla/xla/tsl/framework/bfc_allocator.cc:497] Allocator (GPU_0_bfc) ran out of memory trying to allocate \
        47.20GiB (rounded to 50677266944)requested by op \n";
    assert_eq!(incident(pool).framework, "jax");
}

#[test]
fn a_class_without_its_module_names_no_version() {
    let text = MESSAGE.strip_prefix("torch.").unwrap();
    assert_eq!(incident(text).title, "PyTorch 2.2 on: total capacity");
}
