use brimful_explain::{Block, Peak, Place};
use brimful_plan::{Fit, Grounds, Largest, Row, Verdict};
use brimful_units::Bytes;

use crate::Style;
use crate::table::table;

/// An answer about a job with what stands around it.
pub struct FitAnswer<'a> {
    /// The job as it was named in the call.
    pub job: &'a str,
    /// What the job does, in a line: model, task, precision.
    pub title: &'a str,
    /// The answer.
    pub fit: &'a Fit,
    /// What was assumed because the job did not say.
    pub recipe: &'a [String],
    /// What the user should know about this job's answer.
    pub notes: &'a [String],
    /// The popular estimate of the same job, by part, in bytes; empty where there is none.
    pub rule_of_thumb: &'a [(&'static str, String)],
    /// The largest batch or sequence that fits, where it was asked for.
    pub largest: Option<&'a Largest>,
    /// Techniques, most saved first.
    pub techniques: &'a [Row],
}

/// Width of the bar in characters.
const BAR: usize = 60;

/// The parts of the bar: name, sign, and the keys of the composition that it sums.
const PARTS: [(&str, char, &[&str]); 6] = [
    ("parameters and buffers", '█', &["parameter", "buffer"]),
    ("gradients", '▓', &["gradient"]),
    ("optimizer state", '▒', &["optimizer"]),
    ("activations and inputs", '░', &["activation", "input"]),
    ("logits and loss", '=', &["logits"]),
    ("temporaries and kernels", '-', &["temporary", "kv_cache"]),
];

/// The answer for people: verdict first, what fills the GPU, where the peak is, what was assumed,
/// and the next command.
pub fn fit_text(answer: &FitAnswer<'_>) -> String {
    let mut lines = vec![verdict_line(answer), String::new()];
    lines.extend(bar(answer.fit));
    lines.extend(composition(answer));
    lines.push(String::new());
    lines.extend(answer.fit.peak.as_ref().map(peak_line));
    lines.extend(shortage(answer.fit));
    if answer.fit.retries > 0 && answer.fit.verdict == Verdict::Fits {
        lines.push(format!(
            "  it fits only by returning cached memory {} times: slower steps",
            answer.fit.retries
        ));
    }
    lines.push(String::new());
    lines.push(format!("  assumed: {}", answer.recipe.join(" · ")));
    lines.extend(answer.notes.iter().map(|note| format!("  note: {note}")));
    if answer.fit.verdict == Verdict::DoesNotFit && !answer.techniques.is_empty() {
        lines.push(String::new());
        lines.push(Style::STRONG.paint("  what would help most"));
        lines.extend(technique_lines(answer.techniques.iter().take(3)));
    }
    lines.push(String::new());
    lines.push(next_command(answer));
    lines.join("\n") + "\n"
}

fn verdict_line(answer: &FitAnswer<'_>) -> String {
    let fit = answer.fit;
    let device = fit.device.as_ref();
    let on = device.map_or(String::new(), |device| format!(" on {}", device.name));
    let needs = fit.device_peak;
    match fit.verdict {
        Verdict::Fits => {
            let spare = device.map_or(Bytes::ZERO, |device| device.usable.saturating_sub(needs));
            let usable = device.map_or(Bytes::ZERO, |device| device.usable);
            format!(
                "{} {}{on}\n  needs {needs} of {usable}, {spare} to spare",
                Style::GOOD.paint("✓ fits"),
                answer.title
            )
        }
        Verdict::DoesNotFit => {
            let usable = device.map_or(Bytes::ZERO, |device| device.usable);
            format!(
                "{} {}{on}\n  needs {needs} of {usable}: {} too much",
                Style::BAD.paint("✗ does not fit"),
                answer.title,
                needs.saturating_sub(usable)
            )
        }
        Verdict::NoDevice => {
            format!("{} {}\n  needs {needs} and the CUDA context", Style::STRONG.paint("?"), answer.title)
        }
    }
}

/// Bytes of each part of the bar at the peak.
fn parts(fit: &Fit) -> Vec<(&'static str, char, Bytes)> {
    let all = fit.peak.as_ref().map(|peak| peak.composition.public()).unwrap_or_default();
    let of = |keys: &[&str]| all.iter().filter(|row| keys.contains(&row.0)).map(|row| row.1).sum();
    PARTS.iter().map(|(name, sign, keys)| (*name, *sign, of(keys))).collect()
}

fn bar(fit: &Fit) -> Vec<String> {
    let full = fit.device.as_ref().map_or(fit.device_peak, |device| device.usable.max(fit.device_peak));
    let cells = |bytes: Bytes| (bytes.get() as f64 / full.get().max(1) as f64 * BAR as f64).round() as usize;
    let mut bar: String =
        parts(fit).iter().map(|(_, sign, bytes)| sign.to_string().repeat(cells(*bytes))).collect();
    let used = bar.chars().count();
    let end = fit.device.as_ref().map_or(BAR, |device| cells(device.usable));
    bar.push_str(&" ".repeat(BAR.saturating_sub(used)));
    let mut cut: String = bar.chars().take(BAR.max(used)).collect();
    if end < cut.chars().count() {
        cut = cut
            .chars()
            .enumerate()
            .flat_map(|(at, c)| if at == end { vec!['┃', c] } else { vec![c] })
            .collect();
    }
    let legend = if end < BAR.max(used) { "  ┃ is the end of the GPU" } else { "" };
    vec![format!("  [{cut}]{legend}")]
}

fn composition(answer: &FitAnswer<'_>) -> Vec<String> {
    let fit = answer.fit;
    let share =
        |bytes: Bytes| format!("{:.0} %", bytes.get() as f64 / fit.device_peak.get().max(1) as f64 * 100.0);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, sign, bytes) in parts(fit) {
        if bytes > Bytes::ZERO {
            rows.push(vec![format!("  {sign} {name}"), bytes.to_string(), share(bytes), String::new()]);
        }
    }
    let idle = fit.ledger.reserved.saturating_sub(fit.ledger.requested);
    rows.push(vec!["    allocator: rounding and idle".into(), idle.to_string(), share(idle), String::new()]);
    if let Some(device) = &fit.device {
        rows.push(vec![
            "    CUDA context and kernels".into(),
            device.overhead.to_string(),
            share(device.overhead),
            String::new(),
        ]);
    }
    for row in &mut rows {
        let thumb = answer.rule_of_thumb.iter().find(|thumb| row[0].contains(thumb.0));
        row[3] = thumb.map(|thumb| format!("rule of thumb: {}", thumb.1)).unwrap_or_default();
    }
    table(&rows)
}

fn peak_line(peak: &Peak) -> String {
    format!("  the peak is in {}", place_text(&peak.place))
}

fn place_text(place: &Place) -> String {
    let phase = place.phase.map_or("the run", |phase| phase.name());
    let module = if place.module.is_empty() { String::new() } else { format!(" of {}", place.module) };
    format!("{phase} ({}), op {}{module}", place.phase_name, place.op)
}

fn shortage(fit: &Fit) -> Vec<String> {
    let Some(shortage) = &fit.shortage else { return Vec::new() };
    vec![
        format!("  it fails first in {}:", place_text(&shortage.place)),
        format!("    {}", Style::DIM.paint(&shortage.message)),
    ]
}

fn next_command(answer: &FitAnswer<'_>) -> String {
    let job = answer.job;
    let next = match answer.fit.verdict {
        Verdict::DoesNotFit => format!("brimful fit {job} --techniques"),
        Verdict::Fits => format!("brimful fit {job} --max batch"),
        Verdict::NoDevice => format!("brimful fit {job} --gpu h100-sxm-80gb"),
    };
    format!("  next: {}", Style::STRONG.paint(&next))
}

/// The table of techniques.
pub fn techniques_text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "  no technique that is known here applies to this job\n".to_owned();
    }
    technique_lines(rows.iter()).join("\n") + "\n"
}

fn technique_lines<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<String> {
    let mut cells =
        vec![["  technique", "peak", "saved", "fits", "results", "cost"].map(str::to_owned).to_vec()];
    for row in rows {
        let fits = match row.verdict {
            Verdict::Fits => "yes",
            Verdict::DoesNotFit => "no",
            Verdict::NoDevice => "?",
        };
        cells.push(vec![
            format!("  {}", row.technique),
            row.peak.reserved.to_string(),
            signed(row.saved),
            fits.to_owned(),
            row.outcome.name().to_owned(),
            row.cost.to_owned(),
        ]);
    }
    table(&cells)
}

fn signed(bytes: i64) -> String {
    let amount = Bytes::new(bytes.unsigned_abs());
    if bytes < 0 { format!("-{amount}") } else { amount.to_string() }
}

/// The largest batch or sequence that fits.
pub fn largest_text(job: &str, largest: &Largest) -> String {
    let key = largest.dimension.key();
    match (largest.value, largest.bounded) {
        (None, _) => format!("{job}: not even {key} = 1 fits\n"),
        (Some(value), false) => format!("{job}: the largest {key} that fits is {value}\n"),
        (Some(value), true) => {
            format!("{job}: {key} = {value} fits, and perhaps more: the search ends there\n")
        }
    }
}

/// What each number rests on, and the largest blocks at the peak.
pub fn why_text(fit: &Fit) -> String {
    let mut lines = vec![Style::STRONG.paint("  what the numbers rest on")];
    for Grounds { what, basis } in &fit.grounds {
        let margin = match basis.margin {
            Some(Bytes::ZERO) => String::new(),
            Some(margin) => format!(" (± {margin})"),
            None => " (margin unknown)".to_owned(),
        };
        lines.push(format!("  {what} — {}{margin}: {}", basis.kind.name(), basis.source));
    }
    lines.push(String::new());
    lines.push(Style::STRONG.paint("  ledgers at the peak"));
    lines.push(format!(
        "  requested {} ({} bytes) · allocated {} · reserved {} · on the device {}",
        fit.ledger.requested,
        fit.ledger.requested.get(),
        fit.ledger.allocated,
        fit.ledger.reserved,
        fit.device_peak
    ));
    lines.push(String::new());
    lines.push(Style::STRONG.paint("  the largest blocks at the peak"));
    let blocks = fit.peak.iter().flat_map(|peak| &peak.top);
    lines.extend(table(&blocks.map(block_row).collect::<Vec<_>>()));
    lines.join("\n") + "\n"
}

fn block_row(block: &Block) -> Vec<String> {
    let tensor = block.tensor.as_ref();
    vec![
        format!("  {}", block.category.name()),
        block.bytes.to_string(),
        tensor.map_or("kernel buffer".to_owned(), |(shape, dtype)| format!("{shape} {dtype}")),
        format!("{} {}", block.made.op, block.made.module),
    ]
}
