//! Kinds of texts of which a cause or a change that helps was missed once, in own words: each is concluded from figures, frames or
//! settings of the text.

use brimful_explain::{Diagnosis, diagnose};

fn explain(text: &str) -> Diagnosis {
    diagnose(&brimful_logs::scan(text.as_bytes()).unwrap()).unwrap()
}

fn first(diagnosis: &Diagnosis, count: usize) -> Vec<&str> {
    diagnosis.fixes.iter().take(count).map(|fix| fix.id.as_str()).collect()
}

#[test]
fn the_cause_follows_from_what_the_text_shows() {
    for (text, cause) in [
        (
            "  File \"torch/utils/data/_utils/pin_memory.py\", line 55, in pin_memory\n    return data.pin_memory(device)\n\
             RuntimeError: CUDA error: out of memory\n",
            "pinned-host-memory",
        ),
        (
            "bfc_allocator.cc:501] Allocator (GPU_0_bfc) ran out of memory trying to allocate 1.50TiB (rounded to \
             1649267441664)requested by op \n",
            "index-overflow-or-absurd-size",
        ),
        (
            "cuMemAllocAsync failed to allocate 1319413953331 bytes: RESOURCE_EXHAUSTED\n Reported by CUDA: Free memory/Total \
             memory: 21474836480/85899345920\n",
            "index-overflow-or-absurd-size",
        ),
        (
            "error: (-4:Insufficient memory) Failed to allocate 439804651110400 bytes in function 'OutOfMemoryError'\n",
            "index-overflow-or-absurd-size",
        ),
        (
            "RuntimeError: XPU out of memory. Tried to allocate 2.00 GiB (GPU 0; 15.50 GiB total capacity; 0 bytes already \
             allocated; 0 bytes reserved in total by PyTorch)\n",
            "single-allocation-limit",
        ),
        (
            "- **Node Type:** UNETLoader\n- **Exception Type:** torch.OutOfMemoryError\n- **Exception Message:** Allocation on \
             device \n",
            "weights-do-not-fit",
        ),
        (
            "ggml_metal_init: recommendedMaxWorkingSetSize  = 12000.00 MB\nllama_kv_cache_init:      Metal KV buffer size = \
             9216.00 MiB\nerror: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)\n",
            "kv-cache-does-not-fit",
        ),
        (
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8388608 bytes.\nBufferAssignment stats:\n   parameter \
             allocation:    8.00MiB\n   preallocated temp allocation:         0B\n   total allocation:   16.00MiB\n",
            "unknown",
        ),
    ] {
        assert_eq!(explain(text).cause.class, cause, "{text}");
    }
}

#[test]
fn a_serving_engine_is_advised_its_own_settings() {
    let message = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 250.00 MiB. GPU 0 has a total capacity of 24.00 GiB \
                   of which 150.00 MiB is free. Of the allocated memory 22.50 GiB is allocated by PyTorch, and 200.00 MiB is \
                   reserved by PyTorch but unallocated.\n";
    let diagnosis = explain(&format!(
        "  File \"vllm/v1/worker/gpu_model_runner.py\", line 9, in execute_model\n{message}"
    ));
    assert_eq!(first(&diagnosis, 3), ["lower-memory-utilization", "fewer-sequences", "shorter-context"]);
}

#[test]
fn a_share_that_can_still_rise_is_raised_first() {
    let message =
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.\n";
    let with = |share: &str| explain(&format!("vllm serve m --gpu-memory-utilization {share}\n{message}"));
    assert_eq!(first(&with("0.9"), 1), ["raise-memory-utilization"]);
    assert_eq!(first(&with("0.98"), 2), ["quantize-weights", "disable-cuda-graphs"]);
}

#[test]
fn each_accelerator_is_advised_what_it_has() {
    for (text, wanted, never) in [
        (
            "NvMapMemAllocInternalTagged: 1075072515 error 12\nRuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB.\n",
            "tegrastats",
            "Windows",
        ),
        ("[W dml_heap_allocator.cc:97] DML allocator out of memory!\n", "Task Manager", "nvidia-smi"),
        (
            "Ran out of memory in memory space hbm. Used 17.50G of 15.75G hbm. Exceeded hbm capacity by 1.75G.\n",
            "larger slice",
            "--gpu any",
        ),
        (
            "torch.OutOfMemoryError: XPU out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 15.00 GiB. Of the \
             allocated memory 13.90 GiB is allocated by PyTorch, and 100.00 MiB is reserved by PyTorch but unallocated.\n",
            "halve the batch",
            "CUDA_VISIBLE",
        ),
    ] {
        let diagnosis = explain(text);
        let changes = diagnosis.fixes.iter().map(|fix| fix.apply.as_str());
        let advice: Vec<&str> = changes.chain(diagnosis.cause.tell.as_deref()).collect();
        let advice = advice.join("\n");
        assert!(advice.contains(wanted) && !advice.contains(never), "{text}\n{advice}");
    }
}
