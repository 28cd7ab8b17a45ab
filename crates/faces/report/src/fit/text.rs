use brimful_explain::{Block, Peak, Place};
use brimful_jobs::{Assumption, Job, LoadedJob, Parallel, Shard};
use brimful_plan::{
    DeviceUse, Fit, FitVerdict as Verdict, Grounds, Largest, Limit, Row, Share, rule_of_thumb,
};
use brimful_units::Bytes;

use super::FitAnswer;
use crate::forms::bar::{WIDTH, bar, cells, sign};
use crate::forms::{Style, can_be_named_again, next_line, table, times, wrapped};
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
    let mut lines = verdict_lines(answer);
    lines.extend(answer.largest.map(largest_line));
    lines.push(String::new());
    lines.push(bar_line(answer.fit));
    lines.extend(composition(answer));
    lines.push(String::new());
    lines.extend(answer.fit.peak.as_ref().map(peak_line));
    if answer.fit.loading_is_the_peak() {
        lines.extend(loading_lines(answer));
    }
    lines.extend(shortage(answer.fit));
    lines.push(String::new());
    lines.extend(recipe_lines(answer.loaded));
    let helpful: Vec<&Row> = answer.techniques.iter().filter(|row| row.saved > 0).take(3).collect();
    if answer.fit.verdict == Verdict::DoesNotFit && !answer.techniques_were_asked_for && !helpful.is_empty() {
        lines.push(String::new());
        lines.push(Style::STRONG.paint("  what would help most"));
        lines.extend(technique_lines(helpful.into_iter()));
    }
    if let Some(next) = next_command(answer) {
        lines.extend([String::new(), next_line(&next)]);
    }
    lines.join("\n") + "\n"
}

/// The verdict, and the need and the capacity that it follows from.
fn verdict_lines(answer: &FitAnswer<'_>) -> Vec<String> {
    let fit = answer.fit;
    let title = title(answer.loaded);
    let Some(device) = &fit.device else {
        let needs = fit.need();
        return vec![
            Style::STRONG.paint(&title),
            format!("  needs {needs} and the CUDA context; no GPU was named"),
        ];
    };
    let verdict = match fit.verdict {
        Verdict::DoesNotFit => Style::BAD.paint("✗ does not fit"),
        Verdict::TooClose => Style::STRONG.paint("≈ too close to call"),
        Verdict::Fits | Verdict::NoDevice => Style::GOOD.paint("✓ fits"),
    };
    let mut lines =
        vec![format!("{verdict}: {title} on {}", device.name), format!("  {}", need_text(device))];
    lines.extend(device.share.map(|share| share_line(device, share)));
    if fit.verdict == Verdict::TooClose {
        lines.extend(reasons(fit, device));
    }
    lines
}

/// The need on a GPU, what the job may have of it, and the difference.
pub fn need_text(device: &DeviceUse) -> String {
    let (need, capacity) = (device.need, device.capacity());
    if device.headroom < 0 {
        format!("needs {need} of {capacity}: {} too much", need.saturating_sub(capacity))
    } else {
        format!("needs {need} of {capacity}, {} to spare", capacity.saturating_sub(need))
    }
}

/// The limit that the job sets itself.
fn share_line(device: &DeviceUse, share: Share) -> String {
    format!(
        "  the job may use {} % of {}: {} with the CUDA context (per_process_memory_fraction)",
        (share.fraction * 1e4).round() / 1e2,
        device.usable,
        share.limit
    )
}

/// Why a verdict cannot be given.
fn reasons(fit: &Fit, device: &DeviceUse) -> Vec<String> {
    let mut lines = Vec::new();
    if device.headroom < 0 || device.headroom.unsigned_abs() < device.margin.get() {
        let margin = device.margin;
        lines.push(format!("  the CUDA context and the GPU's total are known to ± {margin}: see --why"));
    }
    if fit.device_peak > device.capacity() && device.headroom >= 0 {
        lines.push(format!(
            "  it would take {} on a GPU without an end; here it fits only because the allocator returns cached memory",
            fit.device_peak
        ));
        // `max_split_size_mb` returns single blocks before it comes to a retry.
        lines.extend((fit.retries > 0).then(|| {
            format!("  all of the cache is returned {}, and the GPU waits each time", times(fit.retries))
        }));
    }
    lines
}

/// Bytes of each part of the bar at the peak.
fn parts(fit: &Fit) -> Vec<(&'static str, char, Bytes)> {
    let all = fit.peak.as_ref().map(|peak| peak.composition.public()).unwrap_or_default();
    let of = |keys: &[&str]| all.iter().filter(|row| keys.contains(&row.0)).map(|row| row.1).sum();
    PARTS.iter().map(|(name, keys)| (*name, sign(keys[0]), of(keys))).collect()
}

/// The bar, as wide as the GPU, or as the peak where that is more; then the GPU's end is marked.
fn bar_line(fit: &Fit) -> String {
    let usable = fit.device.as_ref().map(DeviceUse::capacity);
    let full = usable.map_or(fit.need(), |usable| usable.max(fit.need()));
    // What the allocator and the context hold is not free, either.
    let rest = [(sign(OF_THE_DEVICE), idle(fit)), (sign(OF_THE_DEVICE), overhead(fit))];
    let drawn = parts(fit).into_iter().map(|(_, sign, bytes)| (sign, bytes)).chain(rest);
    let mut drawn = bar(drawn, full);
    let end = usable.map_or(WIDTH, |usable| cells(usable, full));
    if end >= WIDTH {
        return format!("  [{drawn}]");
    }
    // The bar begins with a mark of its own, which takes no room.
    let at = drawn.char_indices().nth(end + 1).map_or(drawn.len(), |(at, _)| at);
    drawn.insert(at, '┃');
    format!("  [{drawn}]  ┃ is the end of the GPU")
}

/// What stands for all that no tensor holds: a name that no category has.
const OF_THE_DEVICE: &str = "device";

/// What the process holds beside the allocator; nothing if no GPU is named.
fn overhead(fit: &Fit) -> Bytes {
    fit.device.as_ref().map_or(Bytes::ZERO, |device| device.overhead)
}

/// What is on the device and neither requested nor the context, so that the rows add up to the need.
fn idle(fit: &Fit) -> Bytes {
    fit.need().saturating_sub(overhead(fit)).saturating_sub(fit.ledger.requested)
}

fn composition(answer: &FitAnswer<'_>) -> Vec<String> {
    let fit = answer.fit;
    let guesses = guesses(&answer.loaded.job);
    let share =
        |bytes: Bytes| format!("{:.0} %", bytes.get() as f64 / fit.need().get().max(1) as f64 * 100.0);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, sign, bytes) in parts(fit) {
        let guess = guesses.iter().find(|guess| guess.0 == name);
        if bytes > Bytes::ZERO || guess.is_some() {
            let beside = guess.map(|guess| format!("rule of thumb: {}", guess.1)).unwrap_or_default();
            rows.push(vec![format!("  {sign} {name}"), bytes.to_string(), share(bytes), beside]);
        }
    }
    let rest = [
        ("allocator: rounding and idle", Some(idle(fit))),
        ("CUDA context and kernels", fit.device.as_ref().map(|device| device.overhead)),
    ];
    for (name, bytes) in rest {
        let name = format!("  {} {name}", sign(OF_THE_DEVICE));
        rows.extend(bytes.map(|bytes| vec![name, bytes.to_string(), share(bytes), String::new()]));
    }
    let guess = guesses.iter().find(|guess| guess.0 == TOGETHER);
    let beside = guess.map(|guess| format!("rule of thumb: {}", guess.1)).unwrap_or_default();
    rows.push(vec![format!("    {TOGETHER}"), fit.need().to_string(), share(fit.need()), beside]);
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

/// A default of a job's key in short, as `--why` has the reason; the processor, which is no key, in a sentence.
fn assumption(one: &Assumption) -> String {
    match one.key.split_once('.') {
        Some((_section, key)) => format!("{key}={}", one.value),
        None => format!("{} ({})", one.value, one.why),
    }
}

fn peak_line(peak: &Peak) -> String {
    format!("  the peak is in {}", place_text(&peak.place))
}

/// Loading takes more than what follows: the reader who looks at the steps will not see that peak.
fn loading_lines(answer: &FitAnswer<'_>) -> Vec<String> {
    let reserved = answer.fit.after_loading.reserved;
    let is_split = matches!(answer.loaded.job.parallel, Some(Parallel { shard: Shard::Fsdp2 { .. }, .. }));
    let (why, instead) = if is_split {
        (
            "every parameter is whole before it is split",
            "built on the host or the meta device and split there",
        )
    } else {
        ("tied weights exist twice for a moment", "built on the host and moved with .to(\"cuda\")")
    };
    let text = format!(
        "the model takes most while it is built on the GPU, where {why}; a model that is {instead} does not have this peak, \
         and after loading the run reserves {reserved} at most"
    );
    wrapped("  ", 2, &text)
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
        Verdict::DoesNotFit | Verdict::TooClose => {
            (format!("brimful fit {call} --techniques"), answer.techniques_were_asked_for)
        }
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
        vec![["  technique", "needs", "saved", "fits", "results", "cost"].map(str::to_owned).to_vec()];
    for row in rows {
        let fits = match row.verdict {
            Verdict::Fits => "yes",
            Verdict::TooClose => "too close",
            Verdict::DoesNotFit => "no",
            Verdict::NoDevice => "?",
        };
        cells.push(vec![
            format!("  {}", row.technique),
            row.need.to_string(),
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
fn largest_line(largest: &Largest) -> String {
    let key = largest.dimension.key();
    let close =
        largest.too_close.map_or(String::new(), |value| format!("; up to {value} is too close to call"));
    let Some(value) = largest.value else {
        return format!("  not even {key} = 1 fits{close}");
    };
    let why = match largest.limit {
        Limit::Memory => "",
        Limit::Positions => ": the model has no more positions",
        Limit::Search => ", and perhaps more: the search ends there",
    };
    format!("  the largest {key} that fits is {value}{why}{close}")
}

/// What each number rests on, and the largest blocks at the peak.
pub fn why_text(loaded: &LoadedJob, fit: &Fit) -> String {
    let mut lines = vec![Style::STRONG.paint("  what the numbers rest on")];
    for Grounds { what, basis } in &fit.grounds {
        let margin = match basis.margin {
            Some(Bytes::ZERO) => String::new(),
            Some(margin) => format!(" (± {margin})"),
            None => " (margin unknown)".to_owned(),
        };
        lines.extend(wrapped("  ", 4, &format!("{what} — {}{margin}: {}", basis.kind.name(), basis.source)));
    }
    let assumed = &loaded.recipe.assumed;
    if !assumed.is_empty() {
        lines.push(String::new());
        lines.push(Style::STRONG.paint("  what was assumed, and why"));
        lines.extend(
            assumed
                .iter()
                .flat_map(|one| wrapped("  ", 4, &format!("{} = {}: {}", one.key, one.value, one.why))),
        );
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
        let largest = |value, limit| Largest {
            dimension: brimful_plan::Dimension::Batch,
            value,
            too_close: None,
            limit,
        };
        assert_eq!(largest_line(&largest(Some(8), Limit::Memory)), "  the largest batch that fits is 8");
        assert_eq!(
            largest_line(&largest(Some(8), Limit::Search)),
            "  the largest batch that fits is 8, and perhaps more: the search ends there"
        );
        let none = largest(None, Limit::Memory);
        assert_eq!(largest_line(&none), "  not even batch = 1 fits");
        let close = Largest { too_close: Some(9), ..largest(Some(8), Limit::Memory) };
        assert_eq!(largest_line(&close), "  the largest batch that fits is 8; up to 9 is too close to call");
    }
}
