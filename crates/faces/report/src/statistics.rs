use brimful_snapshot::{Amount, Statistics, StatisticsForm};
use brimful_units::Bytes;
use serde_json::{Value, json};

use crate::style::Style;
use crate::table::table;

/// PyTorch's statistics with what stands around them.
pub struct StatisticsAnswer<'a> {
    /// The input as it was named in the call.
    pub input: &'a str,
    /// What they say.
    pub statistics: &'a Statistics,
}

fn form(statistics: &Statistics) -> &'static str {
    match statistics.form {
        StatisticsForm::Stats => "torch.cuda.memory_stats()",
        StatisticsForm::Summary => "torch.cuda.memory_summary()",
    }
}

/// The statistics in the schema `brimful.explain/1`: one line of JSON.
pub fn statistics_json(answer: &StatisticsAnswer<'_>) -> String {
    let statistics = answer.statistics;
    let now = |amount: Option<Amount>| amount.map(|amount| amount.now.get());
    let peak = |amount: Option<Amount>| amount.map(|amount| amount.peak.get());
    let idle = statistics.reserved.zip(statistics.allocated);
    let idle = idle.map(|(reserved, allocated)| reserved.now.saturating_sub(allocated.now).get());
    json!({
        "schema": "brimful.explain/1",
        "input": answer.input,
        "is_gpu_oom": statistics.ooms.unwrap_or(0) > 0,
        "framework": "pytorch",
        "format": form(statistics),
        "facts": {
            "tried_bytes": Value::Null,
            "total_bytes": Value::Null,
            "free_bytes": Value::Null,
            "allocated_bytes": now(statistics.allocated),
            "reserved_bytes": now(statistics.reserved),
            "reserved_unallocated_bytes": idle,
            "process_in_use_bytes": Value::Null,
        },
        "cause": Value::Null,
        "fixes": [],
        "peak": {
            "requested": peak(statistics.requested),
            "allocated": peak(statistics.allocated),
            "active": peak(statistics.active),
            "reserved": peak(statistics.reserved),
            "device": Value::Null,
        },
        "fragmentation": { "stranded": now(statistics.stranded), "stranded_peak": peak(statistics.stranded) },
        "retries": statistics.retries,
        "ooms": statistics.ooms,
        "margin": statistics.margin.get(),
    })
    .to_string()
}

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
