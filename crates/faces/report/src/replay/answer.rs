use brimful_plan::FitVerdict;
use brimful_replay::{Ledger, Timeline};
use brimful_units::Bytes;

/// What a trace became under some settings, with what stands around it.
pub struct ReplayAnswer<'a> {
    /// The input as it was named in the call.
    pub input: &'a str,
    /// The GPU of the snapshot, by its number; `None` for a predicted trace.
    pub device: Option<usize>,
    /// The settings that were replayed.
    pub conf: &'a str,
    /// What the device gives PyTorch; `None` for no end.
    pub capacity: Option<Bytes>,
    /// What became of it.
    pub timeline: &'a Timeline,
    /// The verdict, if the device is a GPU that was named.
    pub verdict: Option<FitVerdict>,
    /// The recorded peaks; `None` for a predicted trace.
    pub recorded: Option<Ledger>,
    /// The stack of the request that failed, innermost first.
    pub stack: &'a [String],
    /// What the user should know.
    pub notes: &'a [String],
}
