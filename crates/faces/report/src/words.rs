//! The words that answers use, as schemas.

use brimful_explain::Keeps;
use brimful_rehearsal::{Cut, RunVerdict as Verdict};
use brimful_trace::{Category, PhaseKind};
use schemars::{Schema, SchemaGenerator, json_schema};

/// What can become of a rehearsal.
const VERDICTS: [Verdict; 6] = [
    Verdict::Fits,
    Verdict::DoesNotFit,
    Verdict::NoDevice,
    Verdict::Failed,
    Verdict::Unfinished,
    Verdict::NoGpuMemory,
];

/// The public categories, in their order and each once.
fn categories() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for name in Category::ALL.map(Category::public_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

pub(crate) fn category(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": categories()})
}

/// Every category has its bytes, also at zero; `other` is of recordings only.
pub(crate) fn composition(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = composition_if_recorded(generator);
    let required: Vec<&str> = categories().into_iter().filter(|name| *name != "other").collect();
    schema.insert("required".to_owned(), required.into());
    schema
}

/// The categories' bytes, or nothing.
pub(crate) fn composition_if_recorded(_: &mut SchemaGenerator) -> Schema {
    let bytes = serde_json::json!({"type": "integer", "minimum": 0});
    let all: serde_json::Map<_, _> =
        categories().into_iter().map(|name| (name.to_owned(), bytes.clone())).collect();
    json_schema!({"type": "object", "properties": all, "additionalProperties": false})
}

/// A phase, or nothing where it is not known.
pub(crate) fn phase(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = PhaseKind::ALL.iter().map(|phase| phase.name()).chain([""]).collect();
    json_schema!({"type": "string", "enum": names})
}

pub(crate) fn keeps(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": Keeps::ALL.map(Keeps::name)})
}

pub(crate) fn rehearsal_verdict(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": VERDICTS.map(Verdict::word)})
}

/// Why a command was ended from outside, or null.
pub(crate) fn cut(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"enum": [Cut::TimeLimit, Cut::Interrupted, Cut::Terminated, null]})
}
