use brimful_units::Dtype;
use serde_json::{Map, Value};

use crate::files::{Files, Kind};
use crate::{Checkpoint, ConfigFile, Fault, ModelError, catalogue};

/// A model: its architecture's numbers, where they are from, and its weights where they are at hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Where the numbers are from.
    pub source: Source,
    /// The numbers and the hints beside them.
    pub file: ConfigFile,
    /// The tensors in the safetensors files beside the config; `None` where there are none.
    pub checkpoint: Option<Checkpoint>,
    /// What the reader of an answer must know about how the name was read; `None` if it was read as it is written.
    pub note: Option<String>,
}

/// Where a model's numbers are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file on disk.
    File(String),
    /// The catalogue: the model's name on the hub, and where its facts are from.
    Catalogue {
        /// Such as `meta-llama/Meta-Llama-3-8B`.
        hub_id: String,
        /// Where each fact is from, the most frequent first.
        sources: Vec<String>,
    },
    /// A table in the job.
    Table,
}

/// A larger config.json is not one; the largest known have some 100 KB.
const LARGEST_TEXT: u64 = 16 << 20;

impl Model {
    /// The dtype of the weights: that of the checkpoint, else what the configuration says; `None` where neither does.
    pub fn dtype(&self) -> Option<Dtype> {
        self.checkpoint.as_ref().and_then(|weights| weights.dtype()).or(self.file.dtype)
    }

    /// The model that a folder, a file or a catalogue name gives.
    ///
    /// # Errors
    /// [`ModelError`] with the path: missing, unreadable, malformed, refused, or not simulated.
    pub fn open(name: &str, files: &dyn Files) -> Result<Model, ModelError> {
        let path = if name.len() > 1 { name.trim_end_matches('/') } else { name };
        match files.kind(path) {
            Kind::Folder => Model::from_folder(path, files),
            Kind::File if path.ends_with(".safetensors") => Model::beside_weights(path, files),
            Kind::File => Model::from_file(path, files),
            Kind::Missing => match name.split_once('.') {
                Some((library @ "torchvision", model)) => Model::of_library(name, library, model),
                _ => catalogue::model(name),
            },
        }
    }

    /// The model of another library than transformers, such as `torchvision.resnet50`.
    fn of_library(name: &str, library: &str, model: &str) -> Result<Model, ModelError> {
        let table = [("library", library), ("name", model)];
        let table = table.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        let made =
            Model::from_table(&table).map_err(|fault| ModelError { origin: name.to_owned(), fault })?;
        let source = Source::Catalogue { hub_id: name.to_owned(), sources: vec![library.to_owned()] };
        Ok(Model { source, ..made })
    }

    /// The model whose config.json keys stand in the job.
    ///
    /// # Errors
    /// As [`ConfigFile::from_map`].
    pub fn from_table(table: &Map<String, Value>) -> Result<Model, Fault> {
        Ok(Model { source: Source::Table, file: ConfigFile::from_map(table)?, checkpoint: None, note: None })
    }

    /// The model of a name, as [`Model::open`] finds it, with keys of its config.json changed: the same family at another
    /// size. Its weights are then those of another model, and are not looked at.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open_changed(
        name: &str,
        files: &dyn Files,
        changes: &Map<String, Value>,
    ) -> Result<Model, ModelError> {
        let path = if name.len() > 1 { name.trim_end_matches('/') } else { name };
        let (source, mut config) = match files.kind(path) {
            Kind::Missing => return catalogue::model_with(name, changes),
            Kind::Folder => config_of(&format!("{path}/config.json"), files)?,
            Kind::File if path.ends_with(".safetensors") => {
                let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
                config_of(&format!("{folder}/config.json"), files)?
            }
            Kind::File => config_of(path, files)?,
        };
        config.extend(changes.iter().map(|(key, value)| (key.clone(), value.clone())));
        let file = ConfigFile::from_map(&config).map_err(|fault| fault.of(name))?;
        Ok(Model { source, file, checkpoint: None, note: None })
    }

    fn from_folder(folder: &str, files: &dyn Files) -> Result<Model, ModelError> {
        let path = format!("{folder}/config.json");
        if files.kind(&path) != Kind::File {
            let names = files.list(folder).unwrap_or_default();
            let weights = names.iter().any(|name| name.ends_with(".safetensors"));
            return Err(Fault::NoConfig { weights }.of(folder));
        }
        let mut model = Model::from_file(&path, files)?;
        model.checkpoint = Checkpoint::of_folder(folder, files)?;
        model.check_against_weights(folder)?;
        Ok(model)
    }

    /// One safetensors file: the config.json beside it says the architecture.
    fn beside_weights(path: &str, files: &dyn Files) -> Result<Model, ModelError> {
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let config = format!("{folder}/config.json");
        if files.kind(&config) != Kind::File {
            return Err(Fault::NoConfig { weights: true }.of(path));
        }
        let mut model = Model::from_file(&config, files)?;
        model.checkpoint = Some(Checkpoint::of_files(&[path.to_owned()], files)?);
        model.check_against_weights(path)?;
        Ok(model)
    }

    fn from_file(path: &str, files: &dyn Files) -> Result<Model, ModelError> {
        let text = text_of(path, files).map_err(|fault| fault.of(path))?;
        let file = ConfigFile::from_json(&text).map_err(|fault| fault.of(path))?;
        Ok(Model { source: Source::File(path.to_owned()), file, checkpoint: None, note: None })
    }

    /// Every tensor that the config asks for and the weights hold has the same shape in both.
    fn check_against_weights(&self, origin: &str) -> Result<(), ModelError> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        match checkpoint.first_mismatch(&self.file.config) {
            Some(text) => Err(Fault::Mismatch(text).of(origin)),
            None => Ok(()),
        }
    }
}

/// The keys of the config.json that a folder, a file or a catalogue name gives, also of a model that is not simulated, and what
/// to say about how the name was read.
///
/// # Errors
/// [`ModelError`] with the path: missing, unreadable, or malformed.
pub fn model_keys(name: &str, files: &dyn Files) -> Result<(Map<String, Value>, Option<String>), ModelError> {
    let path = if name.len() > 1 { name.trim_end_matches('/') } else { name };
    let file = match files.kind(path) {
        Kind::Missing => return catalogue::keys(name),
        Kind::Folder => format!("{path}/config.json"),
        Kind::File if path.ends_with(".safetensors") => {
            let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
            format!("{folder}/config.json")
        }
        Kind::File => path.to_owned(),
    };
    if files.kind(&file) != Kind::File {
        return Err(Fault::NoConfig { weights: path.ends_with(".safetensors") }.of(path));
    }
    Ok((config_of(&file, files)?.1, None))
}

/// The keys of a config.json.
fn config_of(path: &str, files: &dyn Files) -> Result<(Source, Map<String, Value>), ModelError> {
    let text = text_of(path, files).map_err(|fault| fault.of(path))?;
    let config = serde_json::from_str(&text).map_err(|error| Fault::Json(error.to_string()).of(path))?;
    Ok((Source::File(path.to_owned()), config))
}

/// A small text file.
fn text_of(path: &str, files: &dyn Files) -> Result<String, Fault> {
    let size = files.size(path).map_err(Fault::Unreadable)?;
    if size > LARGEST_TEXT {
        return Err(Fault::Unreadable(format!(
            "is at least {size} bytes long; expected a config.json of at most {LARGEST_TEXT} bytes"
        )));
    }
    let bytes = files.read(path, 0, size).map_err(Fault::Unreadable)?;
    String::from_utf8(bytes).map_err(|_| Fault::Json("the file is not UTF-8 text".to_owned()))
}
