//! `[versions]`: whose behaviour is predicted. A version whose rules are not known is accepted; a note names the nearest
//! known one, whose rules are taken.

use std::cell::RefCell;

use brimful_models::describe;
use serde_json::{Map, Value};

use crate::section::Section;
use crate::{JobFault, Recipe, Versions};

/// A torch whose rules are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TorchRules {
    /// torch 2.14.1.
    V2_14,
    /// torch 2.15.0.
    V2_15,
}

/// The versions of libraries that a job has no key for: their code is followed where a job uses it.
const BESIDE: [(&str, &str); 2] = [("bitsandbytes", "0.50.2"), ("PEFT", "0.21.2")];

/// Every library whose rules the simulation follows, with each version that is known, oldest first.
pub fn followed() -> impl Iterator<Item = (&'static str, &'static str)> {
    let torch = TORCH.all().map(|known| ("torch", known.0));
    let transformers = TRANSFORMERS.all().map(|known| ("transformers", known.0));
    let cudnn = CUDNN.all().map(|known| ("cuDNN", known.0));
    torch.chain(transformers).chain(cudnn).chain(BESIDE)
}

/// A transformers whose rules are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransformersRules {
    /// transformers 5.23.0.
    V5_23,
}

/// A cuDNN whose rules are known: torch asks for these versions before it uses cuDNN's attention
/// (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CudnnRules {
    /// cuDNN 9.1.0, and all before 9.15.1.
    V9_1,
    /// cuDNN 9.15.1, the first whose attention torch prefers.
    V9_15_1,
    /// cuDNN 9.22.1, the first whose attention takes heads of 256 elements.
    V9_22_1,
    /// cuDNN 9.26.0.
    V9_26,
}

/// The known versions of one library.
struct Known<R: 'static> {
    /// The default.
    newest: (&'static str, R),
    /// The others, oldest first.
    older: &'static [(&'static str, R)],
}

impl<R: Copy> Known<R> {
    /// Every known version, oldest first.
    fn all(&self) -> impl DoubleEndedIterator<Item = (&'static str, R)> {
        self.older.iter().copied().chain([self.newest])
    }
}

/// Every known version stands here and nowhere else.
const TORCH: &Known<TorchRules> =
    &Known { newest: ("2.15.0", TorchRules::V2_15), older: &[("2.14.1", TorchRules::V2_14)] };
const TRANSFORMERS: &Known<TransformersRules> =
    &Known { newest: ("5.23.0", TransformersRules::V5_23), older: &[] };
const CUDNN: &Known<CudnnRules> = &Known {
    newest: ("9.26.0", CudnnRules::V9_26),
    older: &[("9.1.0", CudnnRules::V9_1), ("9.15.1", CudnnRules::V9_15_1), ("9.22.1", CudnnRules::V9_22_1)],
};

impl Versions {
    /// The rules of torch that the prediction follows: those of the version, or of the nearest known one.
    pub fn torch_rules(&self) -> TorchRules {
        nearest(TORCH, &self.torch).1
    }

    /// The rules of transformers that the prediction follows.
    pub fn transformers_rules(&self) -> TransformersRules {
        nearest(TRANSFORMERS, &self.transformers).1
    }

    /// The versions of torch and of transformers whose rules the prediction follows.
    pub fn followed(&self) -> (&'static str, &'static str) {
        (nearest(TORCH, &self.torch).0, nearest(TRANSFORMERS, &self.transformers).0)
    }

    /// The version of cuDNN whose rules the prediction follows.
    pub fn followed_cudnn(&self) -> &'static str {
        nearest(CUDNN, &self.cudnn).0
    }

    /// The rules of cuDNN that the prediction follows.
    pub fn cudnn_rules(&self) -> CudnnRules {
        nearest(CUDNN, &self.cudnn).1
    }
}

/// The versions of the job, the newest known ones where it says none.
pub(crate) fn versions(root: &Section, recipe: &RefCell<Recipe>) -> Result<Versions, JobFault> {
    let empty = Value::Object(Map::new());
    let table = root.get("versions").unwrap_or(&empty);
    let section = Section::new("versions", table, &["torch", "transformers", "cudnn"], recipe)?;
    let torch = version(&section, recipe, "torch", "torch", TORCH);
    let transformers = version(&section, recipe, "transformers", "transformers", TRANSFORMERS);
    let cudnn = version(&section, recipe, "cuDNN", "cudnn", CUDNN);
    Ok(Versions { torch: torch?, transformers: transformers?, cudnn: cudnn? })
}

fn version<R: Copy>(
    section: &Section,
    recipe: &RefCell<Recipe>,
    library: &str,
    key: &str,
    known: &Known<R>,
) -> Result<String, JobFault> {
    let newest = known.newest.0;
    let Some(value) = section.get(key) else { return Ok(newest.to_owned()) };
    let Some(text) = value.as_str() else {
        let expected = format!("a text in quotes, such as {newest:?} (2.10 without quotes would be 2.1)");
        return Err(section.wrong_type(key, value, &expected));
    };
    let digits = text.split('+').next().unwrap_or_default();
    if digits.is_empty()
        || digits.split('.').any(|part| part.is_empty() || !part.starts_with(|c: char| c.is_ascii_digit()))
    {
        return Err(section.bad(key, describe(value), format!("expected a version such as {newest:?}")));
    }
    let taken = nearest(known, digits).0;
    if numbers(taken) == numbers(digits) {
        return Ok(taken.to_owned());
    }
    recipe.borrow_mut().notes.push(note(library, text, taken, known));
    Ok(text.to_owned())
}

/// What is said of a version whose rules are not known.
fn note<R: Copy>(library: &str, text: &str, taken: &str, known: &Known<R>) -> String {
    let asked = numbers(text);
    let place = if known.all().all(|(version, _)| asked < numbers(version)) {
        "is older than every version whose rules are known"
    } else if known.all().all(|(version, _)| asked > numbers(version)) {
        "is newer than every version whose rules are known"
    } else {
        "lies between versions whose rules are known"
    };
    let short = taken.strip_suffix(".0").unwrap_or(taken);
    format!(
        "{library} {text} {place}; predicted with the rules of {library} {short}, the nearest; they may differ"
    )
}

/// The newest known version that is not newer than `text`, or the oldest known one.
fn nearest<R: Copy>(known: &Known<R>, text: &str) -> (&'static str, R) {
    let asked = numbers(text);
    let not_newer = known.all().rev().find(|(version, _)| numbers(version) <= asked);
    not_newer.or(known.all().next()).unwrap_or(known.newest)
}

/// Major, minor and patch of a version; what is absent or no number counts as 0.
fn numbers(version: &str) -> [u64; 3] {
    let digits = version.split('+').next().unwrap_or_default();
    let mut parts = digits.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_the_order_of_the_versions() {
        assert!(TORCH.all().is_sorted_by_key(|(version, _)| numbers(version)));
        assert!(TRANSFORMERS.all().is_sorted_by_key(|(version, _)| numbers(version)));
        assert!(CUDNN.all().is_sorted_by_key(|(version, _)| numbers(version)));
    }

    #[test]
    fn an_unknown_version_takes_the_rules_of_the_newest_that_is_not_newer() {
        for (asked, taken) in [
            ("2.4", "2.14.1"),
            ("2.14.0", "2.14.1"),
            ("2.14.1+cu130", "2.14.1"),
            ("2.14.9", "2.14.1"),
            ("2.15", "2.15.0"),
            ("2.15.1", "2.15.0"),
            ("3.0", "2.15.0"),
        ] {
            assert_eq!(nearest(TORCH, asked).0, taken, "{asked}");
        }
    }

    #[test]
    fn a_note_says_where_an_unknown_version_lies_and_whose_rules_were_taken() {
        let said = |asked: &str| note("torch", asked, nearest(TORCH, asked).0, TORCH);
        assert!(
            said("2.10").contains("torch 2.10 is older") && said("2.10").contains("rules of torch 2.14.1")
        );
        assert!(
            said("2.16").contains("torch 2.16 is newer") && said("2.16").contains("rules of torch 2.15,")
        );
        assert!(said("2.14.2").contains("lies between"));
    }
}
