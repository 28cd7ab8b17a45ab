//! `[versions]`: whose behaviour is predicted. A version that is not followed is accepted and noted.

use std::cell::RefCell;

use brimful_models::describe;
use serde_json::{Map, Value};

use crate::section::Section;
use crate::{JobFault, Recipe, Versions};

/// The versions whose rules the simulation follows: library, key, version.
const FOLLOWED: [(&str, &str, &str); 3] =
    [("torch", "torch", "2.15.0"), ("transformers", "transformers", "5.23.0"), ("cuDNN", "cudnn", "9.26.0")];

/// The versions of libraries that a job has no key for: their code is followed where a job uses it.
const BESIDE: [(&str, &str); 2] = [("bitsandbytes", "0.50.2"), ("PEFT", "0.21.2")];

/// Every library whose rules the simulation follows, with its version.
pub fn followed() -> impl Iterator<Item = (&'static str, &'static str)> {
    FOLLOWED.into_iter().map(|(library, _, version)| (library, version)).chain(BESIDE)
}

/// The versions of the job, the followed ones where it says none.
pub(crate) fn versions(root: &Section, recipe: &RefCell<Recipe>) -> Result<Versions, JobFault> {
    let empty = Value::Object(Map::new());
    let table = root.get("versions").unwrap_or(&empty);
    let section = Section::new("versions", table, &["torch", "transformers", "cudnn"], recipe)?;
    let [torch, transformers, cudnn] =
        FOLLOWED.map(|(library, key, followed)| version(&section, recipe, library, key, followed));
    Ok(Versions { torch: torch?, transformers: transformers?, cudnn: cudnn? })
}

fn version(
    section: &Section,
    recipe: &RefCell<Recipe>,
    library: &str,
    key: &str,
    followed: &str,
) -> Result<String, JobFault> {
    let Some(value) = section.get(key) else { return Ok(followed.to_owned()) };
    let Some(text) = value.as_str() else {
        let expected = format!("a text in quotes, such as {followed:?} (2.10 without quotes would be 2.1)");
        return Err(section.wrong_type(key, value, &expected));
    };
    let digits = text.split('+').next().unwrap_or_default();
    if digits.is_empty()
        || digits.split('.').any(|part| part.is_empty() || !part.starts_with(|c: char| c.is_ascii_digit()))
    {
        return Err(section.bad(key, describe(value), format!("expected a version such as {followed:?}")));
    }
    let same = digits == followed || followed.strip_suffix(".0") == Some(digits);
    if !same {
        let short = followed.strip_suffix(".0").unwrap_or(followed);
        let note =
            format!("predicted with the rules of {library} {short}; you asked for {text}, whose may differ");
        recipe.borrow_mut().notes.push(note);
    }
    Ok(if same { followed.to_owned() } else { text.to_owned() })
}
