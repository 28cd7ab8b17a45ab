use brimful_explain::{Block, Peak, Place};
use brimful_jobs::{Assumption, Job, LoadedJob};
use brimful_plan::{Fit, FitVerdict as Verdict, Grounds, Largest, Limit, Row, rule_of_thumb};
use brimful_replay::Ledger;
use brimful_units::Bytes;

use super::FitAnswer;
use crate::forms::bar::{WIDTH, bar, cells, sign};
use crate::forms::{Style, can_be_named_again, next_line, table, wrapped};
use crate::recipe::{recipe, title};

/// The parts of the bar: name, and the keys of the composition that it sums, which share a sign.
const PARTS: [(&str, &[&str]); 7] = [
    ("parameters and buffers", &["parameter", "buffer"]),
    ("gradients", &["gradient"]),
    ("optimizer state", &["optimizer"]),
    ("activations and inputs", &["activation", "input"]),
    ("logits and loss", &["logits"]),
    ("KV cache", &["kv_cache"]),
    ("temporaries and kernels", &["temporary"]),
];

/// The answer for people: verdict first, what fills the GPU, where the peak is, what was assumed,
/// and the next command.
pub fn fit_text(answer: &FitAnswer<'_>) -> String {
    let mut lines = vec![verdict_line(answer), String::new()];
    lines.push(bar_line(answer.fit));
    lines.extend(composition(answer));
    lines.push(String::new());
    lines.extend(answer.fit.peak.as_ref().map(peak_line));
    lines.extend(shortage(answer.fit));
    lines.extend(answer.fit.squeezed.as_ref().map(|squeezed| squeezed_line(answer.fit, squeezed)));
    lines.push(String::new());
    lines.extend(recipe_lines(answer.loaded));
    if answer.fit.verdict == Verdict::DoesNotFit && !answer.techniques.is_empty() {
        lines.push(String::new());
        lines.push(Style::STRONG.paint("  what would help most"));
        lines.extend(technique_lines(answer.techniques.iter().take(3)));
    }
    if let Some(next) = next_command(answer) {
        lines.extend([String::new(), next_line(&next)]);
    }
    lines.join("\n") + "\n"
}

fn verdict_line(answer: &FitAnswer<'_>) -> String {
    let fit = answer.fit;
    let device = fit.device.as_ref();
    let on = device.map_or(String::new(), |device| format!(" on {}", device.name));
    let needs = fit.device_peak;
    match fit.verdict {
        Verdict::Fits => {
            let spare = Bytes::new(device.map_or(0, |device| device.headroom.max(0).unsigned_abs()));
            let usable = device.map_or(Bytes::ZERO, |device| device.usable);
            format!(
                "{}: {}{on}\n  needs {needs} of {usable}, {spare} to spare",
                Style::GOOD.paint("✓ fits"),
                title(answer.loaded)
            )
        }
        Verdict::DoesNotFit => {
            let usable = device.map_or(Bytes::ZERO, |device| device.usable);
            format!(
                "{}: {}{on}\n  needs {needs} of {usable}: {} too much",
                Style::BAD.paint("✗ does not fit"),
                title(answer.loaded),
                needs.saturating_sub(usable)
            )
        }
        Verdict::NoDevice => {
            format!(
                "{}\n  needs {needs} and the CUDA context; no GPU was named",
                Style::STRONG.paint(&title(answer.loaded))
            )
        }
    }
}

/// Bytes of each part of the bar at the peak.
fn parts(fit: &Fit) -> Vec<(&'static str, char, Bytes)> {
    let all = fit.peak.as_ref().map(|peak| peak.composition.public()).unwrap_or_default();
    let of = |keys: &[&str]| all.iter().filter(|row| keys.contains(&row.0)).map(|row| row.1).sum();
    PARTS.iter().map(|(name, keys)| (*name, sign(keys[0]), of(keys))).collect()
}

/// The bar, as wide as the GPU, or as the peak where that is more; then the GPU's end is marked.
fn bar_line(fit: &Fit) -> String {
    let usable = fit.device.as_ref().map(|device| device.usable);
    let full = usable.map_or(fit.device_peak, |usable| usable.max(fit.device_peak));
    let mut drawn = bar(parts(fit).into_iter().map(|(_, sign, bytes)| (sign, bytes)), full);
    let end = usable.map_or(WIDTH, |usable| cells(usable, full));
    if end >= WIDTH {
        return format!("  [{drawn}]");
    }
    // The bar begins with a mark of its own, which takes no room.
    let at = drawn.char_indices().nth(end + 1).map_or(drawn.len(), |(at, _)| at);
    drawn.insert(at, '┃');
    format!("  [{drawn}]  ┃ is the end of the GPU")
}

fn composition(answer: &FitAnswer<'_>) -> Vec<String> {
    let fit = answer.fit;
    let guesses = guesses(&answer.loaded.job);
    let share =
        |bytes: Bytes| format!("{:.0} %", bytes.get() as f64 / fit.device_peak.get().max(1) as f64 * 100.0);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, sign, bytes) in parts(fit) {
        let guess = guesses.iter().find(|guess| guess.0 == name);
        if bytes > Bytes::ZERO || guess.is_some() {
            let beside = guess.map(|guess| format!("rule of thumb: {}", guess.1)).unwrap_or_default();
            rows.push(vec![format!("  {sign} {name}"), bytes.to_string(), share(bytes), beside]);
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
    let guess = guesses.iter().find(|guess| guess.0 == TOGETHER);
    let beside = guess.map(|guess| format!("rule of thumb: {}", guess.1)).unwrap_or_default();
    rows.push(vec![format!("    {TOGETHER}"), fit.device_peak.to_string(), share(fit.device_peak), beside]);
    table(&rows)
}

/// The row of the sum.
const TOGETHER: &str = "together";

/// The popular guess at each part. It counts billions of bytes, and is shown in the unit of the column beside it.
fn guesses(job: &Job) -> Vec<(&'static str, String)> {
    let Some(thumb) = rule_of_thumb(job) else { return Vec::new() };
    let known = thumb.weights + thumb.gradients + thumb.optimizer;
    let (least, most) = thumb.activations;
    let range = |from: f64, to: f64| format!("{}–{} GiB", gib(from), gib(to));
    vec![
        ("parameters and buffers", format!("{} GiB", gib(thumb.weights))),
        ("gradients", format!("{} GiB", gib(thumb.gradients))),
        ("optimizer state", format!("{} GiB", gib(thumb.optimizer))),
        ("activations and inputs", range(least, most)),
        (TOGETHER, range(known + least, known + most)),
    ]
}

/// Billions of bytes in GiB, with a digit after the point below ten.
fn gib(billions: f64) -> String {
    let gib = billions * 1e9 / (1_u64 << 30) as f64;
    if gib < 9.95 { format!("{gib:.1}") } else { format!("{gib:.0}") }
}

/// What was simulated, which of it was not said by the job, and what else to know.
fn recipe_lines(loaded: &LoadedJob) -> Vec<String> {
    let mut lines = wrapped("  recipe: ", 4, &recipe(&loaded.job).join(" · "));
    let assumed: Vec<String> = loaded.recipe.assumed.iter().map(assumption).collect();
    if !assumed.is_empty() {
        lines.extend(wrapped("  assumed: ", 4, &assumed.join(", ")));
    }
    lines.extend(loaded.recipe.notes.iter().flat_map(|note| wrapped("  note: ", 4, note)));
    lines
}

fn assumption(one: &Assumption) -> String {
    let why = if one.why == "the default" { String::new() } else { format!(" ({})", one.why) };
    format!("{}={}{why}", one.key, one.value)
}

fn peak_line(peak: &Peak) -> String {
    format!("  the peak is in {}", place_text(&peak.place))
}

fn squeezed_line(fit: &Fit, squeezed: &Ledger) -> String {
    format!(
        "  it fits only because the allocator returns cached memory ({} reserved at most, {} full retries): slower steps",
        squeezed.reserved, fit.retries
    )
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

/// The command to type next; `None` if it was just typed, or if the job came through a pipe and is gone.
fn next_command(answer: &FitAnswer<'_>) -> Option<String> {
    let call = answer.call;
    let (command, was_typed) = match answer.fit.verdict {
        Verdict::DoesNotFit => (format!("brimful fit {call} --techniques"), answer.techniques_were_asked_for),
        Verdict::Fits => (format!("brimful fit {call} --max batch"), answer.largest.is_some()),
        Verdict::NoDevice => (format!("brimful fit {call} --gpu h100-sxm-80gb"), false),
    };
    (!was_typed && can_be_named_again(answer.job)).then_some(command)
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
            row.keeps.name().to_owned(),
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
    let Some(value) = largest.value else { return format!("{job}: not even {key} = 1 fits\n") };
    let why = match largest.limit {
        Limit::Memory => "",
        Limit::Positions => ": the model has no more positions",
        Limit::Search => ", and perhaps more: the search ends there",
    };
    format!("{job}: the largest {key} that fits is {value}{why}\n")
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
        lines.extend(wrapped("  ", 4, &format!("{what} — {}{margin}: {}", basis.kind.name(), basis.source)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_thumb_is_in_the_unit_of_its_table() {
        assert_eq!([14.0, 28.0, 10.0, 1.0].map(gib), ["13", "26", "9.3", "0.9"]);
    }

    #[test]
    fn the_largest_value_says_what_ends_it() {
        let largest = |value, limit| Largest { dimension: brimful_plan::Dimension::Batch, value, limit };
        assert_eq!(
            largest_text("gpt2", &largest(Some(8), Limit::Memory)),
            "gpt2: the largest batch that fits is 8\n"
        );
        assert_eq!(
            largest_text("gpt2", &largest(Some(8), Limit::Search)),
            "gpt2: the largest batch that fits is 8, and perhaps more: the search ends there\n"
        );
        assert_eq!(largest_text("gpt2", &largest(None, Limit::Memory)), "gpt2: not even batch = 1 fits\n");
    }
}
