use brimful_explain::Diff;

/// A comparison with what it is of.
pub struct DiffAnswer<'a> {
    /// The first input as it was named.
    pub before: &'a str,
    /// The second input as it was named.
    pub after: &'a str,
    /// What changed.
    pub diff: &'a Diff,
    /// What else to know.
    pub notes: &'a [String],
}
