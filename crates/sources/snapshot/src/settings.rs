/// `allocator_settings`: the allocator's settings, as far as PyTorch writes them down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `PYTORCH_CUDA_ALLOC_CONF` as it was set.
    pub conf: String,
    /// Blocks of this many bytes and more are not split; `None` for unlimited.
    pub max_split_size: Option<u64>,
    /// Share of the limit above which unused blocks are returned; 0 is off.
    pub garbage_collection_threshold: f64,
    /// Whether segments grow by mapping pages.
    pub expandable_segments: bool,
    /// Rounding of requests by interval of size.
    pub roundup_power2_divisions: [u64; 16],
    /// Whether the ring overflowed, where the writer says so.
    pub trace_overflowed: Option<bool>,
}
