//! Models in several files: `model-00001-of-00003.gguf`.

use crate::{Error, Header, Value};

/// What a part says of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The part's number, from 0.
    pub no: u64,
    /// Number of parts.
    pub count: u64,
    /// Number of tensors in all parts; `None` if the file does not say it.
    pub tensors: Option<u64>,
}

/// The names of all parts of the file with this name, the first part first; `None` if it is no part of a split file.
///
/// ```
/// let names = brimful_gguf::part_names("m-00002-of-00003.gguf").unwrap();
/// assert_eq!(names[0], "m-00001-of-00003.gguf");
/// assert_eq!(names.len(), 3);
/// ```
pub fn part_names(name: &str) -> Option<Vec<String>> {
    let stem = name.strip_suffix(".gguf")?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (prefix, no) = rest.rsplit_once('-')?;
    let number = |text: &str| {
        (text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u32>().ok())?
    };
    let (no, count) = (number(no)?, number(count)?);
    (1..=count).contains(&no).then_some(())?;
    Some((1..=count).map(|part| format!("{prefix}-{part:05}-of-{count:05}.gguf")).collect())
}

impl Header {
    /// What this file says of the parts that it belongs to; `None` if it is a whole model.
    pub fn split(&self) -> Option<Split> {
        let number = |key| self.get(key).and_then(Value::as_u64);
        let count = number("split.count").filter(|count| *count > 1)?;
        Some(Split { no: number("split.no").unwrap_or(0), count, tensors: number("split.tensors.count") })
    }

    /// Joins the parts of a split file: the first part's metadata and the tensors of all.
    ///
    /// # Errors
    ///
    /// If a part is missing, stands at the wrong place, or the tensors are not as many as the first part says.
    pub fn join(parts: Vec<Header>) -> Result<Header, Error> {
        let count = parts.len() as u64;
        let mut parts = parts.into_iter().enumerate();
        let Some((_, mut whole)) = parts.next() else {
            return Err(Error::Split { found: "no part".into(), expected: "at least 1".into() });
        };
        let expected = whole.split();
        let said = expected.map_or(1, |split| split.count);
        if said != count {
            return Err(Error::Split {
                found: format!("{count} parts"),
                expected: format!("{said}, as the first says"),
            });
        }
        for (index, part) in parts {
            let no = part.split().map(|split| split.no);
            if no != Some(index as u64) {
                let found = no.map_or("a file that is no part".into(), |no| format!("the part number {no}"));
                return Err(Error::Split { found, expected: format!("part number {index}") });
            }
            let place = u32::try_from(index).unwrap_or(u32::MAX);
            whole.tensors.extend(part.tensors.into_iter().map(|mut tensor| {
                tensor.part = place;
                tensor
            }));
        }
        match expected.and_then(|split| split.tensors) {
            Some(tensors) if tensors != whole.tensors.len() as u64 => Err(Error::Split {
                found: format!("{} tensors", whole.tensors.len()),
                expected: format!("{tensors}, as the first part says"),
            }),
            _ => Ok(whole),
        }
    }
}
