//! Settings of other tools as keys of the job: a reader is a table of [`Setting`] rows, folded into [`Overrides`].

use std::collections::BTreeMap;

use crate::Overrides;
use crate::keys::{Simulated, find};

/// A setting of another tool and the key of the job that says the same.
pub(crate) struct Setting {
    /// The tool's name of the setting.
    pub theirs: &'static str,
    /// The path of the job's key.
    pub key: &'static str,
    /// How the tool's values become the job's.
    pub values: Values,
}

/// How a tool's values become the job's.
pub(crate) enum Values {
    /// Both write the same.
    Same,
    /// Pairs of the tool's word and the job's; another word changes nothing.
    Words(&'static [(&'static str, &'static str)]),
    /// The job's value, whatever the tool's is.
    Always(&'static str),
}

/// The changes that the settings make to a job; `None` if a setting belongs to a key that is not simulated.
pub(crate) fn read(rows: &[Setting], settings: &BTreeMap<String, String>) -> Option<Overrides> {
    rows.iter().try_fold(Overrides::default(), |job, row| {
        let Some(found) = settings.get(row.theirs) else { return Some(job) };
        if find(row.key)?.simulated != Simulated::Yes {
            return None;
        }
        let value = match row.values {
            Values::Same => Some(found.as_str()),
            Values::Words(pairs) => pairs.iter().find(|pair| pair.0 == found).map(|pair| pair.1),
            Values::Always(value) => Some(value),
        };
        Some(match value {
            Some(value) => job.set(row.key, value),
            None => job,
        })
    })
}
