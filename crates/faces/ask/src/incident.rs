//! What a framework printed: the memory failure in it, and what that means.

use std::io::BufRead;

use anyhow::{Result, bail, ensure};
use brimful_explain::{Diagnosis, diagnose};
use brimful_jobs::{from_echo, open};
use brimful_logs::{Report, scan};
use brimful_plan::expected;
use brimful_rehearsal::MAGIC as ZIP;
use brimful_report::{Expectation, IncidentAnswer, incident_json, incident_text, job_line};

use crate::{Answer, Files, Outcome};

/// Bytes of a text in which a zero byte is looked for.
const BINARY_WITHIN: usize = 8 << 10;
/// How UTF-16 texts begin (little-endian).
const UTF16_MARK: [u8; 2] = [0xff, 0xfe];

/// A text and what it means.
pub struct IncidentReply {
    input: String,
    report: Report,
    diagnosis: Option<Diagnosis>,
    expected: Option<Expectation>,
}

impl IncidentReply {
    /// The answer as `brimful_report` writes it in every form.
    pub fn view(&self) -> IncidentAnswer<'_> {
        IncidentAnswer {
            input: &self.input,
            report: &self.report,
            diagnosis: self.diagnosis.as_ref(),
            expected: self.expected.as_ref(),
        }
    }
}

impl Answer for IncidentReply {
    fn text(&self) -> String {
        incident_text(&self.view())
    }

    fn json(&self) -> String {
        incident_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        if self.view().found() { Outcome::Found } else { Outcome::Well }
    }
}

/// Explains a text.
///
/// # Errors
/// A text that is none, or cannot be read.
pub(crate) fn incident(files: &dyn Files, input: &str, mut reader: impl BufRead) -> Result<IncidentReply> {
    let head = reader.fill_buf()?;
    ensure!(
        !head.is_empty(),
        "is empty; expected what a framework printed (errors go to stderr: python train.py > run.log 2>&1)"
    );
    ensure!(!head.starts_with(ZIP), "is an archive, not a text; expected a log, or the text of the error");
    let binary = is_binary(head);
    let report = scan(reader)?;
    if binary && report.incident.is_none() {
        bail!("is no text, and no message of a memory failure is in it; expected a log");
    }
    let diagnosis = diagnose(&report);
    let expected = expectation(files, &report);
    Ok(IncidentReply { input: input.to_owned(), report, diagnosis, expected })
}

/// The prediction for the job that a failed program's log describes; `None` where the description is not enough.
fn expectation(files: &dyn Files, report: &Report) -> Option<Expectation> {
    let incident = report.incident.as_ref().filter(|incident| incident.kind.is_gpu_oom())?;
    let figure = |name| incident.facts.bytes(name);
    let (model, changes) = from_echo(&report.settings, files, figure("total_bytes"))?;
    let loaded = open(&model, files, &changes).ok()?;
    let held = figure("process_in_use_bytes").or(figure("reserved_bytes"));
    let expected = expected(&loaded.job, held).ok()?;
    Some(Expectation { job: job_line(&loaded), expected })
}

/// Whether zero bytes are in it. Of texts only UTF-16's have some, and these begin with its mark.
fn is_binary(head: &[u8]) -> bool {
    !head.starts_with(&UTF16_MARK) && head.iter().take(BINARY_WITHIN).any(|byte| *byte == 0)
}
