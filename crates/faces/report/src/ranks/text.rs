use super::RankAnswer;
use crate::forms::{Style, table};

/// The table of ranks, fullest first.
pub fn ranks_text(ranks: &[RankAnswer<'_>]) -> String {
    let mut rows = vec![["  rank", "requested", "allocated", "reserved", ""].map(str::to_owned).to_vec()];
    for answer in ranks {
        let peak = &answer.rank.peak;
        let failed = answer.rank.failed.then(|| Style::BAD.paint("a request failed"));
        let outlier = answer.outlier.then(|| Style::STRONG.paint("unlike the others"));
        let remarks: Vec<String> = failed.into_iter().chain(outlier).collect();
        rows.push(vec![
            format!("  {}", answer.input),
            peak.requested.to_string(),
            peak.allocated.to_string(),
            peak.reserved.to_string(),
            remarks.join(", "),
        ]);
    }
    let verdict = match ranks.first() {
        Some(fullest) => format!("  {} ranks; the fullest is {}", ranks.len(), fullest.input),
        None => "  no rank could be read".to_owned(),
    };
    std::iter::once(verdict).chain(table(&rows)).collect::<Vec<_>>().join("\n") + "\n"
}
