use std::collections::HashMap;

use brimful_units::{Bytes, Dtype, Shape};
use serde_json::Value;

use crate::files::{Files, Kind};
use crate::safetensors::{header_length, parse_header};
use crate::{Config, Fault, ModelError, SafetensorsError, TensorInfo};

/// The tensors of a model's safetensors files, exactly as their headers say.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The files, in the order they were read.
    pub files: Vec<String>,
    /// Every tensor.
    pub tensors: Vec<TensorInfo>,
}

/// The list of shards that transformers writes.
const INDEX: &str = "model.safetensors.index.json";

impl Checkpoint {
    /// The checkpoint of a folder: the shards its index names, or `model.safetensors`, or every safetensors file.
    ///
    /// # Errors
    /// A shard that the index names but the folder lacks, and any wrong header.
    pub fn of_folder(folder: &str, files: &dyn Files) -> Result<Option<Checkpoint>, ModelError> {
        let index = format!("{folder}/{INDEX}");
        let single = format!("{folder}/model.safetensors");
        let paths = if files.kind(&single) == Kind::File {
            vec![single]
        } else if files.kind(&index) == Kind::File {
            shards(folder, &index, files)?
        } else {
            let mut names = files.list(folder).map_err(|cause| Fault::Unreadable(cause).of(folder))?;
            names.retain(|name| name.ends_with(".safetensors"));
            names.sort();
            names.iter().map(|name| format!("{folder}/{name}")).collect()
        };
        if paths.is_empty() { Ok(None) } else { Checkpoint::of_files(&paths, files).map(Some) }
    }

    /// The checkpoint of these files.
    ///
    /// # Errors
    /// Any wrong header, and a tensor that is in two files.
    pub fn of_files(paths: &[String], files: &dyn Files) -> Result<Checkpoint, ModelError> {
        let mut tensors: Vec<TensorInfo> = Vec::new();
        let mut owner: HashMap<String, &String> = HashMap::new();
        for path in paths {
            for tensor in header(path, files).map_err(|fault| fault.of(path.as_str()))? {
                if let Some(first) = owner.insert(tensor.name.clone(), path) {
                    let text = format!("the tensor {:?} is in {first} too", tensor.name);
                    return Err(Fault::Mismatch(text).of(path.as_str()));
                }
                tensors.push(tensor);
            }
        }
        Ok(Checkpoint { files: paths.to_vec(), tensors })
    }

    /// Bytes of all tensors; saturates at 2^64 - 1.
    pub fn bytes(&self) -> Bytes {
        Bytes::new(self.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.bytes.get())))
    }

    /// The floating dtype most of the bytes have; `None` for an empty checkpoint.
    pub fn dtype(&self) -> Option<Dtype> {
        let mut bytes: Vec<(Dtype, u64)> = Vec::new();
        for tensor in self.tensors.iter().filter(|tensor| tensor.dtype.is_floating()) {
            match bytes.iter_mut().find(|(dtype, _)| *dtype == tensor.dtype) {
                Some((_, sum)) => *sum = sum.saturating_add(tensor.bytes.get()),
                None => bytes.push((tensor.dtype, tensor.bytes.get())),
            }
        }
        bytes.into_iter().max_by_key(|(_, sum)| *sum).map(|(dtype, _)| dtype)
    }

    /// The first parameter whose shape is another than the config's, in words.
    /// Base-model checkpoints without the `model.`/`transformer.` prefix are understood.
    pub fn first_mismatch(&self, config: &Config) -> Option<String> {
        let stored: HashMap<&str, &Shape> = self.tensors.iter().map(|t| (bare(&t.name), &t.shape)).collect();
        let wanted = config.parameter_tensors();
        wanted.iter().find_map(|(name, shape)| {
            let found = stored.get(bare(name)).filter(|found| **found != shape)?;
            Some(format!(
                "the config makes {name} {shape}, but the weights hold {found}: they do not belong together"
            ))
        })
    }
}

/// A parameter's name without the base model's prefix.
fn bare(name: &str) -> &str {
    name.strip_prefix("model.").or_else(|| name.strip_prefix("transformer.")).unwrap_or(name)
}

/// The tensors of one file.
fn header(path: &str, files: &dyn Files) -> Result<Vec<TensorInfo>, Fault> {
    let size = files.size(path).map_err(Fault::Unreadable)?;
    let first = files.read(path, 0, 8).map_err(Fault::Unreadable)?;
    let length = header_length(&first, size)?;
    let json = files.read(path, 8, length).map_err(Fault::Unreadable)?;
    if json.len() as u64 != length {
        return Err(SafetensorsError::Truncated { length, found: json.len() as u64 }.into());
    }
    Ok(parse_header(&json, size - 8 - length)?)
}

/// The files that the index names, each once; all must lie in the folder.
fn shards(folder: &str, index: &str, files: &dyn Files) -> Result<Vec<String>, ModelError> {
    let read = || -> Result<Vec<String>, Fault> {
        let size = files.size(index).map_err(Fault::Unreadable)?.min(crate::safetensors::LARGEST_HEADER);
        let bytes = files.read(index, 0, size).map_err(Fault::Unreadable)?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| Fault::Json(error.to_string()))?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| Fault::Json("it has no table `weight_map`".to_owned()))?;
        let mut names: Vec<String> = map.values().filter_map(Value::as_str).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    };
    let names = read().map_err(|fault| fault.of(index))?;
    if let Some(outside) = names.iter().find(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
        return Err(Fault::Mismatch(format!("the shard {outside:?} lies outside the folder")).of(index));
    }
    let paths: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
    match paths.iter().find(|path| files.kind(path) != Kind::File) {
        Some(missing) => {
            Err(Fault::Mismatch(format!("it names the shard {missing}, which is not there")).of(index))
        }
        None => Ok(paths),
    }
}
