//! The job file as a JSON schema (draft 2020-12), for editors and for other programs.

use serde_json::{Map, Value, json};

use crate::keys::{Absent, Key, Kind, Simulated, joined, keys_of};

/// The schema of the job file, as `schemas/job.schema.json` has it.
pub fn schema() -> Value {
    let mut schema = section("", false);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job of brimful",
        "description": "The model, the GPU, and how the model is trained or run. Written from the table of keys in crates/facts/jobs.",
        // A job has one of the two.
        "not": {"required": ["train", "infer"]},
    });
    if let (Value::Object(schema), Value::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

/// The schema of a section: its keys, and whether it may have others.
fn section(path: &str, open: bool) -> Value {
    let properties: Map<String, Value> =
        keys_of(path).map(|key| (key.name.to_owned(), property(path, key))).collect();
    let required: Vec<&str> =
        keys_of(path).filter(|key| matches!(key.absent, Absent::Required)).map(|key| key.name).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": open});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The schema of a key. `null` means what an absent key means.
fn property(path: &str, key: &Key) -> Value {
    let mut schema = of_kind(&joined(path, key.name), key.kind);
    let description = match key.simulated {
        Simulated::Yes => key.help.to_owned(),
        Simulated::Only(values, instead) => {
            format!("{} Simulated: {} ({instead}).", key.help, values.join(", "))
        }
        Simulated::NotYet(instead) => format!("{} Not simulated yet: {instead}.", key.help),
    };
    let description = match key.absent {
        Absent::Follows(rule) => format!("{description} Absent: {rule}."),
        Absent::Family(_) => format!("{description} Absent: what the model's class in transformers has."),
        _ => description,
    };
    schema["description"] = json!(description);
    if let Absent::Silently(value) | Absent::Assumed(value, _) = key.absent {
        schema["default"] = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    }
    schema
}

fn of_kind(path: &str, kind: Kind) -> Value {
    match kind {
        Kind::Count { least, most } if most == u64::MAX => {
            json!({"type": ["integer", "null"], "minimum": least})
        }
        Kind::Count { least, most } => {
            json!({"type": ["integer", "null"], "minimum": least, "maximum": most})
        }
        Kind::Number => json!({"type": ["number", "null"]}),
        Kind::NonNegative => json!({"type": ["number", "null"], "minimum": 0}),
        Kind::Probability => json!({"type": ["number", "null"], "minimum": 0, "maximum": 1}),
        Kind::Flag => json!({"type": ["boolean", "null"]}),
        Kind::FlagOrNumber => json!({"type": ["boolean", "number", "null"], "minimum": 0}),
        Kind::Text(_) => json!({"type": ["string", "null"]}),
        Kind::Words(words) => {
            let with_null: Vec<Value> = words.iter().map(|word| json!(word)).chain([Value::Null]).collect();
            json!({"enum": with_null})
        }
        Kind::TextOrTable(_) => or_table(path, &["string"]),
        Kind::Table => or_table(path, &[]),
        Kind::OpenTable => {
            let mut schema = section(path, true);
            schema["type"] = json!(["object", "null"]);
            schema
        }
        Kind::Other { types, .. } => {
            let with_null: Vec<&str> = types.iter().copied().chain(["null"]).collect();
            json!({"type": with_null})
        }
    }
}

/// A table, or a value of another type. The keys of `[model]` are those of config.json, which this table does not hold.
fn or_table(path: &str, others: &[&str]) -> Value {
    let mut schema = section(path, path == "model");
    let types: Vec<&str> = ["object", "null"].iter().chain(others).copied().collect();
    schema["type"] = json!(types);
    schema
}
