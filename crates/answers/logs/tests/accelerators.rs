//! Whose memory a message is about, and that no genuine message contradicts itself.

mod corpus;

use brimful_logs::{Accelerator, Incident, scan};
use corpus::{read, records};

fn incident(text: &str) -> Incident {
    scan(text.as_bytes()).unwrap().incident.unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn each_accelerator_is_told_from_the_others() {
    for (text, accelerator) in [
        ("RuntimeError: CUDA error: out of memory", Accelerator::Cuda),
        (
            "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 MiB. If reserved try setting PYTORCH_CUDA_ALLOC_CONF",
            Accelerator::Hip,
        ),
        ("/opt/rocm/lib/libamdhip64.so\nRuntimeError: CUDA error: out of memory", Accelerator::Hip),
        ("XPU out of memory. Tried to allocate 4.00 GiB.", Accelerator::Xpu),
        ("UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY", Accelerator::Xpu),
        (
            "NPU out of memory. Tried to allocate 52.00 MiB (NPU 0; 60.96 GiB total capacity;",
            Accelerator::Npu,
        ),
        ("Ran out of memory in memory space hbm. Used 9.00G of 8.00G hbm.", Accelerator::Tpu),
        (
            "MPS backend out of memory (MPS allocated: 16.00 GB, other allocations: 3.31 GB, max allowed: 18.13 GB).",
            Accelerator::Metal,
        ),
        ("[METAL] Command buffer execution failed: Insufficient Memory", Accelerator::Metal),
        ("Exception(3) tid(4) 8007000E Not enough memory resources are available", Accelerator::DirectMl),
        ("ggml_vulkan: Device memory allocation of size 592512000 failed.", Accelerator::Vulkan),
        (
            "pyopencl._cl.MemoryError: clEnqueueWriteBuffer failed: MEM_OBJECT_ALLOCATION_FAILURE",
            Accelerator::OpenCl,
        ),
        ("WebGPU device error(2): Out of memory", Accelerator::WebGpu),
        ("NvMapMemAllocInternalTagged: 1075072515 error 12\nCUDA error: out of memory", Accelerator::Unified),
        ("OSError: [Errno 12] Cannot allocate memory", Accelerator::Host),
        ("NCCL WARN Call to posix_fallocate failed : No space left on device", Accelerator::Host),
    ] {
        assert_eq!(incident(text).accelerator, Some(accelerator), "{text}");
    }
    assert_eq!(incident("error: out of memory").accelerator, None);
}

#[derive(serde::Deserialize)]
struct Text {
    text: String,
}

#[test]
fn genuine_figures_do_not_contradict_each_other() {
    let genuine = read::<Text>("genuine.jsonl.gz").into_iter().chain(read("fresh.jsonl.gz"));
    let texts: Vec<String> = genuine.map(|text| text.text).collect();
    let found: Vec<(Vec<String>, &String)> = texts
        .iter()
        .filter_map(|text| Some((scan(text.as_bytes()).unwrap().incident?.contradictions, text)))
        .filter(|(contradictions, _)| !contradictions.is_empty())
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn few_reports_contradict_themselves() {
    let contradicts = |text: &str| {
        scan(text.as_bytes()).unwrap().incident.is_some_and(|incident| !incident.contradictions.is_empty())
    };
    let records = records();
    let ids: Vec<&String> =
        records.iter().filter(|record| contradicts(&record.text)).map(|record| &record.id).collect();
    assert!(ids.len() * 50 <= records.len(), "{ids:?}");
}

#[test]
fn a_cut_number_is_said_to_contradict_the_others() {
    let text = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 23.65 GiB of \
        which 412.00 MiB is free. Including non-PyTorch memory, this process has 2.83 GiB memory in use. Of the allocated memory \
        21.34 GiB is allocated by PyTorch, and 1.07 GiB is reserved by PyTorch but unallocated.";
    assert_eq!(incident(text).contradictions, ["PyTorch holds 22.41 GiB and its whole process 2.83 GiB"]);
}
