use std::cell::RefCell;

use brimful_models::describe;
use brimful_units::nearest;
use serde_json::{Map, Value};

use crate::{JobFault, Recipe};

/// A table of the job whose keys are known; reading an absent key notes what was assumed.
pub(crate) struct Section<'a> {
    path: &'a str,
    map: &'a Map<String, Value>,
    recipe: &'a RefCell<Recipe>,
}

/// The words of a choice, each with what it means.
pub(crate) type Choices<'c, T> = &'c [(&'c str, T)];

impl<'a> Section<'a> {
    /// The table at `path`, which may be empty for the whole job.
    ///
    /// # Errors
    /// Where it is no table, or has a key that is not in `known`.
    pub(crate) fn new(
        path: &'a str,
        value: &'a Value,
        known: &[&str],
        recipe: &'a RefCell<Recipe>,
    ) -> Result<Section<'a>, JobFault> {
        let expected = || "a table of keys".to_owned();
        let Value::Object(map) = value else {
            let key = if path.is_empty() { "the job" } else { path };
            return Err(JobFault::WrongType {
                key: key.into(),
                found: describe(value),
                expected: expected(),
            });
        };
        let section = Section { path, map, recipe };
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(JobFault::UnknownKey {
                key: section.key(key),
                nearest: nearest(key, known.iter().copied()).map(|name| section.key(name)),
                expected: known.join(", "),
            }),
            None => Ok(section),
        }
    }

    /// The full path of a key.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value; `None` where the key is absent or `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Notes what is taken for an absent key.
    pub(crate) fn assume<T: ToString>(&self, name: &str, value: T, why: &'static str) -> T {
        self.recipe.borrow_mut().assume(&self.key(name), value.to_string(), why);
        value
    }

    /// The error for a value of another type.
    pub(crate) fn wrong_type(&self, name: &str, value: &Value, expected: &str) -> JobFault {
        JobFault::WrongType { key: self.key(name), found: describe(value), expected: expected.to_owned() }
    }

    /// The error for a value that cannot be.
    pub(crate) fn bad(&self, name: &str, value: impl ToString, expected: impl Into<String>) -> JobFault {
        JobFault::Value { key: self.key(name), value: value.to_string(), expected: expected.into() }
    }

    /// The error for a value that no simulation follows.
    pub(crate) fn not_simulated(&self, name: &str, value: &Value, known: &str) -> JobFault {
        let value = describe(value);
        JobFault::NotSimulated { key: self.key(name), value, known: known.to_owned() }
    }

    /// A whole number between bounds; `None` where absent.
    pub(crate) fn count(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, JobFault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (least..=most).contains(&n) => Ok(Some(n)),
            _ if value.is_u64() || value.is_i64() => {
                Err(self.bad(name, value, format!("expected a whole number from {least} to {most}")))
            }
            _ => Err(self.wrong_type(name, value, "a whole number")),
        }
    }

    /// As [`Section::count`], with the value taken where absent.
    pub(crate) fn count_or(&self, name: &str, bounds: (u64, u64), default: u64) -> Result<u64, JobFault> {
        let found = self.count(name, bounds.0, bounds.1)?;
        Ok(found.unwrap_or_else(|| self.assume(name, default, "the default")))
    }

    /// `true` or `false`; absent is `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, JobFault> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    /// `true` or `false`; `None` where absent.
    pub(crate) fn optional_flag(&self, name: &str) -> Result<Option<bool>, JobFault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong_type(name, other, "true or false")),
        }
    }

    /// A number; `None` where absent.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, JobFault> {
        let value = self.get(name);
        value.map(|value| value.as_f64().ok_or_else(|| self.wrong_type(name, value, "a number"))).transpose()
    }

    /// A text; `None` where absent.
    pub(crate) fn text(&self, name: &str, expected: &str) -> Result<Option<&'a str>, JobFault> {
        let value = self.get(name);
        value.map(|value| value.as_str().ok_or_else(|| self.wrong_type(name, value, expected))).transpose()
    }

    /// One of some words; `None` where absent.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: Choices<T>) -> Result<Option<T>, JobFault> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", words.join(", "));
        let Some(found) = self.text(name, &expected)? else { return Ok(None) };
        if let Some((_, meaning)) = choices.iter().find(|(word, _)| *word == found) {
            return Ok(Some(*meaning));
        }
        let meant =
            nearest(found, words).map_or_else(String::new, |word| format!("; did you mean {word:?}?"));
        Err(self.bad(name, format!("{found:?}"), format!("expected {expected}{meant}")))
    }

    /// As [`Section::choice`]; where absent the first word is taken and noted.
    pub(crate) fn choice_or_first<T: Copy>(&self, name: &str, choices: Choices<T>) -> Result<T, JobFault> {
        Ok(self.choice(name, choices)?.unwrap_or_else(|| {
            self.assume(name, choices[0].0, "the default");
            choices[0].1
        }))
    }
}
