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

#[cfg(test)]
mod tests {
    use brimful_explain::Rank;
    use brimful_replay::Ledger;
    use brimful_units::Bytes;

    use super::*;
    use crate::forms::plain;

    #[test]
    fn the_fullest_rank_is_named_and_what_is_special_stands_beside_each() {
        let rank = |input, mib, failed, outlier| {
            let peak = Ledger {
                requested: Bytes::mib(mib),
                allocated: Bytes::mib(mib + 1),
                reserved: Bytes::mib(mib + 2),
            };
            RankAnswer { input, rank: Rank { peak, failed }, outlier }
        };
        let text = ranks_text(&[rank("rank1", 300, true, true), rank("rank0", 2, false, false)]);
        assert_eq!(
            plain(&text),
            "  2 ranks; the fullest is rank1\n\
             \x20 rank    requested   allocated    reserved\n\
             \x20 rank1  300.00 MiB  301.00 MiB  302.00 MiB  a request failed, unlike the others\n\
             \x20 rank0    2.00 MiB    3.00 MiB    4.00 MiB\n"
        );
    }

    #[test]
    fn no_rank_is_said_to_be_none() {
        assert!(ranks_text(&[]).starts_with("  no rank could be read\n"));
    }
}
