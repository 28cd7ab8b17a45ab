/// What a prediction is made for, where the job left it open: half of all disagreements between calculators are about
/// what was assumed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// Keys that were absent, with the value that was taken.
    pub assumed: Vec<Assumption>,
    /// What else the reader of the answer must know.
    pub notes: Vec<String>,
    /// Why the real run ends in an error that has nothing to do with memory; `None` if no such reason is known.
    pub fails: Option<String>,
}

/// What the GPU's compute capability and multiprocessors stand under in [`Recipe::assumed`]. A job names them through its
/// GPU only, so this is no key of a job.
pub const PROCESSOR: &str = "processor";

/// A key that was absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// The path of the key, or [`PROCESSOR`].
    pub key: String,
    /// The value that was taken.
    pub value: String,
    /// Why this one.
    pub why: &'static str,
}

impl Recipe {
    /// Notes a value that was taken for an absent key.
    pub(crate) fn assume(&mut self, key: &str, value: impl ToString, why: &'static str) {
        self.assumed.push(Assumption { key: key.to_owned(), value: value.to_string(), why });
    }
}
