//! Rows that stand in for data sets, as they are asked for: `input_ids:int64[4,2048];label:int64[4]`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// NumPy's names, text (rows and words), and pictures (rows, height and width).
const DTYPES: [&str; 13] = [
    "bool", "int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "float16", "float32", "float64",
    "string", "image",
];

/// Fields of rows, checked; the hook makes the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Synthetic(String);

/// Fields that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected NAME:DTYPE[SIZE,…], such as input_ids:int64[4,2048]; DTYPE is one of {}", DTYPES.join(", "))]
pub struct SyntheticError {
    field: String,
}

impl FromStr for Synthetic {
    type Err = SyntheticError;

    /// ```
    /// use brimful_rehearsal::Synthetic;
    /// assert!("input_ids:int64[4,2048]; label:int64[4]".parse::<Synthetic>().is_ok());
    /// assert!("image:image[16,224,224];text:string[16,20]".parse::<Synthetic>().is_ok());
    /// assert!("input_ids:int65[4]".parse::<Synthetic>().is_err());
    /// assert!("image:image[16]".parse::<Synthetic>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Synthetic, SyntheticError> {
        let fields: Vec<&str> = text.split(';').map(str::trim).filter(|field| !field.is_empty()).collect();
        match fields.iter().find(|field| !is_field(field)) {
            None if !fields.is_empty() => Ok(Synthetic(fields.join(";"))),
            wrong => Err(SyntheticError { field: wrong.copied().unwrap_or(text).to_owned() }),
        }
    }
}

fn is_field(text: &str) -> bool {
    let parts =
        text.split_once(':').and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?.split_once('[')?)));
    let Some((name, (dtype, sizes))) = parts else { return false };
    let named = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let sized = sizes.split(',').all(|size| size.trim().parse::<u32>().is_ok_and(|size| size > 0));
    let fitting = dtype != "image" || sizes.split(',').count() == 3;
    named && DTYPES.contains(&dtype) && sized && fitting
}

impl fmt::Display for Synthetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
