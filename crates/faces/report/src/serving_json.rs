use brimful_rehearsal::{RunRecord, Serving, ServingRecord, serving};
use brimful_units::Bytes;
use serde_json::{Map, Value, json};

/// A serving engine's start-up (DESIGN.md): the figures of its tightest rank, and of each; `None` where there was no
/// engine.
pub(crate) fn serving_json(run: &RunRecord) -> Option<(Value, Option<f64>)> {
    let found = serving(run)?;
    let tightest = found.tightest()?;
    let mut value = figures(tightest, found.kv_tokens);
    value.insert("engine".into(), json!(found.engine));
    value.insert("version".into(), json!(found.version));
    value.insert("load".into(), load(&found, tightest));
    value.insert(
        "ranks".into(),
        found.ranks.iter().map(|(process, record)| rank(process.rank, record)).collect(),
    );
    Some((Value::Object(value), found.max_concurrency))
}

fn rank(rank: Option<u64>, record: &ServingRecord) -> Value {
    let mut value = figures(record, None);
    value.insert("rank".into(), json!(rank));
    Value::Object(value)
}

/// Bytes are of one GPU; tokens are the engine's.
fn figures(record: &ServingRecord, tokens: Option<u64>) -> Map<String, Value> {
    let bytes = |amount: Option<Bytes>| json!(amount.map(Bytes::get));
    let mut cache = json!({"bytes": bytes(record.kv_bytes), "blocks": record.kv_blocks});
    if let Some(tokens) = tokens {
        cache["tokens"] = json!(tokens);
        cache["bytes_per_token"] = json!(per_token(record, tokens));
    }
    let all = [
        ("weights", bytes(record.weights)),
        ("activation_peak", bytes(record.activation_peak)),
        ("graphs", bytes(record.graphs)),
        ("graphs_estimate", bytes(record.graphs_estimate)),
        ("non_torch", bytes(record.non_torch)),
        ("budget", bytes(record.budget)),
        ("kv_cache", cache),
        ("buffers", json!({"runner": bytes(record.other())})),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Bytes on one GPU for each token.
pub(crate) fn per_token(record: &ServingRecord, tokens: u64) -> Option<u64> {
    record.kv_bytes?.get().checked_div(tokens)
}

fn load(found: &Serving<'_>, record: &ServingRecord) -> Value {
    json!({
        "max_model_len": record.max_model_len,
        "max_num_seqs": record.max_num_seqs,
        "max_num_batched_tokens": record.max_num_batched_tokens,
        "gpu_memory_utilization": record.gpu_memory_utilization,
        "kv_cache_dtype": record.kv_cache_dtype,
        "tokens_per_sequence": each(found, record),
    })
}

/// Tokens for each request, where as many as are allowed run at once.
pub(crate) fn each(found: &Serving<'_>, record: &ServingRecord) -> Option<u64> {
    found.kv_tokens?.checked_div(record.max_num_seqs?)
}
