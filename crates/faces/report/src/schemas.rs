//! The schemas of all answers, from their types.

use brimful_rehearsal::RunRecord;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::diff::DiffJson;
use crate::doctor::DoctorJson;
use crate::facts::FactsJson;
use crate::fit::FitJson;
use crate::gpus::GpusJson;
use crate::incident::IncidentJson;
use crate::models::ModelsJson;
use crate::ranks::RanksJson;
use crate::recording::RecordingJson;
use crate::rehearsal::RehearseJson;
use crate::replay::ReplayJson;
use crate::served::ServedFitJson;
use crate::served::llama_cpp::LlamaCppFitJson;
use crate::statistics::StatisticsJson;
use crate::top::TopJson;

/// What makes the schema of a type.
type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The schema of every answer and of the run file, as the name of its command and a JSON Schema of draft 2020-12.
pub fn schemas() -> Vec<(&'static str, Value)> {
    // One object has one of these shapes; its key `kind` says which.
    let explain: [Shape; 3] =
        [shape::<IncidentJson<'_>>, shape::<RecordingJson<'_>>, shape::<StatisticsJson<'_>>];
    // A job of a serving engine has the key `serving`, and llama.cpp's has `buffers` in it.
    let fit: [Shape; 3] = [shape::<FitJson<'_>>, shape::<ServedFitJson<'_>>, shape::<LlamaCppFitJson<'_>>];
    vec![
        ("diff", schema("diff", &[shape::<DiffJson<'_>>])),
        ("doctor", schema("doctor", &[shape::<DoctorJson<'_>>])),
        ("explain", schema("explain", &explain)),
        ("facts", schema("facts", &[shape::<FactsJson<'_>>])),
        ("fit", schema("fit", &fit)),
        ("gpus", schema("gpus", &[shape::<GpusJson<'_>>])),
        ("models", schema("models", &[shape::<ModelsJson<'_>>])),
        ("ranks", schema("ranks", &[shape::<RanksJson<'_>>])),
        ("rehearse", schema("rehearse", &[shape::<RehearseJson<'_>>])),
        ("replay", schema("replay", &[shape::<ReplayJson<'_>>])),
        ("top", schema("top", &[shape::<TopJson<'_>>])),
        // No command's answer: the member run.json of a run file, from which `open`, `explain` and `replay` answer.
        ("run", schema("run", &[shape::<RunRecord>])),
    ]
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of a command's answers: exactly one of the shapes.
fn schema(command: &str, shapes: &[Shape]) -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let one_of: Vec<Schema> = shapes.iter().map(|shape| shape(&mut generator)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("brimful.{command}/1"),
        "oneOf": one_of,
        "$defs": generator.take_definitions(true),
    })
}
