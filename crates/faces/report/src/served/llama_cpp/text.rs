use brimful_units::Bytes;

use crate::forms::bar::{bar, sign};
use crate::forms::{counted, next_line, table, thousands, wrapped};
use crate::served::LlamaCppAnswer;
use crate::served::lines::{asked_again, settings_lines, verdict_word};
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
    let verdict = verdict_word(answer.verdict());
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

/// The command to type next: the context or the layers that fit, or why the figures are what they are. `None` if the job came
/// through a pipe and is gone.
fn next_command(answer: &LlamaCppAnswer<'_>) -> Option<String> {
    let found = answer.serving;
    let more = match (answer.verdict(), found.largest_context, found.most_layers) {
        (Verdict::DoesNotFit, Some(largest), _) => format!("--set serve.ctx_size={largest}"),
        (Verdict::DoesNotFit, None, Some(layers)) => format!("--set serve.n_gpu_layers={layers}"),
        (Verdict::Fits, Some(largest), _) if largest > found.context => {
            format!("--set serve.ctx_size={largest}")
        }
        _ => "--why".to_owned(),
    };
    asked_again(answer, &more)
}
