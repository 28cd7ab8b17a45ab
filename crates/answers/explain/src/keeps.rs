use serde::{Deserialize, Serialize};

/// What a change does to the program's result. The one type behind `keeps_result` in every answer: as a word in the table
/// of techniques, as [`Keeps::is_kept`] in the fixes of `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeps {
    /// Nothing: the same numbers.
    Identical,
    /// Another rounding or order of sums, or a little quality.
    Close,
    /// It computes something else, such as with another optimizer or precision.
    Different,
}

impl Keeps {
    /// Every value, in order.
    pub const ALL: [Keeps; 3] = [Keeps::Identical, Keeps::Close, Keeps::Different];

    /// The word in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Keeps::Identical => "identical",
            Keeps::Close => "close",
            Keeps::Different => "different",
        }
    }

    /// Whether the result is the same up to rounding.
    pub const fn is_kept(self) -> bool {
        !matches!(self, Keeps::Different)
    }
}

#[cfg(test)]
mod tests {
    use super::Keeps;

    #[test]
    fn only_another_computation_loses_the_result() {
        assert_eq!(Keeps::ALL.map(Keeps::is_kept), [true, true, false]);
    }
}
