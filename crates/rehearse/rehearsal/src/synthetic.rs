//! Rows that stand in for data sets, as they are asked for: `input_ids:int64[4,2048];label:int64[4]`, or `NAME=…` for one data
//! set.

use std::str::FromStr;

use serde::Serialize;

/// NumPy's names, text (rows and words), and pictures (rows, height and width).
const DTYPES: [&str; 13] = [
    "bool", "int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "float16", "float32", "float64",
    "string", "image",
];

/// Fields of rows, checked, and the data set that they stand in for; the hook makes the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Synthetic {
    /// The name by which the program loads the data set: a path, a file, or a class of torchvision. `None` stands for every
    /// data set that has no fields of its own.
    name: Option<String>,
    /// The fields, with `;` between them.
    fields: String,
}

/// Fields that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntheticError {
    /// A field is wrong.
    #[error("{field}: expected [DATA SET=]NAME:DTYPE[SIZE,…], such as input_ids:int64[4,2048]; DTYPE is one of {}", DTYPES.join(", "))]
    Field {
        /// The field as it was typed.
        field: String,
    },
    /// One data set has two lists of fields.
    #[error(
        "{name} has two lists of fields; expected one for each data set; join them with ';', or name the data sets: 'NAME=FIELDS'"
    )]
    Twice {
        /// The data set.
        name: String,
    },
}

impl Synthetic {
    /// Reads the lists of fields of several data sets, such as `imdb=text:string[8,20]`.
    ///
    /// ```
    /// use brimful_rehearsal::Synthetic;
    /// assert_eq!(Synthetic::list(["label:int64[4]", "squad=question:string[4,9]"]).unwrap().len(), 2);
    /// assert!(Synthetic::list(["label:int64[4]", "text:string[4,9]"]).is_err());
    /// ```
    ///
    /// # Errors
    /// A field that cannot be read, or two lists for one data set.
    pub fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Synthetic>, SyntheticError> {
        let mut all: Vec<Synthetic> = Vec::new();
        for text in texts {
            let one: Synthetic = text.parse()?;
            if all.iter().any(|other| other.name == one.name) {
                let name = one.name.unwrap_or_else(|| "every data set".to_owned());
                return Err(SyntheticError::Twice { name });
            }
            all.push(one);
        }
        Ok(all)
    }
}

impl FromStr for Synthetic {
    type Err = SyntheticError;

    /// ```
    /// use brimful_rehearsal::Synthetic;
    /// assert!("input_ids:int64[4,2048]; label:int64[4]".parse::<Synthetic>().is_ok());
    /// assert!("image:image[16,224,224];text:string[16,20]".parse::<Synthetic>().is_ok());
    /// assert!("stanfordnlp/imdb=text:string[8,20]".parse::<Synthetic>().is_ok());
    /// assert!("input_ids:int65[4]".parse::<Synthetic>().is_err());
    /// assert!("image:image[16]".parse::<Synthetic>().is_err());
    /// assert!("=label:int64[4]".parse::<Synthetic>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Synthetic, SyntheticError> {
        let (name, list) =
            text.split_once('=').map_or((None, text), |(name, list)| (Some(name.trim()), list));
        let wrong = |field: &str| SyntheticError::Field { field: field.to_owned() };
        if name == Some("") {
            return Err(wrong(text));
        }
        let fields: Vec<&str> = list.split(';').map(str::trim).filter(|field| !field.is_empty()).collect();
        match fields.iter().find(|field| !is_field(field)) {
            None if !fields.is_empty() => {
                Ok(Synthetic { name: name.map(str::to_owned), fields: fields.join(";") })
            }
            found => Err(wrong(found.copied().unwrap_or(text))),
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
