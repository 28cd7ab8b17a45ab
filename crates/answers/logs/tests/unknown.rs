//! A line that speaks of a lack of memory is never passed over in silence: it is known by name, or it is said to be unknown.

use brimful_logs::{Kind, scan};

fn found(text: &str) -> Option<(Kind, String)> {
    scan(text.as_bytes()).unwrap().incident.map(|incident| (incident.kind, incident.format))
}

#[test]
fn messages_of_programs_beside_the_frameworks_are_known_by_name() {
    for (text, kind, format) in [
        ("MemoryError: cuMemAlloc failed: out of memory", Kind::Oom, "pycuda"),
        ("ERROR: Out of GPU memory trying to allocate 512.000 MiB", Kind::Oom, "cuda-jl"),
        ("  what():  for_each failed: out of memory", Kind::Oom, "thrust"),
        (
            "RuntimeError: Executor creation failed due to insufficient GPU memory.",
            Kind::Oom,
            "trtllm-executor",
        ),
        ("System is out of GPU memory", Kind::Oom, "cycles"),
        (
            "j.GpuSplitAndRetryOOM: GPU OutOfMemory: could not split inputs and retry",
            Kind::Oom,
            "spark-rapids",
        ),
        (
            "PxgCudaDeviceMemoryAllocator fail to allocate memory 50331648 bytes!! Result = 2",
            Kind::Oom,
            "physx",
        ),
        ("NvMapMemAllocInternalTagged: 1075072515 error 12", Kind::Oom, "jetson-nvmap"),
        ("MemoryError: Cannot allocate 90000000000 bytes: no memory is available.", Kind::Oom, "tinygrad"),
        (
            "a.cpp(8): Exception(2) tid(77) 8007000E Not enough memory resources are available",
            Kind::Oom,
            "directml",
        ),
        ("ERROR: Insufficient memory on accelerator (src/a.h:1)", Kind::Oom, "lammps"),
        ("[W dml_heap_allocator.cc:97] DML allocator out of memory!", Kind::Oom, "directml-allocator"),
        ("Exception: jetson.utils -- cudaAllocMapped() failed to allocate memory", Kind::Oom, "gpu-named"),
        (
            "OpenCV(4.9.0) a.cpp:73: error: (-4:Insufficient memory) Failed to allocate 1073741824 bytes in function",
            Kind::Host,
            "opencv-host",
        ),
        (
            "a.cu:121: error: (-217:Gpu API call) out of memory in function 'allocate'",
            Kind::Oom,
            "opencv-gpu",
        ),
        (
            "[TensorRT] ERROR: Requested amount of memory (167772160 bytes) could not be allocated.",
            Kind::Oom,
            "trt-tactic",
        ),
        (
            "a (9 / 8)ggml_metal_add_buffer: warning: current allocated size is greater than the recommended max working \
             set size\nggml_metal_get_buffer: error: buffer is nil",
            Kind::Oom,
            "metal-working-set",
        ),
        (
            "gpu_async_0 cuMemAllocAsync failed to allocate 3221225472 bytes: RESOURCE_EXHAUSTED",
            Kind::Oom,
            "xla-cuda-async",
        ),
        ("| WARNING: ran out of memory, skipping batch", Kind::Oom, "swallowed"),
        (
            "max_total_tokens=65536 is larger than the profiled value -120000.",
            Kind::Oom,
            "sglang-negative-pool",
        ),
        (
            "Failed to allocate memory for x with size 268435456 and alignment 16 in AlignedAllocator",
            Kind::Oom,
            "flashinfer-workspace",
        ),
        (
            "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 68719476736",
            Kind::Host,
            "ggml-cpu-buffer",
        ),
        ("Fail to alloc memory of 26424115200 size, error code is 12.", Kind::Host, "paddle-host"),
        ("NCCL WARN Call to posix_fallocate failed : No space left on device", Kind::Shm, "nccl-shm"),
        ("RangeError: Array buffer allocation failed", Kind::Host, "browser-array-buffer"),
        ("RuntimeError: FullyFusedMLP: insufficient shared memory", Kind::Shared, "fused-mlp-shared"),
    ] {
        assert_eq!(found(text), Some((kind, format.to_owned())), "{text}");
    }
}

#[test]
fn the_end_of_an_xla_dump_is_found_behind_a_container_s_prefix() {
    let dump =
        "\t\tSize: 1.50GiB\n\t\tOperator: op_name=\"jit(f)/dot\" source_file=\"a.py\"\n\t\tShape: f32[8,9]\n";
    for prefix in ["", "2026-11-24T10:00:00.123456789Z stderr F ", "trainer-1  | "] {
        let text: String = dump.lines().map(|line| format!("{prefix}{line}\n")).collect();
        assert_eq!(found(&text), Some((Kind::Oom, "xla-bufferassignment".to_owned())), "{prefix}");
    }
}

#[test]
fn a_line_that_no_format_claims_is_unknown_and_is_shown() {
    for line in [
        "error: out of memory",
        "solver: fatal: Out Of Memory",
        "Failed to allocate 512 MB for the lookup table",
        "the worker: OOM error, restarting",
        "bash: fork: Cannot allocate memory",
        "Not enough memory to build the index",
        "insufficient free memory for the cache",
        "java.lang.OutOfMemoryError: GPU pool",
    ] {
        let report = scan(format!("start\n{line}\nend\n").as_bytes()).unwrap();
        let incident = report.incident.unwrap_or_else(|| panic!("{line}"));
        assert_eq!((incident.kind, incident.line), (Kind::Unknown, 2), "{line}: {}", incident.format);
        assert_eq!(incident.message.lines().next(), Some(line));
    }
}

#[test]
fn an_unknown_line_never_hides_a_known_failure() {
    let known = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.";
    for text in [
        format!("error: out of memory\n{known}\n"),
        format!("{known}\n{}error: out of memory\n", "x\n".repeat(9000)),
    ] {
        assert_eq!(found(&text).map(|found| found.0), Some(Kind::Oom));
    }
}

#[test]
fn advice_options_and_code_are_no_failure() {
    for line in [
        "Use gradient checkpointing to avoid out of memory errors",
        "If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF",
        "expandable segments may prevent out of memory",
        "--skip-oom  skip batches that run out of memory instead of failing",
        "    except torch.cuda.OutOfMemoryError:",
        "    raise MemoryError(\"out of memory\")",
        "You can reduce the batch size if you run out of memory.",
        "oom_count=0 out_of_memory=false",
        "/a/cuda/IndexKernel.cu:92: block: [2,0,0]\nAttributeError: module 'torch' has no attribute 'OutOfMemoryError'",
        "step 7: OOM: 0 retries",
        "This model needs 24 GB; with less you will get out of memory errors.",
        "insufficient data for the memory estimate",
    ] {
        assert_eq!(found(&format!("{line}\n")), None, "{line}");
    }
}

#[test]
fn a_heading_or_an_entry_of_a_changelog_is_shown_and_is_no_failure() {
    for line in [
        "# CUDA out of memory",
        "## Out of memory",
        "# fixed the CUDA out of memory",
        "## Troubleshooting: CUDA error: out of memory",
        "1. CUDA out of memory: reduce the batch size",
        "* GPU out of memory during evaluation is now reported (#77)",
        "* Training no longer fails with CUDA out of memory on small cards",
        "# HIP out of memory",
    ] {
        let text = format!("{line}\n");
        assert_eq!(found(&text), Some((Kind::Unknown, "unknown-memory".to_owned())), "{line}");
    }
}

#[test]
fn a_heading_that_quotes_an_error_is_one() {
    for line in
        ["# RuntimeError: CUDA error: out of memory", "### torch.cuda.OutOfMemoryError: CUDA out of memory"]
    {
        assert_eq!(found(&format!("{line}\n")).map(|found| found.0), Some(Kind::Oom), "{line}");
    }
}

#[test]
fn the_driver_s_code_for_a_full_gpu_in_a_call_that_pins_is_the_host_s_memory() {
    let call = "  File \"torch/utils/data/_utils/pin_memory.py\", line 55, in pin_memory\n    return data.pin_memory(device)\n";
    let carets = "           ^^^^^^^^^^^^^^^^^^^^^^^\n";
    let late = "\nCUDA kernel errors might be asynchronously reported at some other API call.\n";
    for (frames, end) in [(call.to_owned(), "\n"), (format!("{call}{carets}"), late)] {
        for class in ["RuntimeError", "torch.AcceleratorError"] {
            let text = format!("{frames}{class}: CUDA error: out of memory{end}");
            assert_eq!(found(&text), Some((Kind::Pinned, "pinned-refused".to_owned())), "{text}");
        }
    }
    let other = "  File \"a.py\", line 5, in forward\n    return x.clone()\nRuntimeError: CUDA error: out of memory\n";
    assert_eq!(found(&format!("{call}{other}")).map(|found| found.0), Some(Kind::Oom));
}
