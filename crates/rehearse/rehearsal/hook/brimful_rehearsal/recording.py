"""The allocator's history, the peaks of the whole run, and requests that fail."""

# Failed requests that a record keeps: a program that retries for ever would fill the file.
FAILURE_LIMIT = 64


def attach(torch, record):
    """Records from the initialisation of CUDA on. A parent that will fork must not initialise it."""
    keep_peaks(torch, record)
    torch.cuda._lazy_call(lambda: start_history(torch, record))


def start_history(torch, record):
    """Has PyTorch record its history, if this allocator can."""
    try:
        torch.cuda.memory._record_memory_history(
            enabled="all", context="all", stacks="python", max_entries=record.settings.history
        )
        torch._C._cuda_attach_out_of_memory_observer(lambda *numbers: add_failure(record, *numbers))
    except RuntimeError as error:
        # cudaMallocAsync and allocators that are plugged in record nothing.
        record.note(f"no history is recorded: {str(error).splitlines()[0]}")
        return
    record.recording = True
    keep_recording(torch)


def add_failure(record, device, tried, total, free):
    """PyTorch's observer of requests that fail; all sizes are bytes."""
    if len(record.failures) < FAILURE_LIMIT:
        record.failures.append(
            {
                "device": device,
                "tried_bytes": tried,
                "total_bytes": total,
                "free_bytes": free,
                "step": record.steps,
                "asked": record.asked(device),
            }
        )


def keep_peaks(torch, record):
    """Keeps the peaks and counts that the program resets; the program itself sees PyTorch's answers."""
    reset_peaks = torch._C._cuda_resetPeakMemoryStats
    reset_counts = torch._C._cuda_resetAccumulatedMemoryStats

    def reset_peak_memory_stats(device):
        if record.used_cuda():
            record.fold(device)
        return reset_peaks(device)

    def reset_accumulated_memory_stats(device):
        if record.used_cuda():
            record.fold_counts(device)
        return reset_counts(device)

    torch._C._cuda_resetPeakMemoryStats = reset_peak_memory_stats
    torch._C._cuda_resetAccumulatedMemoryStats = reset_accumulated_memory_stats
    any_device = getattr(torch._C, "_accelerator_resetPeakStats", None)
    if any_device is not None:

        def reset_peak_stats(device):
            if record.used_cuda():
                record.fold(device)
            return any_device(device)

        torch._C._accelerator_resetPeakStats = reset_peak_stats


def keep_recording(torch):
    """Ignores a program that stops its own recording: this one continues."""
    name = "_cuda_record_memory_history"
    change = getattr(torch._C, name)

    def record_memory_history(enabled, *args, **kwargs):
        return change(enabled, *args, **kwargs) if enabled is not None else None

    setattr(torch._C, name, record_memory_history)
