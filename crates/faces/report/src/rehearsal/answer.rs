use brimful_explain::snapshot::Explanation;
use brimful_rehearsal::{Judgement, RunRecord};

/// A rehearsal with what stands around it.
pub struct RehearsalAnswer<'a> {
    /// What the processes handed over.
    pub run: &'a RunRecord,
    /// What it means.
    pub judgement: &'a Judgement,
    /// The fullest rank's recording; `None` where nothing was recorded.
    pub explanation: Option<&'a Explanation>,
    /// The run file.
    pub file: &'a str,
    /// What the user should know.
    pub notes: &'a [String],
    /// What `--search` tried, in order: the value, and whether it fits.
    pub search: Option<&'a SearchAnswer>,
}

impl<'a> RehearsalAnswer<'a> {
    /// The recording, if the peak of the run is in it: a history that was too short begins behind it.
    pub(crate) fn explained(&self) -> Option<&'a Explanation> {
        let whole = self.judgement.ranks.first()?.peak.requested;
        self.explanation.filter(|found| !found.begins_late || found.followed.peak.requested >= whole)
    }
}

/// What a search over one flag of the script found.
pub struct SearchAnswer {
    /// What was searched for.
    pub key: String,
    /// The largest value that fits; `None` where none does.
    pub largest: Option<u64>,
    /// The runs, in their order: value, reserved peak in bytes, whether it fits.
    pub tried: Vec<(u64, u64, bool)>,
}
