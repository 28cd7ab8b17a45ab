use brimful_explain::Rank;

/// A rank with its name.
pub struct RankAnswer<'a> {
    /// The file.
    pub input: &'a str,
    /// What was recorded.
    pub rank: Rank,
    /// Whether it is unlike the others.
    pub outlier: bool,
}
