use brimful_explain::Diff;

/// A comparison with what it is of.
pub struct DiffAnswer<'a> {
    /// The first input as it was named.
    pub before: &'a str,
    /// The second input as it was named.
    pub after: &'a str,
    /// What changed.
    pub diff: &'a Diff,
    /// Whether the first and the second input were cut off: their peaks are then lower bounds.
    pub partial: [bool; 2],
    /// What else to know.
    pub notes: &'a [String],
}
