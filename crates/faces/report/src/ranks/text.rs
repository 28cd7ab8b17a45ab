use super::RankAnswer;
use crate::forms::{Style, counted, table};

/// The table of ranks, fullest first.
pub fn ranks_text(ranks: &[RankAnswer<'_>]) -> String {
    let mut rows = vec![["  rank", "requested", "allocated", "reserved", ""].map(str::to_owned).to_vec()];
    for answer in ranks {
        let peak = &answer.rank.peak;
        let failed = answer.rank.failed.then(|| Style::BAD.paint("a request failed"));
        let outlier = answer.outlier.then(|| Style::STRONG.paint("unlike the others"));
        let partial = answer.partial.then(|| Style::BAD.paint("cut off: at least"));
        let damaged = (!peak.is_ordered()).then(|| Style::BAD.paint("contradicts itself"));
        let remarks: Vec<String> = failed.into_iter().chain(partial).chain(damaged).chain(outlier).collect();
        rows.push(vec![
            format!("  {}", answer.input),
            peak.requested.to_string(),
            peak.allocated.to_string(),
            peak.reserved.to_string(),
            remarks.join(", "),
        ]);
    }
    let cut = ranks.iter().filter(|rank| rank.partial).count();
    let number = counted(ranks.len() as u64, "rank");
    let verdict = match ranks.iter().find(|rank| !rank.partial) {
        Some(fullest) if cut == 0 => format!("  {}; the fullest is {}", number, fullest.input),
        Some(fullest) => {
            format!("  {number}, of which {cut} cut off; the fullest of the whole ones is {}", fullest.input)
        }
        None if cut > 0 => format!("  {number}, all cut off: which is the fullest is not known"),
        // Each error of the reply says why; a table without rows would say nothing.
        None => return String::new(),
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
            RankAnswer { input, rank: Rank { peak, failed }, partial: false, outlier }
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
    fn a_rank_that_was_cut_off_is_never_the_fullest() {
        let peak =
            |mib| Ledger { requested: Bytes::mib(1), allocated: Bytes::mib(1), reserved: Bytes::mib(mib) };
        let rank = |input, mib, partial| RankAnswer {
            input,
            rank: Rank { peak: peak(mib), failed: false },
            partial,
            outlier: false,
        };
        let text = plain(&ranks_text(&[rank("cut", 300, true), rank("whole", 2, false)]));
        assert!(
            text.starts_with("  2 ranks, of which 1 cut off; the fullest of the whole ones is whole\n"),
            "{text}"
        );
        assert!(text.contains("300.00 MiB  cut off: at least\n"), "{text}");
        let text = plain(&ranks_text(&[rank("cut", 300, true)]));
        assert!(text.starts_with("  1 rank, all cut off"), "{text}");
    }

    #[test]
    fn no_rank_is_said_to_be_none() {
        assert_eq!(ranks_text(&[]), "");
    }
}
