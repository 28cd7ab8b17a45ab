//! `brimful explain` of what a framework printed: why did it die?

use std::io::BufRead;

use anyhow::{Result, bail, ensure};
use brimful_explain::{Diagnosis, diagnose};
use brimful_jobs::{from_echo, open};
use brimful_logs::{Report, scan};
use brimful_plan::expected;
use brimful_report::{
    Expectation, IncidentAnswer, incident_json, incident_markdown, incident_text, incidents_junit,
    incidents_sarif, job_line,
};

use crate::args::ExplainFormat;
use crate::disk::DiskFiles;
use crate::out::print;

/// A text and what it means.
pub struct Answer {
    input: String,
    report: Report,
    diagnosis: Option<Diagnosis>,
    expected: Option<Expectation>,
}

impl Answer {
    /// As it is reported.
    pub fn view(&self) -> IncidentAnswer<'_> {
        IncidentAnswer {
            input: &self.input,
            report: &self.report,
            diagnosis: self.diagnosis.as_ref(),
            expected: self.expected.as_ref(),
        }
    }
}

/// Prints what needs no other answer.
///
/// # Errors
/// A closed stream.
pub fn show(format: ExplainFormat, answer: &Answer, between: &str) -> Result<()> {
    match format {
        ExplainFormat::Text => print(&format!("{between}{}", incident_text(&answer.view())))?,
        ExplainFormat::Github => print(&format!("{between}{}", incident_markdown(&answer.view())))?,
        ExplainFormat::Json => print(&(incident_json(&answer.view()) + "\n"))?,
        ExplainFormat::Sarif | ExplainFormat::Junit => {}
    }
    Ok(())
}

/// Prints what is one document about all.
///
/// # Errors
/// A closed stream.
pub fn summary(format: ExplainFormat, answers: &[Answer]) -> Result<()> {
    let views: Vec<IncidentAnswer<'_>> = answers.iter().map(Answer::view).collect();
    match format {
        ExplainFormat::Sarif => print(&incidents_sarif(&views))?,
        ExplainFormat::Junit => print(&incidents_junit(&views))?,
        ExplainFormat::Text | ExplainFormat::Github | ExplainFormat::Json => {}
    }
    Ok(())
}

/// Explains a text.
///
/// # Errors
/// A text that is none, or cannot be read.
pub fn explain(input: &str, mut reader: impl BufRead) -> Result<Answer> {
    let head = reader.fill_buf()?;
    ensure!(
        !head.is_empty(),
        "is empty; expected what a framework printed (errors go to stderr: python train.py > run.log 2>&1)"
    );
    ensure!(
        !head.starts_with(b"PK\x03\x04"),
        "is an archive, not a text; expected a log, or the text of the error"
    );
    let binary = is_binary(head);
    let report = scan(reader)?;
    if binary && report.incident.is_none() {
        bail!("is no text, and no message of a memory failure is in it; expected a log");
    }
    let diagnosis = diagnose(&report);
    let expected = expectation(&report);
    Ok(Answer { input: input.to_owned(), report, diagnosis, expected })
}

/// What the job should take that a failed program's log describes; nothing where the description is not enough.
fn expectation(report: &Report) -> Option<Expectation> {
    let incident = report.incident.as_ref().filter(|incident| incident.kind.is_gpu_oom())?;
    let figure = |name| incident.facts.bytes(name);
    let (model, changes) = from_echo(&report.settings, figure("total_bytes"))?;
    let loaded = open(&model, &DiskFiles, &changes).ok()?;
    let held = figure("process_in_use_bytes").or(figure("reserved_bytes"));
    let expected = expected(&loaded.job, held).ok()?;
    Some(Expectation { job: job_line(&loaded), expected })
}

/// Zero bytes are in no text but UTF-16's, which begins with its mark.
fn is_binary(head: &[u8]) -> bool {
    !head.starts_with(&[0xff, 0xfe]) && head.iter().take(8 << 10).any(|byte| *byte == 0)
}
