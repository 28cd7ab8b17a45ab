//! The strings that mean something to the reader: keys first, then actions and states.

macro_rules! words {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A known string. Keys come first: their number is a bit of a mask.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum Word { $($name),* }

        impl Word {
            const ALL: &[Word] = &[$(Word::$name),*];

            /// The word of these bytes.
            pub fn of(text: &[u8]) -> Option<Word> {
                match text {
                    $($text => Some(Word::$name),)*
                    _ => None,
                }
            }

            /// The bytes of the word.
            pub const fn text(self) -> &'static [u8] {
                match self { $(Word::$name => $text),* }
            }
        }
    };
}

words! {
    Action = b"action", Addr = b"addr", DeviceFree = b"device_free", Size = b"size", Stream = b"stream",
    TimeUs = b"time_us", CompileContext = b"compile_context", UserMetadata = b"user_metadata",
    PoolId = b"pool_id", InternalMetadata = b"internal_metadata", Frames = b"frames",
    ForwardFrames = b"forward_frames", Category = b"category",
    Name = b"name", Filename = b"filename", Line = b"line", FxNodeOp = b"fx_node_op",
    FxNodeName = b"fx_node_name", FxNodeTarget = b"fx_node_target", FxOriginalTrace = b"fx_original_trace",
    Device = b"device", Address = b"address", TotalSize = b"total_size", AllocatedSize = b"allocated_size",
    ActiveSize = b"active_size", RequestedSize = b"requested_size", SegmentType = b"segment_type",
    SegmentPoolId = b"segment_pool_id", IsExpandable = b"is_expandable", Blocks = b"blocks",
    State = b"state", History = b"history", RealSize = b"real_size",
    Segments = b"segments", DeviceTraces = b"device_traces", AllocatorSettings = b"allocator_settings",
    ExternalAnnotations = b"external_annotations", HostSegments = b"host_segments",
    HostTraces = b"host_traces", Stage = b"stage",
    AllocConf = b"PYTORCH_CUDA_ALLOC_CONF", MaxSplitSize = b"max_split_size",
    GcThreshold = b"garbage_collection_threshold", ExpandableSegments = b"expandable_segments",
    Divisions = b"roundup_power2_divisions", PinnedThreads = b"pinned_num_register_threads",
    ReleaseLock = b"release_lock_on_cudamalloc", PinnedRegister = b"pinned_use_cuda_host_register",
    CaptureReuse = b"graph_capture_record_stream_reuse", MaxRoundThreshold = b"max_round_threshold",
    MaxCachedSize = b"max_cached_size", TraceOverflowed = b"trace_alloc_overflowed",
    TraceMaxEntries = b"trace_alloc_max_entries",
    // Not keys from here on.
    Alloc = b"alloc", FreeRequested = b"free_requested", FreeCompleted = b"free_completed",
    SegmentAlloc = b"segment_alloc", SegmentFree = b"segment_free", SegmentMap = b"segment_map",
    SegmentUnmap = b"segment_unmap", Oom = b"oom", Snapshot = b"snapshot", Annotate = b"annotate",
    UserDefined = b"user_defined",
    ActiveAllocated = b"active_allocated", ActivePendingFree = b"active_pending_free",
    ActiveAwaitingFree = b"active_awaiting_free", Inactive = b"inactive",
    Small = b"small", Large = b"large", Start = b"START", End = b"END", NotAvailable = b"N/A",
    Nothing = b"",
}

/// Words below this are keys.
pub(crate) const KEYS: usize = Word::Alloc as usize;

impl Word {
    /// The word's bit in a mask of keys; `None` for a word that is no key.
    #[inline]
    pub const fn bit(self) -> Option<u64> {
        if (self as usize) < KEYS { Some(1 << self as u8) } else { None }
    }

    /// The word of a number that `as u8` gave.
    #[inline]
    pub fn from_number(number: u32) -> Option<Word> {
        Word::ALL.get(number as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_a_mask_and_words_are_found() {
        const { assert!(KEYS <= 64) };
        for (number, word) in Word::ALL.iter().enumerate() {
            assert_eq!(Word::of(word.text()), Some(*word));
            assert_eq!(Word::from_number(number as u32), Some(*word));
        }
        assert_eq!(Word::of(b"seven"), None);
    }
}
