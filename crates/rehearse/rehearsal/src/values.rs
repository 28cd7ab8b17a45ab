//! Values on the GPU that nobody knew, and what the program did with them.

use brimful_units::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ProcessRecord, RunRecord};

/// Lines that are named.
const NAMED: usize = 10;

/// What one process read of the GPU without knowing it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Values {
    /// Why no value was followed; `None` if values were.
    pub off: Option<String>,
    /// The reads, the most frequent first.
    pub reads: Vec<Read>,
    /// Parameters that an optimizer stepped over.
    pub without_gradient: Option<WithoutGradient>,
}

/// Reads at one line of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Read {
    /// What was read: `size`, `number`, or `copy`, a tensor that was copied to the host.
    pub kind: String,
    /// The kind of number: `whole`, `flag` or `float`.
    #[serde(rename = "type")]
    pub sort: String,
    /// The operator that took a size; empty for other reads.
    pub operator: String,
    /// The line of the program, as `path:line`; `None` where no Python ran.
    pub line: Option<String>,
    /// The innermost line outside of torch.
    pub inner: Option<String>,
    /// Whether the program's memory can depend on it.
    pub decides: bool,
    /// How often.
    pub count: u64,
}

/// Parameters that require a gradient and had none when their optimizer stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WithoutGradient {
    /// How many.
    pub parameters: u64,
    /// Their bytes; gradients would take as many.
    pub bytes: Bytes,
    /// What their optimizer states would take, by the measure of the other parameters.
    pub states: Bytes,
}

impl WithoutGradient {
    /// The parameters in words, for people.
    fn text(self) -> String {
        format!(
            "{} parameters of {} had no gradient when their optimizer stepped: their gradients and states would take up to \
             {} more",
            self.parameters,
            self.bytes,
            self.bytes.checked_add(self.states).unwrap_or(self.states)
        )
    }
}

impl Read {
    /// The read in words, for people.
    pub fn text(&self) -> String {
        let place = self.line.as_deref().unwrap_or("a thread without Python");
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        let what = match (self.kind.as_str(), self.sort.as_str()) {
            ("size", _) => {
                return format!(
                    "{place}: the size of {} depends on data; the largest was taken, {times}",
                    self.operator
                );
            }
            (_, "flag") => "a flag: the other branch was not run",
            (_, "whole") => "a whole number: what is made or repeated by it may be more",
            _ => "a number that the program compares: a loop may run longer, a branch may be another",
        };
        format!("{place}: read without being known, {times}, {what}")
    }
}

/// The reads on which the memory of a run can depend, the most frequent first.
pub fn deciding(run: &RunRecord) -> Vec<&Read> {
    deciding_of(values(&run.processes))
}

fn deciding_of<'a>(values: impl Iterator<Item = &'a Values>) -> Vec<&'a Read> {
    let mut reads: Vec<&Read> = values.flat_map(|values| &values.reads).collect();
    reads.retain(|read| read.decides);
    reads.sort_by_key(|read| std::cmp::Reverse(read.count));
    reads
}

/// Whether the peak of a run depends on nothing that was not seen.
pub(crate) fn is_certain(run: &RunRecord) -> bool {
    let is_followed = run
        .processes
        .iter()
        .filter(|process| !process.devices.is_empty())
        .all(|process| process.values.as_ref().is_none_or(|values| values.off.is_none()));
    is_followed && deciding(run).is_empty()
}

/// What was not seen for want of values, for people.
pub(crate) fn unseen(run: &RunRecord) -> Vec<String> {
    described(&values(&run.processes).collect::<Vec<_>>())
}

fn described(all: &[&Values]) -> Vec<String> {
    let off = all.iter().find_map(|values| values.off.as_ref());
    let off = off.map(|why| format!("values on the GPU, which were all read as zero: {why}"));
    let reads = deciding_of(all.iter().copied());
    let more = reads.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{more} more lines that read values that only the GPU knows"));
    let without = all.iter().find_map(|values| values.without_gradient).map(|without| without.text());
    off.into_iter()
        .chain(without)
        .chain(reads.iter().take(NAMED).map(|read| read.text()))
        .chain(more)
        .collect()
}

fn values(processes: &[ProcessRecord]) -> impl Iterator<Item = &Values> {
    processes.iter().filter_map(|process| process.values.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_without_a_gradient_are_named_in_a_run_that_read_nothing_unknown() {
        let without = WithoutGradient { parameters: 3, bytes: Bytes::new(4096), states: Bytes::new(8192) };
        let values = Values { without_gradient: Some(without), ..Values::default() };
        assert_eq!(
            described(&[&values]),
            [
                "3 parameters of 4.00 KiB had no gradient when their optimizer stepped: their gradients and states would take \
              up to 12.00 KiB more"
            ]
        );
        assert!(described(&[&Values::default()]).is_empty());
    }
}
