use std::cell::RefCell;

use brimful_models::{JobDefaults, describe};
use brimful_units::nearest;
use serde_json::{Map, Value};

use crate::keys::{self, Absent, Key, Kind, joined, keys_of};
use crate::words::Words;
use crate::{JobFault, Recipe};

/// A table of the job whose keys are known. Reading an absent key notes what was assumed.
pub(crate) struct Section<'a> {
    path: &'a str,
    map: &'a Map<String, Value>,
    recipe: &'a RefCell<Recipe>,
    family: Option<JobDefaults>,
    /// What a library has for absent keys: a key, its value, and the reason.
    library: &'static [(&'static str, &'static str, &'static str)],
}

impl<'a> Section<'a> {
    /// The table at `path`, which may be empty for the whole job. Its keys are the rows of the table of keys, and each
    /// value is of its row's kind and is simulated.
    ///
    /// # Errors
    /// As [`Section::new`] and [`Section::checked`].
    pub(crate) fn of(
        path: &'a str,
        value: &'a Value,
        recipe: &'a RefCell<Recipe>,
    ) -> Result<Section<'a>, JobFault> {
        let known: Vec<&str> = keys_of(path).map(|key| key.name).collect();
        Section::new(path, value, &known, recipe)?.checked()
    }

    /// The table at `path`, which may be empty for the whole job.
    ///
    /// # Errors
    /// The value is no table, or has a key that is not in `known`.
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
        let section = Section { path, map, recipe, family: None, library: &[] };
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(JobFault::UnknownKey {
                key: section.key(key),
                nearest: section.meant(key, known).map(|name| section.key(name)),
                expected: known.join(", "),
            }),
            None => Ok(section),
        }
    }

    /// The key that an unknown one means: that of which it is another name, else the nearest.
    fn meant<'b>(&self, word: &'b str, known: &[&'b str]) -> Option<&'b str> {
        let other_name = keys_of(self.path).find(|row| row.is_called(word)).map(|row| row.name);
        other_name.filter(|name| known.contains(name)).or_else(|| nearest(word, known.iter().copied()))
    }

    /// The section, with each value checked against its row.
    ///
    /// # Errors
    /// A value of another kind than its row's, or one that is not simulated.
    pub(crate) fn checked(self) -> Result<Section<'a>, JobFault> {
        for row in keys_of(self.path) {
            let Some(value) = self.get(row.name) else { continue };
            let Some(instead) = row.instead(value) else {
                // A value that is written out among the simulated ones need not be of the kind: `tensor = "none"`.
                if row.simulated == keys::Simulated::Yes {
                    self.check_kind(row, value)?;
                }
                continue;
            };
            // A wrong type is the more useful message, but of a key that is refused as a whole only the name counts.
            if !matches!(row.simulated, keys::Simulated::NotYet(_)) {
                self.check_kind(row, value)?;
            }
            return Err(self.not_simulated(row.name, value, instead));
        }
        Ok(self)
    }

    /// The section of a job whose absent keys the model's config class may answer.
    pub(crate) fn of_family(self, family: JobDefaults) -> Section<'a> {
        Section { family: Some(family), ..self }
    }

    /// The section of a job whose absent keys a library answers before the table of keys does.
    pub(crate) fn of_library(
        self,
        library: &'static [(&'static str, &'static str, &'static str)],
    ) -> Section<'a> {
        Section { library, ..self }
    }

    /// The full path of a key.
    pub(crate) fn key(&self, name: &str) -> String {
        joined(self.path, name)
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

    /// Notes what the reader of an answer must know.
    pub(crate) fn note(&self, text: &str) {
        self.recipe.borrow_mut().notes.push(text.to_owned());
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

    /// The error for a key that must be there.
    pub(crate) fn missing(&self, name: &str) -> JobFault {
        let expected = self.row(name).map_or("write it", |row| row.help).to_owned();
        JobFault::Missing { key: self.key(name), expected }
    }

    /// The row of a key of this section.
    fn row(&self, name: &str) -> Option<&'static Key> {
        keys_of(self.path).find(|key| key.name == name)
    }

    /// The default that the row or the family has for an absent key, which is noted if answers list it.
    fn default(&self, name: &str) -> Option<&'static str> {
        if let Some((_, value, why)) = self.library.iter().find(|row| row.0 == name) {
            return Some(self.assume(name, value, why));
        }
        match (self.row(name)?.absent, &self.family) {
            (Absent::Silently(value), _) => Some(value),
            (Absent::Assumed(value, why), _) => Some(self.assume(name, value, why)),
            (Absent::Family(answer), Some(family)) => {
                let (value, why) = answer(family);
                Some(self.assume(name, value, why))
            }
            (Absent::Family(_) | Absent::Nothing | Absent::Follows(_) | Absent::Required, _) => None,
        }
    }

    /// A whole number; the row's default if the key is absent.
    pub(crate) fn count(&self, name: &str) -> Result<u64, JobFault> {
        let default = || self.default(name)?.parse().ok();
        self.given_count(name).or_else(default).ok_or_else(|| self.missing(name))
    }

    /// A whole number; `None` if the key is absent.
    pub(crate) fn given_count(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_u64)
    }

    /// `true` or `false`; the row's default if the key is absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.given_flag(name).unwrap_or_else(|| self.default(name) == Some("true"))
    }

    /// `true` or `false`; `None` if the key is absent.
    pub(crate) fn given_flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// Whether a number is there and not zero.
    pub(crate) fn nonzero(&self, name: &str) -> bool {
        self.given_number(name).is_some_and(|number| number != 0.0)
    }

    /// A number; `None` if the key is absent.
    pub(crate) fn given_number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64)
    }

    /// A text; `None` if the key is absent.
    pub(crate) fn given_text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A text; the row's default if the key is absent.
    pub(crate) fn text(&self, name: &str) -> Result<String, JobFault> {
        let found = self.given_text(name).or_else(|| self.default(name));
        found.map(str::to_owned).ok_or_else(|| self.missing(name))
    }

    /// What a word stands for; the row's default, or the family's, if the key is absent.
    pub(crate) fn word<W: Words>(&self, name: &str) -> Result<W, JobFault> {
        let default = || W::of_word(self.default(name)?);
        self.given_word(name).or_else(default).ok_or_else(|| self.missing(name))
    }

    /// What a word stands for; `None` if the key is absent.
    pub(crate) fn given_word<W: Words>(&self, name: &str) -> Option<W> {
        self.given_text(name).and_then(W::of_word)
    }

    /// Refuses a value of another kind than its row's.
    fn check_kind(&self, row: &Key, value: &Value) -> Result<(), JobFault> {
        let name = row.name;
        let number = value.as_f64();
        let (right, expected) = match row.kind {
            Kind::Count { least, most } => return self.check_count(name, value, (least, most)),
            Kind::Words(words) => return self.check_word(name, value, words),
            Kind::NonNegative if number.is_some_and(|number| number < 0.0) => {
                return Err(self.bad(name, value, "torch refuses a negative value"));
            }
            Kind::Probability if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) => {
                return Err(self.bad(name, value, "a probability lies between 0 and 1"));
            }
            Kind::Number | Kind::NonNegative | Kind::Probability => (number.is_some(), "a number"),
            Kind::Flag => (value.is_boolean(), "true or false"),
            Kind::FlagOrNumber => (
                value.is_boolean() || number.is_some_and(|number| number >= 0.0),
                "true, false, or a number of at least 0",
            ),
            Kind::Text(expected) => (value.is_string(), expected),
            Kind::TextOrTable(expected) => (value.is_string() || value.is_object(), expected),
            Kind::Table | Kind::OpenTable => (value.is_object(), "a table of keys"),
            Kind::Other { expected, types } => (types.iter().any(|kind| is_of_type(value, kind)), expected),
        };
        if right { Ok(()) } else { Err(self.wrong_type(name, value, expected)) }
    }

    fn check_count(&self, name: &str, value: &Value, (least, most): (u64, u64)) -> Result<(), JobFault> {
        match value.as_u64() {
            Some(number) if (least..=most).contains(&number) => Ok(()),
            _ if value.is_u64() || value.is_i64() => {
                Err(self.bad(name, value, format!("expected a whole number from {least} to {most}")))
            }
            _ => Err(self.wrong_type(name, value, "a whole number")),
        }
    }

    fn check_word(&self, name: &str, value: &Value, words: &[&'static str]) -> Result<(), JobFault> {
        let expected = format!("one of {}", words.join(", "));
        let Some(found) = value.as_str() else { return Err(self.wrong_type(name, value, &expected)) };
        if words.contains(&found) {
            return Ok(());
        }
        let meant = nearest(found, words.iter().copied());
        let meant = meant.map_or_else(String::new, |word| format!("; did you mean {word:?}?"));
        Err(self.bad(name, format!("{found:?}"), format!("expected {expected}{meant}")))
    }
}

/// Whether a value is of a type of JSON schema.
fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}
