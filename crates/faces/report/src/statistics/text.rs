use brimful_snapshot::Amount;
use brimful_units::Bytes;

use super::answer::{StatisticsAnswer, form};
use crate::forms::{Style, table};

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
            "  cached memory was given back {retries} times to make room: each time the GPU waits"
        ));
    }
    if statistics.margin > Bytes::ZERO {
        lines.push(
            Style::DIM.paint(&format!("  note: the table rounds down, by up to {}", statistics.margin)),
        );
    }
    let next =
        "torch.cuda.memory._record_memory_history() and _dump_snapshot(\"snapshot.pickle\") say who holds it";
    lines.push(format!("  next: {}", Style::STRONG.paint(next)));
    lines.join("\n") + "\n"
}
