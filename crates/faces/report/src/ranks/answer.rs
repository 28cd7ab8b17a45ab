use brimful_explain::Rank;

/// A rank with its name.
pub struct RankAnswer<'a> {
    /// The file.
    pub input: &'a str,
    /// What was recorded.
    pub rank: Rank,
    /// Whether the file was cut off: the peak is then a lower bound.
    pub partial: bool,
    /// Whether it is unlike the others.
    pub outlier: bool,
}
