/// How a question was answered: the contract of exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It fits, all is well: exit status 0.
    Well,
    /// It does not fit, or something was found: exit status 1.
    Found,
    /// The input or the call is wrong: exit status 2.
    Wrong,
}

/// An answer in the two forms that every question has.
pub trait Answer {
    /// The answer for people, which ends with a line break; `brimful_report::Terminal` makes it fit for one.
    fn text(&self) -> String;
    /// The answer for programs: one line of JSON without its line break.
    fn json(&self) -> String;
    /// What the answer means for the exit status.
    fn outcome(&self) -> Outcome;
}
