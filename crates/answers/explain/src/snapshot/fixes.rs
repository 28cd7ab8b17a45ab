//! What to change, the checked first.

use brimful_units::Bytes;

use super::{Explanation, Leak, WhatIf};
use crate::keeps::Keeps;

/// A change that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFix {
    /// Its name, as in the answers about messages.
    pub id: &'static str,
    /// What it is, in a line.
    pub title: String,
    /// What to type or to change.
    pub apply: String,
    /// What it does to the result.
    pub keeps: Keeps,
    /// The reserved peak under it, where it was replayed.
    pub reserved: Option<Bytes>,
    /// Whether every recorded request is served under it, where it was replayed on a known capacity.
    pub fits: Option<bool>,
}

/// A change of settings is worth its name from this share of the reserved peak on: one fiftieth.
const WORTH: u64 = 50;

/// The fixes of an explanation.
pub fn fixes(explanation: &Explanation) -> Vec<RecordedFix> {
    let mut fixes = Vec::new();
    match &explanation.out_of_memory {
        Some(oom) => {
            let fitting =
                explanation.what_if.iter().filter(|what| what.fits == Some(true) && what.id != "as-recorded");
            fixes.extend(fitting.map(setting));
            fixes
                .extend(oom.needed.zip(oom.capacity).map(|(needed, capacity)| more_memory(needed, capacity)));
        }
        None => {
            let now = explanation.followed.peak.reserved;
            let worth = Bytes::new(now.get() / WORTH);
            let saves = |what: &&WhatIf| now.saturating_sub(what.peak.reserved) > worth;
            fixes.extend(explanation.what_if.iter().filter(saves).map(setting));
        }
    }
    fixes.extend(explanation.leaks.first().map(stop_leak));
    fixes
}

fn setting(what: &WhatIf) -> RecordedFix {
    let title = match what.fits {
        Some(true) => format!("every recorded request is served, at a peak of {}", what.peak.reserved),
        _ => format!("the same run reserves {} at its peak", what.peak.reserved),
    };
    RecordedFix {
        id: what.id,
        title,
        apply: format!("PYTORCH_CUDA_ALLOC_CONF={}", what.conf),
        keeps: Keeps::Identical,
        reserved: Some(what.peak.reserved),
        fits: what.fits,
    }
}

fn more_memory(needed: Bytes, capacity: Bytes) -> RecordedFix {
    let more = needed.saturating_sub(capacity);
    RecordedFix {
        id: "more-memory",
        title: format!("with about {more} more, every recorded request is served"),
        apply: format!(
            "a GPU, or a share of one, with {needed} for PyTorch's allocator; or that much less in use"
        ),
        keeps: Keeps::Identical,
        reserved: Some(needed),
        fits: Some(true),
    }
}

fn stop_leak(leak: &Leak) -> RecordedFix {
    RecordedFix {
        id: "stop-leak",
        title: format!("{} grow by {} a step", leak.owner, leak.bytes_per_step),
        apply: "find who keeps these tensors (a list of losses or outputs?); keep .item() or .detach().cpu() instead"
            .to_owned(),
        keeps: Keeps::Identical,
        reserved: None,
        fits: None,
    }
}
