use brimful_explain::Rank;
use serde_json::json;

use crate::style::Style;
use crate::table::table;

/// A rank with its name.
pub struct RankAnswer<'a> {
    /// The file.
    pub input: &'a str,
    /// What was recorded.
    pub rank: Rank,
    /// Whether it is unlike the others.
    pub outlier: bool,
}

/// The ranks as one line of JSON (`brimful.ranks/1`), fullest first.
pub fn ranks_json(ranks: &[RankAnswer<'_>]) -> String {
    let row = |answer: &RankAnswer<'_>| {
        let peak = &answer.rank.peak;
        json!({
            "input": answer.input,
            "peak": {
                "requested": peak.requested.get(),
                "allocated": peak.allocated.get(),
                "reserved": peak.reserved.get(),
            },
            "oom": answer.rank.failed,
            "outlier": answer.outlier,
        })
    };
    json!({"schema": "brimful.ranks/1", "ranks": ranks.iter().map(row).collect::<Vec<_>>()}).to_string()
}

/// The table of ranks, fullest first.
pub fn ranks_text(ranks: &[RankAnswer<'_>]) -> String {
    let mut rows = vec![["  rank", "requested", "allocated", "reserved", ""].map(str::to_owned).to_vec()];
    for answer in ranks {
        let peak = &answer.rank.peak;
        let failed = answer.rank.failed.then(|| Style::BAD.paint("a request failed"));
        let outlier = answer.outlier.then(|| Style::STRONG.paint("unlike the others"));
        let told: Vec<String> = failed.into_iter().chain(outlier).collect();
        rows.push(vec![
            format!("  {}", answer.input),
            peak.requested.to_string(),
            peak.allocated.to_string(),
            peak.reserved.to_string(),
            told.join(", "),
        ]);
    }
    let verdict = match ranks.first() {
        Some(fullest) => format!("  {} ranks; the fullest is {}", ranks.len(), fullest.input),
        None => "  no rank could be read".to_owned(),
    };
    std::iter::once(verdict).chain(table(&rows)).collect::<Vec<_>>().join("\n") + "\n"
}
