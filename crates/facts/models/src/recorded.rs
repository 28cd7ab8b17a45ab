//! Models whose class was recorded as a program (docs/programs.md).

use std::sync::Arc;

use brimful_programs::{Attention, EvaluationError, Program, Value, Values, has_encoder_and_decoder};
use brimful_units::Shape;
use serde_json::{Map, Value as Json};

use crate::{AttentionKernel, CheckpointingKinds, Fault, JobDefaults};

/// The config of a recorded class.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedConfig {
    /// What was recorded.
    pub program: Arc<Program>,
    /// The config's values, those that the class adds included.
    pub values: Values,
    /// Every parameter once, in the order of the constructor; shapes in elements.
    pub parameters: Vec<(String, Shape)>,
    /// Parameters that become another one, as (the one, the other).
    pub ties: Vec<(String, String)>,
    /// Modules that are Linears, by path.
    pub linears: Vec<String>,
    /// Parameters that the class does not train, such as Whisper's table of the encoder's positions.
    pub frozen: Vec<String>,
    /// Per layer the attention window in tokens; `None` where the layer sees everything.
    pub windows: Vec<Option<u64>>,
    /// The longest sequence for which a learned position embedding has rows; `None` where the class has no such table.
    pub learned_positions: Option<u64>,
}

/// More layers would need minutes to simulate; the largest known model has some two hundred.
const MOST_LAYERS: u64 = 10_000;

/// The key of the token with which a target begins (`_shift_right` in transformers/models/t5/modeling_t5.py, 5.23).
const FIRST_TOKEN: &str = "decoder_start_token_id";

impl RecordedConfig {
    /// Reads the keys of a config.json for a program.
    ///
    /// # Errors
    /// A key whose value was not recorded, or that gives a size no value.
    pub fn read(program: Arc<Program>, keys: &Map<String, Json>) -> Result<RecordedConfig, Fault> {
        let header = &program.header;
        let given = with_number_of_labels(with_rope_parameters(keys));
        let values = header.complete(Values::of_json(&given)).map_err(fault)?;
        if let Some((key, allowed)) = header.uncovered(&values) {
            let found = values.get(key).unwrap_or(&Value::Null).to_string();
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            return Err(Fault::Value {
                key: key.to_owned(),
                value: found,
                expected: format!(
                    "{} is recorded with {}; brimful rehearse -- python train.py measures your own script with any config",
                    header.class,
                    allowed.join(" or ")
                ),
            });
        }
        if has_encoder_and_decoder(&header.task) && values.is_null_or_absent(FIRST_TOKEN) {
            let expected = format!(
                "{} begins every target with this token and has none of its own; take the number of the model's config.json, \
                 which is 0 for T5",
                header.class
            );
            return Err(Fault::value(FIRST_TOKEN, "absent", expected));
        }
        for list in &header.lists {
            let count = list.count(&values).map_err(fault)?;
            if count > MOST_LAYERS {
                let expected = format!("at most {MOST_LAYERS} are simulated");
                return Err(Fault::value(&list.length.to_string(), count, expected));
            }
        }
        refuse_other_kinds(&program, keys)?;
        let declared = program.parameters(&values).map_err(fault)?;
        if let Some((name, sizes)) = declared.iter().find(|(_, sizes)| sizes.contains(&0)) {
            let expected = "a parameter has elements; look at the sizes in the config";
            return Err(Fault::value(name, format!("{sizes:?}"), expected));
        }
        let parameters =
            declared.into_iter().map(|(name, sizes)| (name, sizes.into_iter().collect())).collect();
        let ties = program.ties(&values).map_err(fault)?;
        let linears = program.linears(&values).map_err(fault)?;
        let frozen = program.frozen(&values).map_err(fault)?;
        let windows = windows(&program, &values).map_err(fault)?;
        let learned_positions = learned_positions(&program, &values).map_err(fault)?;
        Ok(RecordedConfig { program, values, parameters, ties, linears, frozen, windows, learned_positions })
    }

    /// A key that is a whole number of at least 0.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// As [`RecordedConfig::number`], of the images' own config where there is one beside that of the texts.
    pub fn image_number(&self, key: &str) -> Option<u64> {
        self.number(key).or_else(|| self.number(&format!("vision_config.{key}")))
    }

    /// Mel bins and steps of the spectrogram that an encoder of speech takes; it refuses another length
    /// (`WhisperEncoder.forward` in models/whisper/modeling_whisper.py, 5.23).
    pub fn spectrogram(&self) -> Option<[u64; 2]> {
        Some([self.number("num_mel_bins")?, self.number("max_source_positions")?.checked_mul(2)?])
    }

    /// The number of layers: that of the longest list.
    pub fn layers(&self) -> u64 {
        let counts = self.program.header.lists.iter().filter_map(|list| list.count(&self.values).ok());
        counts.max().unwrap_or(1)
    }

    /// What the class answers to keys that a job leaves out.
    pub(crate) fn job_defaults(program: &Program) -> JobDefaults {
        let kinds = &program.header.attention;
        let sdpa = kinds.contains(&Attention::Sdpa);
        let eager_first = kinds.first() == Some(&Attention::Eager);
        JobDefaults {
            attention: if eager_first { AttentionKernel::Eager } else { AttentionKernel::Sdpa },
            attention_why: if eager_first { "the default of the model's class" } else { "the default" },
            sdpa,
            eager: kinds.contains(&Attention::Eager),
            checkpointing: match program.header.library.name.as_str() {
                "torchvision" => CheckpointingKinds::None,
                "diffusers" => CheckpointingKinds::NonReentrant,
                _ => CheckpointingKinds::Either,
            },
        }
    }
}

/// Refuses a key that is a whole number in the class and something else here; null stands for the class's own value.
fn refuse_other_kinds(program: &Program, keys: &Map<String, Json>) -> Result<(), Fault> {
    for (key, default) in &program.header.defaults {
        let given = keys.get(key).filter(|json| !json.is_null());
        if let (Value::Integer(_), Some(json)) = (default, given)
            && json.as_i64().is_none()
        {
            return Err(crate::keys::wrong_type(key, json, "a whole number"));
        }
    }
    Ok(())
}

/// Older files have `rope_scaling` and `rope_theta`, which transformers 5.23 reads as `rope_parameters`
/// (`standardize_rope_params` in modeling_rope_utils.py).
fn with_rope_parameters(keys: &Map<String, Json>) -> Map<String, Json> {
    let mut keys = keys.clone();
    let scaling = keys.remove("rope_scaling");
    let theta = keys.get("rope_theta").cloned();
    let rope = keys.entry("rope_parameters").or_insert_with(|| Json::Object(Map::new()));
    let Json::Object(rope) = rope else { return keys };
    if let Some(Json::Object(scaling)) = scaling {
        for (key, value) in scaling {
            // The oldest files call it `type`.
            let key = if key == "type" { "rope_type".to_owned() } else { key };
            rope.entry(key).or_insert(value);
        }
    }
    if let Some(theta) = theta {
        rope.entry("rope_theta").or_insert(theta);
    }
    keys
}

/// A config counts its labels by their names (`PretrainedConfig.num_labels`).
fn with_number_of_labels(mut keys: Map<String, Json>) -> Map<String, Json> {
    if let Some(Json::Object(names)) = keys.get("id2label") {
        let count = names.len();
        keys.insert("num_labels".to_owned(), count.into());
    }
    keys
}

/// The positions of a table that has a row for each of `max_position_embeddings`. A table with a row for padding begins
/// after that row (`create_position_ids_from_input_ids` in models/roberta/modeling_roberta.py, 5.23).
fn learned_positions(program: &Program, values: &Values) -> Result<Option<u64>, EvaluationError> {
    let Some([rows, padding]) = program.position_table(values)? else { return Ok(None) };
    Ok(Some(rows.saturating_sub(padding)))
}

fn fault(error: EvaluationError) -> Fault {
    match error {
        EvaluationError::NoKey(key) => Fault::Value {
            key,
            value: "absent".to_owned(),
            expected: "the model's class needs it".to_owned(),
        },
        EvaluationError::Kind { what, found, expected } => {
            Fault::Value { key: what, value: found, expected: format!("expected {expected}") }
        }
        EvaluationError::Uncovered(conditions) => Fault::Value {
            key: "the config".to_owned(),
            value: "outside of the class's recording".to_owned(),
            expected: format!(
                "it holds where {conditions}; brimful rehearse -- python train.py measures your own script with any config"
            ),
        },
        other => Fault::Value {
            key: "the config".to_owned(),
            value: other.to_string(),
            expected: "look at its sizes".to_owned(),
        },
    }
}

/// `DynamicCache.__init__` (transformers/cache_utils.py, 5.23): a layer's window by `layer_types`, and without them by
/// `sliding_window` or `attention_chunk_size` for all layers.
fn windows(program: &Program, values: &Values) -> Result<Vec<Option<u64>>, EvaluationError> {
    // A decoder comes after its encoder, and only it has a cache.
    let lists = &program.header.lists;
    let cached = if has_encoder_and_decoder(&program.header.task) { lists.last() } else { lists.first() };
    let count = match cached {
        Some(list) => list.count(values)?,
        None => 0,
    };
    let size = |key: &str| match values.get(key) {
        Some(Value::Integer(size)) => u64::try_from(*size).ok(),
        _ => None,
    };
    let of_all = size("sliding_window").or_else(|| size("attention_chunk_size"));
    let Some(Value::List(types)) = values.get("layer_types") else {
        return Ok(vec![of_all; count as usize]);
    };
    let window = |kind: &Value| match kind {
        Value::Text(kind) if kind == "sliding_attention" => size("sliding_window"),
        Value::Text(kind) if kind == "chunked_attention" => size("attention_chunk_size"),
        _ => None,
    };
    Ok(types.iter().take(count as usize).map(window).collect())
}
