use std::borrow::Cow;

use brimful_explain::Diagnosis;
use brimful_logs::{Incident, Kind, Report};
use brimful_plan::Expected;

/// A text that was explained.
pub struct IncidentAnswer<'a> {
    /// The text's name as it was given in the call.
    pub input: &'a str,
    /// What it says.
    pub report: &'a Report,
    /// What that means; `None` where nothing failed.
    pub diagnosis: Option<&'a Diagnosis>,
    /// What the job that the text describes should take; `None` where it describes none that is simulated.
    pub expected: Option<&'a Expectation>,
}

/// A prediction beside a failure.
pub struct Expectation {
    /// The job in a line.
    pub job: String,
    /// The prediction, and what was there.
    pub expected: Expected,
}

impl IncidentAnswer<'_> {
    /// Whether something was found that a reader must act on: not a refusal after which the program went on.
    pub fn found(&self) -> bool {
        let passing = |incident: &Incident| matches!(incident.kind, Kind::Recovered | Kind::Harmless);
        self.report.incident.as_ref().is_some_and(|incident| !passing(incident))
    }
}

/// What is said of a line that speaks of memory and that no format claims.
pub(super) fn unknown(incident: &Incident) -> String {
    let line = incident.message.lines().next().unwrap_or_default();
    format!("line {} speaks of memory and is not known: {line}", incident.line)
}

/// What a reader should know about the message: first of all, whether its figures can be right.
pub(super) fn notes<'a>(
    incident: Option<&'a Incident>,
    diagnosis: Option<&'a Diagnosis>,
) -> Vec<Cow<'a, str>> {
    let contradictions = incident.map_or(&[][..], |incident| &incident.contradictions);
    let doubt = contradictions.iter().map(|contradiction| {
        Cow::from(format!("the figures contradict each other, so one may be cut or misread: {contradiction}"))
    });
    let notes = diagnosis.map_or(&[][..], |diagnosis| &diagnosis.notes);
    doubt.chain(notes.iter().map(|note| note.as_str().into())).collect()
}

/// The failure in a line.
pub(super) fn headline(incident: &Incident, diagnosis: &Diagnosis) -> String {
    if incident.kind == Kind::Unknown {
        return unknown(incident);
    }
    let gpu = if incident.kind.is_gpu_oom() { "GPU out of memory" } else { "Not the GPU's memory" };
    format!("{gpu}: {} ({})", diagnosis.cause.title, incident.framework)
}
