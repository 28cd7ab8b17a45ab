use brimful_explain::snapshot::Explanation;

/// The explanation of a recorded snapshot with what stands around it.
pub struct RecordingAnswer<'a> {
    /// The input as it was named in the call.
    pub input: &'a str,
    /// How it was written, such as "PyTorch memory snapshot (torch 2.14 or later)".
    pub format: &'a str,
    /// The GPU, by its number.
    pub device: usize,
    /// How many events it has.
    pub events: usize,
    /// The explanation.
    pub explanation: &'a Explanation,
    /// What could not be read.
    pub unread: &'a [String],
    /// Whether only a part of the file could be read.
    pub partial: bool,
}
