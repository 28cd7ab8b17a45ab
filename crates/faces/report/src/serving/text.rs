use brimful_rehearsal::{RunRecord, Serving, ServingRecord, serving};
use brimful_units::Bytes;

use super::wire::{each, per_token};
use crate::forms::{Style, table, thousands};

/// A larger share of the GPU is not advised: what an engine does not count has to fit beside it.
const LARGEST_SHARE: f64 = 0.97;

/// A serving engine's start-up for people: what fills the GPU, what it holds at once, and what would hold more.
pub(crate) fn serving_text(run: &RunRecord) -> Vec<String> {
    let Some(found) = serving(run) else { return Vec::new() };
    let Some(record) = found.tightest() else { return Vec::new() };
    let version = found.version.map(|version| format!(" {version}")).unwrap_or_default();
    let place = match found.ranks.len() {
        1 => String::new(),
        many => format!(", the tightest of {many} GPUs"),
    };
    let mut lines = vec![Style::STRONG.paint(&format!("  {}{version}{place}", found.engine))];
    lines.extend(table(&parts(&found, record)));
    lines.extend(holds(&found, record));
    lines.extend(changes(run, &found, record));
    lines
}

fn parts(found: &Serving<'_>, record: &ServingRecord) -> Vec<Vec<String>> {
    let cache = found.kv_tokens.map_or(String::new(), |tokens| cache(record, tokens));
    let estimate = record.graphs_estimate.filter(|estimate| *estimate > Bytes::ZERO);
    let estimate =
        estimate.map_or(String::new(), |estimate| format!("{estimate} set aside before the KV cache"));
    let budget = record.gpu_memory_utilization.map_or(String::new(), |share| format!("{share} of the GPU"));
    let rows = [
        ("weights", record.weights, String::new()),
        ("activation peak", record.activation_peak, batch(record)),
        ("CUDA graphs", record.graphs, estimate),
        ("beside PyTorch", record.non_torch, "libraries, NCCL: calibrated".to_owned()),
        ("KV cache", record.kv_bytes, cache),
        ("runner's buffers", record.other(), String::new()),
        ("may take", record.budget, budget),
    ];
    let known = rows.into_iter().filter_map(|(name, bytes, note)| Some((name, bytes?, note)));
    known.map(|(name, bytes, note)| vec![format!("    {name}"), bytes.to_string(), note]).collect()
}

fn batch(record: &ServingRecord) -> String {
    record
        .max_num_batched_tokens
        .map_or(String::new(), |tokens| format!("{} tokens at once", thousands(tokens)))
}

fn cache(record: &ServingRecord, tokens: u64) -> String {
    let blocks = record.kv_blocks.map_or(String::new(), |blocks| format!(" in {} blocks", thousands(blocks)));
    let each = per_token(record, tokens);
    let each = each.map_or(String::new(), |each| format!(", {} a token", Bytes::new(each)));
    format!("{} tokens{blocks}{each}", thousands(tokens))
}

fn holds(found: &Serving<'_>, record: &ServingRecord) -> Option<String> {
    let (most, length) = (found.max_concurrency?, record.max_model_len?);
    let load = each(found, record).zip(record.max_num_seqs).map_or(String::new(), |(each, asked)| {
        let each = each.min(length);
        format!("; {} at once, as allowed, have {} tokens each", thousands(asked), thousands(each))
    });
    let all = format!("  holds {most:.1} requests of {} tokens at once{load}", thousands(length));
    Some(Style::STRONG.paint(&all))
}

/// What would hold more at once, where not all that are allowed can have their full length.
fn changes(run: &RunRecord, found: &Serving<'_>, record: &ServingRecord) -> Vec<String> {
    let (Some(most), Some(asked), Some(tokens)) =
        (found.max_concurrency, record.max_num_seqs, found.kv_tokens)
    else {
        return Vec::new();
    };
    if most >= asked as f64 {
        return Vec::new();
    }
    let flags = if found.engine == "sglang" { SGLANG } else { VLLM };
    let hundredth =
        per_token(record, tokens).and_then(|each| (run.device.total.get() / 100).checked_div(each));
    let room = record.gpu_memory_utilization.is_some_and(|share| share < LARGEST_SHARE);
    let share = hundredth
        .filter(|_| room)
        .map(|more| format!("    each 0.01 of {} more holds {} tokens more", flags.share, thousands(more)));
    let half = (record.kv_cache_dtype.as_deref() == Some("auto")).then(|| {
        format!(
            "    --kv-cache-dtype fp8 holds about {} tokens, with a little less accuracy",
            thousands(tokens * 2)
        )
    });
    let batch = record.activation_peak.zip(record.max_num_batched_tokens).map(|(peak, batch)| {
        format!(
            "    a {} below {} gives part of the activation peak of {peak} to the KV cache",
            flags.batch,
            thousands(batch)
        )
    });
    let whole = found.falls_short().map(|(tokens, _)| {
        format!("    {} {tokens} or less: requests of full length are then served", flags.length)
    });
    let lines: Vec<String> = [whole, half, share, batch].into_iter().flatten().collect();
    let head = (!lines.is_empty()).then(|| "  to hold more at once:".to_owned());
    head.into_iter().chain(lines).collect()
}

/// What an engine calls its settings.
struct Flags {
    share: &'static str,
    length: &'static str,
    batch: &'static str,
}

const SGLANG: Flags =
    Flags { share: "--mem-fraction-static", length: "--context-length", batch: "--chunked-prefill-size" };
const VLLM: Flags =
    Flags { share: "--gpu-memory-utilization", length: "--max-model-len", batch: "--max-num-batched-tokens" };
