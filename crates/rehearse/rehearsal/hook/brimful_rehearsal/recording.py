"""The allocator's history, the peaks of the whole run, and requests that fail."""


def attach(torch, here, settings):
    """Queued until CUDA is initialised: a parent that will fork must not initialise it."""
    whole_run(torch, here)
    torch.cuda._lazy_call(lambda: record(torch, here, settings))


def record(torch, here, settings):
    try:
        torch.cuda.memory._record_memory_history(
            enabled="all", context="all", stacks="python", max_entries=settings["history"]
        )
        torch._C._cuda_attach_out_of_memory_observer(lambda *numbers: failed(here, *numbers))
    except RuntimeError as error:
        # cudaMallocAsync and allocators that are plugged in record nothing.
        here.note(f"no history is recorded: {str(error).splitlines()[0]}")
        return
    here.recording = True
    keep_recording(torch)


def failed(here, device, tried, total, free):
    if len(here.failures) < 64:
        here.failures.append(
            {"device": device, "tried_bytes": tried, "total_bytes": total, "free_bytes": free, "step": here.steps}
        )


def whole_run(torch, here):
    """A program that resets its peaks sees what it would see; the rehearsal keeps those before."""
    reset_peaks = torch._C._cuda_resetPeakMemoryStats
    reset_counts = torch._C._cuda_resetAccumulatedMemoryStats

    def reset_peak_memory_stats(device):
        if here.used_cuda():
            here.fold(device)
        return reset_peaks(device)

    def reset_accumulated_memory_stats(device):
        if here.used_cuda():
            here.fold_counts(device)
        return reset_counts(device)

    torch._C._cuda_resetPeakMemoryStats = reset_peak_memory_stats
    torch._C._cuda_resetAccumulatedMemoryStats = reset_accumulated_memory_stats
    any_device = getattr(torch._C, "_accelerator_resetPeakStats", None)
    if any_device is not None:

        def reset_peak_stats(device):
            if here.used_cuda():
                here.fold(device)
            return any_device(device)

        torch._C._accelerator_resetPeakStats = reset_peak_stats


def keep_recording(torch):
    """A program that stops its own recording does not stop this one."""
    name = "_cuda_record_memory_history"
    change = getattr(torch._C, name)

    def record_memory_history(enabled, *arguments, **named):
        return change(enabled, *arguments, **named) if enabled is not None else None

    setattr(torch._C, name, record_memory_history)
