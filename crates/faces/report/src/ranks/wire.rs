use serde::Serialize;

use super::RankAnswer;
use crate::wire::{Peak, line};

/// The schema `brimful.ranks/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RanksJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.ranks/1")))]
    pub schema: &'static str,
    /// The ranks, fullest first.
    pub ranks: Vec<RankJson<'a>>,
}

/// A rank.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RankJson<'a> {
    /// The file.
    pub input: &'a str,
    /// Its peak.
    pub peak: Peak,
    /// Whether a request failed.
    pub oom: bool,
    /// Whether the file was cut off: the peak is then a lower bound, and the rank is compared with no other.
    pub partial: bool,
    /// Whether its figures can all be true: requested ≤ allocated ≤ reserved.
    pub consistent: bool,
    /// Whether it is unlike the others.
    pub outlier: bool,
}

/// The ranks as one line of JSON, fullest first.
pub fn ranks_json(ranks: &[RankAnswer<'_>]) -> String {
    line(&RanksJson { schema: "brimful.ranks/1", ranks: ranks.iter().map(RankJson::from).collect() })
}

impl<'a> From<&RankAnswer<'a>> for RankJson<'a> {
    fn from(answer: &RankAnswer<'a>) -> RankJson<'a> {
        RankJson {
            input: answer.input,
            peak: (&answer.rank.peak).into(),
            oom: answer.rank.failed,
            partial: answer.partial,
            consistent: answer.rank.peak.is_ordered(),
            outlier: answer.outlier,
        }
    }
}
