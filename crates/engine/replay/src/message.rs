use brimful_units::Bytes;

use crate::timeline::Oom;

/// The error that PyTorch 2.15 raises at this failure
/// (`c10/cuda/CUDACachingAllocator.cpp`, `malloc`), for device 0 and a process of its own.
pub fn out_of_memory_text(oom: &Oom, expandable_segments: bool) -> String {
    let reserved_idle = oom.reserved.saturating_sub(oom.allocated);
    let advice = if expandable_segments {
        String::new()
    } else {
        " If reserved but unallocated memory is large try setting \
         PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation."
            .to_owned()
    };
    format!(
        "CUDA out of memory. Tried to allocate {}. GPU 0 has a total capacity of {} of which {} is free. \
         Including non-PyTorch memory, this process has {} memory in use. Of the allocated memory {} is \
         allocated by PyTorch, and {} is reserved by PyTorch but unallocated.{advice}",
        oom.tried,
        oom.total,
        oom.free,
        oom.total.saturating_sub(oom.free),
        oom.allocated,
        reserved_idle,
    )
}

impl Oom {
    /// What the process had in use, PyTorch's and its own, in bytes.
    pub fn in_use(&self) -> Bytes {
        self.total.saturating_sub(self.free)
    }
}
