use brimful_snapshot::Amount;
use brimful_units::Bytes;

use super::answer::{StatisticsAnswer, form};
use crate::forms::{Style, hanging, table, times};

/// Statistics have no blocks; a snapshot has.
const HOW_TO_RECORD: &str = "call torch.cuda.memory._record_memory_history() before the model is built, and \
     torch.cuda.memory._dump_snapshot(\"snapshot.pickle\") at the end";

/// The statistics for people.
pub fn statistics_text(answer: &StatisticsAnswer<'_>) -> String {
    let statistics = answer.statistics;
    let ooms = match statistics.ooms {
        Some(0) => Style::GOOD.paint("  no request failed"),
        Some(ooms) => Style::BAD.paint(&format!("  {ooms} requests failed")),
        None => "  whether a request failed is not in it".to_owned(),
    };
    let mut lines = vec![format!("{} ({})", Style::STRONG.paint(answer.input), form(statistics)), ooms];
    let amounts = [
        ("requested", statistics.requested),
        ("allocated", statistics.allocated),
        ("active", statistics.active),
        ("reserved", statistics.reserved),
        ("stranded beside live blocks", statistics.stranded),
    ];
    let mut rows = vec![["  ", "now", "peak", ""].map(str::to_owned).to_vec()];
    for (name, amount) in amounts {
        let text = |of: fn(Amount) -> Bytes| amount.map_or("?".to_owned(), |amount| of(amount).to_string());
        rows.push(vec![
            format!("  {name}"),
            text(|amount| amount.now),
            text(|amount| amount.peak),
            String::new(),
        ]);
    }
    lines.extend(table(&rows));
    if let Some(retries) = statistics.retries.filter(|retries| *retries > 0) {
        lines.push(format!(
            "  cached memory was given back {} to make room: each time the GPU waits",
            times(retries)
        ));
    }
    if statistics.margin > Bytes::ZERO {
        lines.push(
            Style::DIM.paint(&format!("  note: the table rounds down, by up to {}", statistics.margin)),
        );
    }
    lines.extend(hanging("  to see who holds it: ", HOW_TO_RECORD));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use brimful_snapshot::{Statistics, StatisticsForm};

    use super::*;
    use crate::forms::plain;

    #[test]
    fn what_is_not_in_the_statistics_is_a_question_mark() {
        let amount = |now, peak| Some(Amount { now: Bytes::mib(now), peak: Bytes::mib(peak) });
        let statistics = Statistics {
            form: StatisticsForm::Summary,
            requested: None,
            allocated: amount(2, 3),
            active: amount(2, 4),
            reserved: amount(4, 20),
            stranded: None,
            retries: Some(1),
            ooms: Some(3),
            margin: Bytes::new(1024),
        };
        let text = statistics_text(&StatisticsAnswer { input: "stats.txt", statistics: &statistics });
        let lines: Vec<String> = plain(&text).lines().map(str::to_owned).collect();
        assert_eq!(
            lines[..8],
            [
                "stats.txt (torch.cuda.memory_summary())",
                "  3 requests failed",
                "                                    now       peak",
                "  requested                           ?          ?",
                "  allocated                    2.00 MiB   3.00 MiB",
                "  active                       2.00 MiB   4.00 MiB",
                "  reserved                     4.00 MiB  20.00 MiB",
                "  stranded beside live blocks         ?          ?",
            ]
        );
        assert_eq!(lines[8], "  cached memory was given back once to make room: each time the GPU waits");
        assert_eq!(lines[9], "  note: the table rounds down, by up to 1024 bytes");
    }
}
