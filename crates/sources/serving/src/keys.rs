//! The keys of a config.json, with the model's own names and bounds that keep products within reason.

use brimful_units::Dtype;
use serde_json::{Map, Value};

use crate::ServingError;

/// No width, count or length of a real model is larger; a larger one is a slip of the pen or hostile.
const LARGEST: u64 = 1 << 28;

/// The keys of a language model. Those of `text_config` come before those around it.
pub(crate) struct Keys<'a> {
    inner: &'a Map<String, Value>,
    outer: &'a Map<String, Value>,
    /// The model type, for messages.
    pub(crate) model_type: &'a str,
}

impl<'a> Keys<'a> {
    /// The keys of a config.
    ///
    /// # Errors
    /// There is no `model_type`.
    pub(crate) fn of(config: &'a Map<String, Value>) -> Result<Keys<'a>, ServingError> {
        let inner = config.get("text_config").and_then(Value::as_object).unwrap_or(config);
        let model_type = inner.get("model_type").or_else(|| config.get("model_type")).and_then(Value::as_str);
        let Some(model_type) = model_type else {
            let needed_by = "vLLM".to_owned();
            return Err(ServingError::Missing { key: "model_type".to_owned(), needed_by });
        };
        Ok(Keys { inner, outer: config, model_type })
    }

    /// A key; `None` if it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        let set = |map: &'a Map<String, Value>| map.get(key).filter(|value| !value.is_null());
        set(self.inner).or_else(|| set(self.outer))
    }

    /// A whole number; `None` if the key is absent.
    ///
    /// # Errors
    /// The value is no whole number, or too large.
    pub(crate) fn given(&self, key: &str) -> Result<Option<u64>, ServingError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(number) if number <= LARGEST => Ok(Some(number)),
            _ => {
                Err(ServingError::value(key, value, format!("expected a whole number of at most {LARGEST}")))
            }
        }
    }

    /// A whole number of at least 1.
    ///
    /// # Errors
    /// The key is absent or 0, or the value is no whole number.
    pub(crate) fn size(&self, key: &str) -> Result<u64, ServingError> {
        match self.given(key)? {
            Some(0) => Err(ServingError::value(key, 0, "expected at least 1")),
            Some(number) => Ok(number),
            None => Err(ServingError::Missing { key: key.to_owned(), needed_by: self.model_type.to_owned() }),
        }
    }

    /// As [`Keys::size`], with a value for an absent key.
    pub(crate) fn size_or(&self, key: &str, absent: u64) -> Result<u64, ServingError> {
        if self.get(key).is_some() { self.size(key) } else { Ok(absent) }
    }

    /// `true` or `false`, with a value for an absent key.
    pub(crate) fn flag(&self, key: &str, absent: bool) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(absent)
    }

    /// A number; `None` if the key is absent.
    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_f64)
    }

    /// A text; `None` if the key is absent.
    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A list of texts; `None` if the key is absent or has something else in it.
    pub(crate) fn words(&self, key: &str) -> Option<Vec<&'a str>> {
        self.get(key)?.as_array()?.iter().map(Value::as_str).collect()
    }

    /// A key of a table; `None` if there is no such table or key.
    pub(crate) fn within(&self, table: &str, key: &str) -> Option<&'a Value> {
        self.get(table)?.as_object()?.get(key).filter(|value| !value.is_null())
    }

    /// The dtype of the checkpoint (`dtype`, in older files `torch_dtype`); `None` if the config has none.
    pub(crate) fn dtype(&self) -> Option<Dtype> {
        let name = self.text("dtype").or_else(|| self.text("torch_dtype"))?;
        name.parse().ok()
    }

    /// Whether the model has an encoder of images, video or audio beside its language model.
    pub(crate) fn encoder(&self) -> Option<&'static str> {
        ["vision_config", "audio_config"]
            .into_iter()
            .find(|key| self.outer.get(*key).is_some_and(Value::is_object))
    }
}
