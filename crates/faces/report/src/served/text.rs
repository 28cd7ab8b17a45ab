use brimful_jobs::Length;
use brimful_serving::{GroupKind, KvCache, Serving, Shortage};
use brimful_units::Bytes;

use super::ServedAnswer;
use super::lines::{asked_again, settings_lines, verdict_word};
use crate::forms::bar::{bar, sign};
use crate::forms::{counted, next_line, table, thousands, wrapped};
use crate::wire::Verdict;

/// The answer for people: verdict first, what the KV cache holds, what fills the GPU, what was assumed, and the next command.
pub fn served_text(answer: &ServedAnswer<'_>) -> String {
    let mut lines = verdict_lines(answer);
    lines.push(String::new());
    lines.push(bar_line(answer));
    lines.extend(ledger(answer));
    lines.push(String::new());
    lines.extend(cache_lines(answer.serving));
    lines.extend(warm_line(answer.serving));
    lines.extend(settings_lines(answer));
    if let Some(next) = next_command(answer) {
        lines.extend([String::new(), next_line(&next)]);
    }
    lines.join("\n") + "\n"
}

fn verdict_lines(answer: &ServedAnswer<'_>) -> Vec<String> {
    let verdict = verdict_word(answer.verdict());
    let found = answer.serving;
    let model = answer.served.model.trim_end_matches('/').trim_end_matches("/config.json");
    let model = model.rsplit('/').next().unwrap_or(model);
    let gpus = match found.ranks {
        1 => answer.gpu.name.clone(),
        ranks => format!("{ranks} × {}", answer.gpu.name),
    };
    let mut lines = vec![format!("{verdict}: vLLM {} serving {model} on {gpus}", found.version)];
    lines.push(format!("  {}", reason(answer)));
    if answer.verdict() == Verdict::TooClose {
        lines.push(format!("  the KV cache's bytes are known to ± {}: see --why", found.margin));
    }
    lines.extend(longest_line(found));
    lines
}

/// What the verdict follows from.
fn reason(answer: &ServedAnswer<'_>) -> String {
    let found = answer.serving;
    match found.shortage {
        Some(Shortage::Budget { free, missing }) => format!(
            "vLLM takes {}, and {free} are free beside the CUDA context: {missing} too much; a lower gpu_memory_utilization \
             starts",
            free + missing
        ),
        Some(Shortage::NoCache { missing }) => format!(
            "weights and the profile run take {} of {}: {missing} too much, and nothing is left for a KV cache",
            answer.taken(),
            found.budget
        ),
        Some(Shortage::Request { needed, missing }) => format!(
            "a request of {} tokens needs {needed} of KV cache, and {} are left: {missing} too little",
            thousands(found.max_model_len),
            found.kv_cache.bytes
        ),
        None => format!(
            "the KV cache holds {} tokens: {:.1} requests of {} tokens at once",
            thousands(found.kv_cache.tokens),
            found.max_concurrency,
            thousands(found.max_model_len)
        ),
    }
}

/// The longest request, where it is another one than was asked for.
fn longest_line(found: &Serving) -> Option<String> {
    match found.longest {
        Some(longest) if longest != found.max_model_len => {
            Some(format!("  the longest request that would fit has {} tokens", thousands(longest)))
        }
        None if found.shortage.is_some() => Some("  no request fits, however short".to_owned()),
        _ => None,
    }
}

/// The rows of the ledger: their name, the category whose sign they have, bytes, and a remark.
fn rows(answer: &ServedAnswer<'_>) -> Vec<(&'static str, &'static str, Bytes, String)> {
    let found = answer.serving;
    let stored = found.quantization.clone().unwrap_or_default();
    let all = vec![
        ("weights", "parameter", found.weights, stored),
        ("kept beside them", "temporary", found.kept, "logits, workspaces, buffers".to_owned()),
        ("NCCL", "device", found.non_torch, String::new()),
        (
            "activation peak",
            "activation",
            found.activation_peak,
            format!(
                "{} tokens at once, then logits of {}",
                thousands(found.max_num_batched_tokens),
                counted(found.max_num_seqs, "request")
            ),
        ),
        ("CUDA graphs", "logits", found.graphs, "set aside, not taken yet".to_owned()),
        ("KV cache", "kv_cache", answer.cached(), String::new()),
        ("CUDA context", "device", answer.gpu.context, String::new()),
    ];
    all.into_iter().filter(|row| row.2 > Bytes::ZERO).collect()
}

fn bar_line(answer: &ServedAnswer<'_>) -> String {
    let full = answer.gpu.total.max(answer.peak());
    let parts = rows(answer).into_iter().map(|(_, category, bytes, _)| (sign(category), bytes));
    format!("  [{}]", bar(parts, full))
}

fn ledger(answer: &ServedAnswer<'_>) -> Vec<String> {
    let share =
        |bytes: Bytes| format!("{:.0} %", bytes.get() as f64 / answer.gpu.total.get().max(1) as f64 * 100.0);
    let row = |(name, category, bytes, remark): (&str, &str, Bytes, String)| {
        vec![format!("  {} {name}", sign(category)), bytes.to_string(), share(bytes), remark]
    };
    let mut cells: Vec<Vec<String>> = rows(answer).into_iter().map(row).collect();
    let may = format!("of {}, of which the engine may take {}", answer.gpu.total, answer.serving.budget);
    cells.push(vec!["    together".to_owned(), answer.peak().to_string(), share(answer.peak()), may]);
    table(&cells)
}

/// Blocks and groups: why the tokens are as many as they are.
fn cache_lines(found: &Serving) -> Vec<String> {
    let cache = &found.kv_cache;
    let groups: Vec<String> = cache.groups.iter().map(group_text).collect();
    let text = format!(
        "{} blocks of {}, drawn by {}",
        thousands(cache.blocks),
        cache.bytes_per_block,
        groups.join(" and ")
    );
    wrapped("  KV cache: ", 4, &text)
}

fn group_text(group: &brimful_serving::Group) -> String {
    let what = match group.kind {
        GroupKind::Full => "attention".to_owned(),
        GroupKind::Sliding(window) => format!("attention over {} tokens", thousands(window)),
        GroupKind::Chunked(chunk) => format!("attention in chunks of {}", thousands(chunk)),
        GroupKind::Latent => "latent attention".to_owned(),
        GroupKind::State { .. } => "a state".to_owned(),
    };
    let layers = counted(group.layers, "layer");
    let size = thousands(group.block_size);
    let size = match group.kind {
        GroupKind::State { pages } => format!("{} a request", counted(pages, "block")),
        _ => format!("{size} tokens a block"),
    };
    format!("{} of {layers} with {what}, {size}", counted(group.count, "group"))
}

/// A later start has no compilation in its profile run.
fn warm_line(found: &Serving) -> Option<String> {
    let warm: &KvCache = found.warm.as_ref()?;
    Some(format!(
        "  a later start, whose cache of torch.compile is filled, holds {} tokens",
        thousands(warm.tokens)
    ))
}

/// The command to type next: a shorter request that fits, the longest one, or why the figures are what they are. `None` if the
/// job came through a pipe and is gone.
fn next_command(answer: &ServedAnswer<'_>) -> Option<String> {
    let found = answer.serving;
    let asked = answer.served.settings.max_model_len;
    let more = match (answer.verdict(), found.shortage, found.longest) {
        (Verdict::DoesNotFit, Some(Shortage::Request { .. }), Some(longest)) => {
            format!("--set serve.max_model_len={longest}")
        }
        (Verdict::DoesNotFit, ..) => "--why".to_owned(),
        _ if asked == Length::Fitting => "--why".to_owned(),
        _ => "--set serve.max_model_len=-1".to_owned(),
    };
    asked_again(answer, &more)
}
