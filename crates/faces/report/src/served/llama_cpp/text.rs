use brimful_units::Bytes;

use super::LlamaCppAnswer;
use crate::forms::bar::{bar, sign};
use crate::forms::{Style, can_be_named_again, counted, next_line, table, thousands, wrapped};
use crate::wire::Verdict;

/// The answer for people: verdict first, what fills the GPU, what lies in host memory, what was assumed, and the next command.
pub fn llama_cpp_text(answer: &LlamaCppAnswer<'_>) -> String {
    let mut lines = verdict_lines(answer);
    lines.push(String::new());
    let full = answer.gpu.total.max(answer.serving.needed);
    let parts = rows(answer).into_iter().map(|(_, category, bytes, _)| (sign(category), bytes));
    lines.push(format!("  [{}]", bar(parts, full)));
    lines.extend(ledger(answer));
    lines.push(String::new());
    lines.extend(host_lines(answer));
    lines.extend(settings_lines(answer));
    if let Some(next) = next_command(answer) {
        lines.extend([String::new(), next_line(&next)]);
    }
    lines.join("\n") + "\n"
}

fn verdict_lines(answer: &LlamaCppAnswer<'_>) -> Vec<String> {
    let verdict = match answer.verdict() {
        Verdict::DoesNotFit => Style::BAD.paint("✗ does not fit"),
        Verdict::TooClose => Style::STRONG.paint("≈ too close to call"),
        Verdict::Fits | Verdict::NoDevice => Style::GOOD.paint("✓ fits"),
    };
    let found = answer.serving;
    let model = answer.served.model.rsplit('/').next().unwrap_or(&answer.served.model);
    let mut lines =
        vec![format!("{verdict}: llama.cpp {} serving {model} on {}", found.version, answer.gpu.name)];
    let total = answer.gpu.total;
    lines.push(match answer.verdict() {
        Verdict::DoesNotFit => {
            let missing = found.needed.saturating_sub(total);
            format!("  it takes {} of {total}: {missing} too much", found.needed)
        }
        _ => format!("  it takes {}, and leaves {}", found.needed, total.saturating_sub(found.needed)),
    });
    if answer.verdict() == Verdict::TooClose {
        lines.push(format!("  up to {} can come on top: see --why", found.margin));
    }
    lines.push(largest_line(answer));
    lines
}

/// The largest context, or what else would fit.
fn largest_line(answer: &LlamaCppAnswer<'_>) -> String {
    let found = answer.serving;
    match (found.largest_context, found.most_layers) {
        (Some(largest), _) if largest == found.context => {
            format!("  {} tokens are the largest context that was looked for", thousands(largest))
        }
        (Some(largest), _) => {
            format!("  the largest context that fits has {} tokens over all slots", thousands(largest))
        }
        (None, Some(layers)) => {
            format!("  no context fits; with {} on the GPU it does", counted(u64::from(layers), "layer"))
        }
        (None, None) => "  no context fits, and no number of layers on the GPU".to_owned(),
    }
}

/// The rows of the ledger: their name, the category whose sign they have, bytes, and a remark.
fn rows(answer: &LlamaCppAnswer<'_>) -> Vec<(&'static str, &'static str, Bytes, String)> {
    let found = answer.serving;
    let slots = counted(u64::from(found.settings.parallel.max(1)), "slot");
    let of_cache = if found.settings.kv_unified {
        format!("{} tokens, shared by {slots}", thousands(found.context))
    } else {
        format!("{slots} of {} tokens", thousands(found.buffers.context_of_slot))
    };
    let of_graph = format!("{} tokens at once", thousands(u64::from(found.settings.ubatch_size)));
    let all = vec![
        ("model", "parameter", answer.on_gpu(|gpu| gpu.model), String::new()),
        ("KV cache", "kv_cache", answer.on_gpu(|gpu| gpu.kv), of_cache),
        ("states", "buffer", answer.on_gpu(|gpu| gpu.recurrent), slots),
        ("compute", "activation", answer.on_gpu(|gpu| gpu.compute), of_graph),
        ("CUDA context", "device", answer.gpu.context, String::new()),
    ];
    all.into_iter().filter(|row| row.2 > Bytes::ZERO).collect()
}

fn ledger(answer: &LlamaCppAnswer<'_>) -> Vec<String> {
    let total = answer.gpu.total;
    let share = |bytes: Bytes| format!("{:.0} %", bytes.get() as f64 / total.get().max(1) as f64 * 100.0);
    let row = |(name, category, bytes, remark): (&str, &str, Bytes, String)| {
        vec![format!("  {} {name}", sign(category)), bytes.to_string(), share(bytes), remark]
    };
    let mut cells: Vec<Vec<String>> = rows(answer).into_iter().map(row).collect();
    let needed = answer.serving.needed;
    cells.push(vec!["    together".to_owned(), needed.to_string(), share(needed), format!("of {total}")]);
    table(&cells)
}

/// What lies in host memory.
fn host_lines(answer: &LlamaCppAnswer<'_>) -> Vec<String> {
    let host = &answer.serving.buffers.host;
    let parts = [
        ("mapped weights", host.mapped),
        ("KV cache", host.kv),
        ("states", host.recurrent),
        ("outputs", host.output),
        ("compute", host.compute),
    ];
    let parts = parts.iter().filter(|(_, bytes)| *bytes > Bytes::ZERO);
    let parts: Vec<String> = parts.map(|(name, bytes)| format!("{name} {bytes}")).collect();
    wrapped("  host memory: ", 4, &parts.join(", "))
}

/// What was assumed, and what else to know.
fn settings_lines(answer: &LlamaCppAnswer<'_>) -> Vec<String> {
    let assumed = answer.assumed().into_iter().map(|(key, value, _)| {
        let key = key.strip_prefix("serve.").unwrap_or(&key);
        format!("{key}={value}")
    });
    let assumed = assumed.collect::<Vec<_>>().join(", ");
    let mut lines = if assumed.is_empty() { Vec::new() } else { wrapped("  assumed: ", 4, &assumed) };
    lines.extend(answer.notes().flat_map(|note| wrapped("  note: ", 4, note)));
    lines
}

/// The command to type next: the context or the layers that fit, or why the figures are what they are. `None` if the job came
/// through a pipe and is gone.
fn next_command(answer: &LlamaCppAnswer<'_>) -> Option<String> {
    if answer.command.is_empty() && !can_be_named_again(answer.job) {
        return None;
    }
    let found = answer.serving;
    let more = match (answer.verdict(), found.largest_context, found.most_layers) {
        (Verdict::DoesNotFit, Some(largest), _) => format!("--set serve.ctx_size={largest}"),
        (Verdict::DoesNotFit, None, Some(layers)) => format!("--set serve.n_gpu_layers={layers}"),
        (Verdict::Fits, Some(largest), _) if largest > found.context => {
            format!("--set serve.ctx_size={largest}")
        }
        _ => "--why".to_owned(),
    };
    let words = ["brimful fit", answer.call, &more].into_iter().filter(|word| !word.is_empty());
    Some(words.collect::<Vec<_>>().join(" ") + answer.command)
}

/// What each figure rests on, and what was assumed for which reason.
pub fn llama_cpp_why_text(answer: &LlamaCppAnswer<'_>) -> String {
    let mut lines = vec![Style::STRONG.paint("  what the numbers rest on")];
    for (what, basis) in &answer.serving.basis {
        let margin = basis.margin.map_or(String::new(), |margin| format!(" (± {margin})"));
        let text = format!("{what} — {}{margin}: {}", basis.kind.name(), basis.source);
        lines.extend(wrapped("  ", 4, &text));
    }
    lines.push(String::new());
    lines.push(Style::STRONG.paint("  what was assumed, and why"));
    let assumed = answer.assumed().into_iter();
    lines.extend(assumed.flat_map(|(key, value, why)| wrapped("  ", 4, &format!("{key} = {value}: {why}"))));
    lines.join("\n") + "\n"
}
