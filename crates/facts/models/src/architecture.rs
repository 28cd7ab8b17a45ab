use std::sync::Arc;

use brimful_programs::{CAUSAL_LM, Program, SEQ2SEQ, SPEECH_SEQ2SEQ};
use serde_json::{Map, Value};

use brimful_units::{Dtype, nearest};

use crate::families::{FAMILIES, Family, simulated_families};
use crate::keys::{Keys, wrong_type};
use crate::{Config, Fault, JobDefaults, RecordedConfig};

/// What a `config.json` says: the architecture's numbers and the hints beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigFile {
    /// The numbers.
    pub config: Config,
    /// `model_type` of the class that read them, such as `llama`.
    pub model_type: &'static str,
    /// The task that the class answers, as the job file names it, such as `causal-lm`.
    pub task: &'static str,
    /// The dtype of the weights (`dtype`, in old files `torch_dtype`); `None` where the file does not say.
    pub dtype: Option<Dtype>,
    /// The file's `pad_token_id` where it is a token of the vocabulary.
    pub pad_token_id: Option<u64>,
    /// What the family answers to keys that a job leaves out.
    pub job_defaults: JobDefaults,
    /// The keys that were read.
    keys: Arc<Map<String, Value>>,
}

/// Endings of transformers' model classes.
const ENDINGS: [&str; 11] = [
    "ForCausalLM",
    "ForMaskedLM",
    "ForPreTraining",
    "LMHeadModel",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForImageClassification",
    "ForConditionalGeneration",
    "DoubleHeadsModel",
    "Model",
];

impl ConfigFile {
    /// The `quantization_config` of a model whose weights bitsandbytes quantized; `None` if they have their own dtype.
    pub fn quantization(&self) -> Option<&Map<String, Value>> {
        self.keys.get(QUANTIZATION)?.as_object()
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// What transformers 5.23 would refuse, and what brimful does not simulate: see [`Fault`].
    pub fn from_json(text: &str) -> Result<ConfigFile, Fault> {
        let value: Value = serde_json::from_str(text).map_err(|error| Fault::Json(error.to_string()))?;
        match &value {
            Value::Object(map) => ConfigFile::from_map(map),
            other => Err(wrong_type("the file", other, "a table with the keys of config.json")),
        }
    }

    /// Reads the keys of a `config.json`; unknown keys are left alone, as transformers does.
    ///
    /// # Errors
    /// As [`ConfigFile::from_json`].
    pub fn from_map(map: &Map<String, Value>) -> Result<ConfigFile, Fault> {
        if let Some(outcome) = of_another_library(map) {
            return outcome;
        }
        let family = match family_of(map) {
            Err(fault) => return recorded(map).unwrap_or(Err(fault)),
            Ok(family) => family,
        };
        ConfigFile::of_family(family, map)
    }

    /// The same keys read for another task: by the class that `AutoModelFor…` takes for them, whatever `architectures` says.
    ///
    /// # Errors
    /// [`Fault::NoTask`] where the type has no program for the task; else as [`ConfigFile::from_json`].
    pub fn for_task(&self, task: &str) -> Result<ConfigFile, Fault> {
        if task == self.task {
            return Ok(self.clone());
        }
        if let Some(family) = find(self.model_type).filter(|_| task == CAUSAL_LM) {
            return ConfigFile::of_family(family, &self.keys);
        }
        match brimful_programs::proven(self.model_type, task) {
            Some(proven) => read_recorded(proven, &self.keys),
            None => Err(Fault::NoTask {
                name: self.model_type.to_owned(),
                task: task.to_owned(),
                simulated: tasks(self.model_type),
            }),
        }
    }

    /// The refusal of a config whose class answers a task for which its type has no program. A job that names its task does
    /// not ask for the class.
    ///
    /// # Errors
    /// [`Fault::NoTask`].
    pub fn check_class(&self) -> Result<(), Fault> {
        let simulated = tasks(self.model_type);
        // A family by hand reads every class as its causal language model.
        let Some(task) = class_task(self.model_type, &self.keys).filter(|_| find(self.model_type).is_none())
        else {
            return Ok(());
        };
        if simulated.contains(&task) {
            return Ok(());
        }
        Err(Fault::NoTask { name: self.model_type.to_owned(), task: task.to_owned(), simulated })
    }

    fn of_family(family: &Family, map: &Map<String, Value>) -> Result<ConfigFile, Fault> {
        let keys = Keys::new(map, family.keys);
        refuse_what_is_not_modelled(keys)?;
        let config = (family.read)(keys)?;
        config.check_total()?;
        let pad = keys.given("pad_token_id").and_then(Value::as_u64);
        let pad_token_id = pad.filter(|token| *token < config.vocab_size());
        let (model_type, job_defaults, task) = (family.model_type, family.job, CAUSAL_LM);
        let (dtype, keys) = (dtype(keys)?, Arc::new(map.clone()));
        Ok(ConfigFile { model_type, task, dtype, pad_token_id, config, job_defaults, keys })
    }
}

/// The endings of classes that say their task.
const TASKS_OF_CLASSES: [(&str, &str); 6] = [
    ("ForMaskedLM", "masked-lm"),
    ("ForSequenceClassification", "sequence-classification"),
    ("ForTokenClassification", "token-classification"),
    ("ForQuestionAnswering", "question-answering"),
    ("ForImageClassification", "image-classification"),
    ("ForConditionalGeneration", SEQ2SEQ),
];

/// Types whose config describes an encoder and a decoder, while their program for causal-lm is that of the decoder alone, such
/// as `BartForCausalLM`.
const DECODERS_ALONE: [&str; 7] =
    ["bart", "bigbird_pegasus", "blenderbot-small", "mbart", "mvp", "plbart", "whisper"];

/// Types whose `ForConditionalGeneration` reads speech.
const READERS_OF_SPEECH: [&str; 1] = ["whisper"];

/// The task that the class in `architectures` says; `None` where it says none.
fn class_task(model_type: &str, map: &Map<String, Value>) -> Option<&'static str> {
    let class = map.get("architectures").and_then(|classes| classes.get(0)).and_then(Value::as_str);
    let said = TASKS_OF_CLASSES.iter().find(|row| class.is_some_and(|class| class.ends_with(row.0)));
    let decoder = class.is_some_and(|class| class.ends_with("ForCausalLM"));
    // Without the decoder's own class such a config means the whole model.
    let whole = DECODERS_ALONE.contains(&model_type) && !decoder;
    let task = said.map(|row| row.1).or_else(|| whole.then_some(SEQ2SEQ))?;
    Some(if task == SEQ2SEQ && READERS_OF_SPEECH.contains(&model_type) { SPEECH_SEQ2SEQ } else { task })
}

/// The tasks that are simulated for a `model_type`.
fn tasks(model_type: &str) -> Vec<&'static str> {
    let by_hand = find(model_type).map(|_| CAUSAL_LM);
    by_hand.into_iter().chain(brimful_programs::proven_tasks(model_type)).collect()
}

/// The config of a class that was recorded as a program; `None` if its `model_type` or class is none of theirs.
///
/// `architectures` says the task. A class that has no program, such as `BertForPreTraining`, is read for the first task of
/// its type.
fn recorded(map: &Map<String, Value>) -> Option<Result<ConfigFile, Fault>> {
    let named = map.get("model_type").and_then(Value::as_str);
    let class = map.get("architectures").and_then(|classes| classes.get(0)).and_then(Value::as_str);
    let of_class = class.and_then(brimful_programs::proven_of_class);
    let (model_type, task) = match (named, of_class) {
        (Some(named), Some((model_type, task))) if named == model_type => (model_type, task),
        (Some(named), _) => (named, brimful_programs::proven_tasks(named).next()?),
        // A class that a family by hand has too is the family's.
        (None, of_class) => {
            of_class.filter(|_| FAMILIES.iter().all(|family| Some(family.causal_lm) != class))?
        }
    };
    let read = read_recorded(brimful_programs::proven(model_type, task)?, map);
    // What another class of the type would read is no fault of the config.
    let other = class_task(model_type, map).is_some_and(|said| !tasks(model_type).contains(&said));
    Some(
        read.map_err(|fault| if other { Fault::NotSimulated { name: model_type.to_owned() } } else { fault }),
    )
}

/// The library of models that only a name describes, and the keys of a table that names one: `library` and `name`.
const TORCHVISION: &str = "torchvision";

/// A model of another library than transformers; `None` if the keys are those of transformers' config.json.
fn of_another_library(map: &Map<String, Value>) -> Option<Result<ConfigFile, Fault>> {
    let text =
        |key: &str| map.get(key).map(|value| value.as_str().ok_or_else(|| wrong_type(key, value, "a text")));
    let named = match (text("library"), text("_class_name")) {
        (None, None) => return None,
        (Some(library), _) => library.and_then(|library| match (library, text("name")) {
            (TORCHVISION, Some(name)) => name.map(|name| (TORCHVISION, "name", name)),
            (TORCHVISION, None) => {
                Err(Fault::value("name", "absent", "the name of a model, such as \"resnet50\""))
            }
            (other, _) => Err(Fault::value(
                "library",
                format!("{other:?}"),
                "\"torchvision\"; leave it out for transformers",
            )),
        }),
        (None, Some(class)) => class.map(|class| ("diffusers", "_class_name", class)),
    };
    Some(named.and_then(|(library, key, name)| {
        let model_type = format!("{library}.{name}");
        let task = brimful_programs::proven_tasks(&model_type).next();
        match task.and_then(|task| brimful_programs::proven(&model_type, task)) {
            Some(program) => read_recorded(program, map),
            None => Err(unknown_of_library(library, key, name)),
        }
    }))
}

/// The error for a name that a library does not have, or that is not simulated.
fn unknown_of_library(library: &str, key: &'static str, name: &str) -> Fault {
    let known = brimful_programs::proven_types().filter_map(|it| it.strip_prefix(library)?.strip_prefix('.'));
    let nearest = nearest(name, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    let expected =
        format!("a model of {library} that is simulated, which `brimful --version --facts` lists{nearest}");
    Fault::value(key, format!("{name:?}"), expected)
}

fn read_recorded(
    (model_type, program): (&'static str, Arc<Program>),
    map: &Map<String, Value>,
) -> Result<ConfigFile, Fault> {
    let keys = Keys::new(map, &[]);
    refuse_what_is_not_modelled(keys)?;
    let job_defaults = RecordedConfig::job_defaults(&program);
    // A proven program is one of the list's, whose names are static.
    let task = brimful_programs::proven_tasks(model_type).find(|task| *task == program.header.task);
    let task = task.unwrap_or(CAUSAL_LM);
    let config = Config::Recorded(RecordedConfig::read(program, map)?);
    config.check_total()?;
    let pad = keys.given("pad_token_id").and_then(Value::as_u64);
    let pad_token_id = pad.filter(|token| *token < config.vocab_size());
    let (dtype, keys) = (dtype(keys)?, Arc::new(map.clone()));
    Ok(ConfigFile { model_type, task, dtype, pad_token_id, config, job_defaults, keys })
}

/// The family that `model_type`, or where absent `architectures`, names.
fn family_of(map: &Map<String, Value>) -> Result<&'static Family, Fault> {
    if let Some(name) = map.get("model_type").filter(|v| !v.is_null()) {
        let name = name.as_str().ok_or_else(|| wrong_type("model_type", name, "a text"))?;
        return find(name).ok_or_else(|| not_simulated("model_type", name));
    }
    let classes = match map.get("architectures") {
        None | Some(Value::Null) => return Err(Fault::NoArchitecture),
        Some(Value::Array(classes)) => classes,
        Some(other) => return Err(wrong_type("architectures", other, "a list of class names")),
    };
    let class = classes.first().ok_or(Fault::NoArchitecture)?;
    let class = class.as_str().ok_or_else(|| wrong_type("architectures", class, "a class name"))?;
    let found = FAMILIES.iter().copied().find(|family| stem(family.causal_lm) == stem(class));
    found.ok_or_else(|| not_simulated("architectures", class))
}

fn find(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.model_type == model_type)
}

/// A class's name without its ending: `Llama` of `LlamaForCausalLM`.
fn stem(class: &str) -> &str {
    ENDINGS.iter().find_map(|ending| class.strip_suffix(ending)).unwrap_or(class)
}

/// The error for an architecture that has no simulation: known to transformers, or not at all.
pub(crate) fn not_simulated(key: &'static str, found: &str) -> Fault {
    let stem = stem(found);
    if let Some(known) = model_types().find(|known| plain(known).eq(plain(stem))) {
        return Fault::NotSimulated { name: known.to_owned() };
    }
    let near = nearest(stem, simulated_families()).or_else(|| nearest(stem, model_types()));
    let nearest = near.map(|name| name_in(key, name));
    Fault::UnknownArchitecture { key, found: found.to_owned(), nearest }
}

/// A name in lower case without what joins its words. No string is made of it, since it is compared with every `model_type`.
fn plain(name: &str) -> impl Iterator<Item = u8> {
    let joins = |byte: &u8| !matches!(byte, b'_' | b'-');
    name.bytes().filter(joins).map(|byte| byte.to_ascii_lowercase())
}

/// A `model_type` as it is written under the key.
fn name_in(key: &str, model_type: &str) -> String {
    match find(model_type) {
        Some(family) if key == "architectures" => family.causal_lm.to_owned(),
        _ => model_type.to_owned(),
    }
}

/// Every `model_type` of transformers 5.23.
fn model_types() -> impl Iterator<Item = &'static str> {
    include_str!("../data/model-types.txt").lines().filter(|line| !line.starts_with('#'))
}

/// The key of a model whose weights are stored in another form.
const QUANTIZATION: &str = "quantization_config";

/// Whether a `quantization_config` is one of bitsandbytes' (`AutoQuantizationConfig.from_dict` in
/// transformers/quantizers/auto.py, 5.23: old files have no `quant_method`).
fn is_of_bitsandbytes(value: &Value) -> bool {
    let asked = |key: &str| value.get(key).and_then(Value::as_bool) == Some(true);
    match value.get("quant_method") {
        Some(method) => method == "bitsandbytes",
        None => asked("load_in_4bit") || asked("load_in_8bit"),
    }
}

/// Keys that change what is allocated and that no simulation follows yet.
fn refuse_what_is_not_modelled(keys: Keys) -> Result<(), Fault> {
    let refused: [(&str, &'static str); 2] = [
        (QUANTIZATION, "remove the key to see the memory of the weights in `dtype`"),
        ("per_layer_config", "blocks of different sizes have no simulation"),
    ];
    for (key, why) in refused {
        if let Some(value) = keys.given(key) {
            if key == QUANTIZATION && is_of_bitsandbytes(value) {
                continue;
            }
            return Err(Fault::Unsupported { key: key.to_owned(), value: crate::keys::describe(value), why });
        }
    }
    Ok(())
}

/// `dtype`, in old files `torch_dtype`; "auto" says nothing.
fn dtype(keys: Keys) -> Result<Option<Dtype>, Fault> {
    for key in ["dtype", "torch_dtype"] {
        if let Some(value) = keys.given(key) {
            let name = value.as_str().ok_or_else(|| wrong_type(key, value, "a text such as \"bfloat16\""))?;
            if name == "auto" {
                continue;
            }
            return name
                .parse()
                .map(Some)
                .map_err(|error| Fault::value(key, format!("{name:?}"), format!("{error}")));
        }
    }
    Ok(None)
}
