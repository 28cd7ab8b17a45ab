//! `brimful explain` of what a framework printed: why did it die?

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use brimful_explain::{Diagnosis, cause_pages, diagnose};
use brimful_logs::{Report, formats, scan};
use brimful_report::{
    IncidentAnswer, causes_text, formats_text, incident_json, incident_markdown, incident_text,
    incidents_junit, incidents_sarif,
};
use brimful_units::nearest;

use crate::args::{ExplainArguments, ExplainFormat};
use crate::out::{Outcome, complain, print};

/// The name of the standard input.
const STDIN: &str = "-";
/// Endings of the files of a folder that are read.
const LOGS: [&str; 5] = ["log", "txt", "out", "err", "stderr"];
/// Texts are read in pieces of this size.
const PIECE: usize = 256 << 10;

/// A text and what it means.
struct Answer {
    input: String,
    report: Report,
    diagnosis: Option<Diagnosis>,
}

impl Answer {
    fn view(&self) -> IncidentAnswer<'_> {
        IncidentAnswer { input: &self.input, report: &self.report, diagnosis: self.diagnosis.as_ref() }
    }
}

/// Explains every text of the call.
///
/// # Errors
/// A call that is wrong as a whole, or a closed stream. A text that cannot be read is reported, and the rest still
/// answered.
pub fn run(arguments: &ExplainArguments) -> Result<Outcome> {
    if arguments.list {
        print(&formats_text(formats()))?;
        return Ok(Outcome::Well);
    }
    if let Some(cause) = &arguments.cause {
        return teach(cause);
    }
    ensure!(
        !arguments.inputs.is_empty(),
        "no FILE; give the log of the run, or - for the standard input: python train.py 2>&1 | brimful explain -"
    );
    let format = if arguments.json { ExplainFormat::Json } else { arguments.format };
    let mut worst = Outcome::Well;
    let mut answers = Vec::new();
    for input in arguments.inputs.iter().flat_map(|input| files(input)) {
        match explain(&input) {
            Ok(answer) => {
                worst = worst.max(if answer.view().found() { Outcome::Found } else { Outcome::Well });
                show(format, &answer, answers.is_empty())?;
                answers.push(answer);
            }
            Err(error) => {
                complain(&format!("{input}: {error:#}"));
                worst = Outcome::Wrong;
            }
        }
    }
    summary(format, &answers)?;
    Ok(worst)
}

/// Prints what needs no other answer.
fn show(format: ExplainFormat, answer: &Answer, first: bool) -> Result<()> {
    let between = if first { "" } else { "\n" };
    match format {
        ExplainFormat::Text => print(&format!("{between}{}", incident_text(&answer.view())))?,
        ExplainFormat::Github => print(&format!("{between}{}", incident_markdown(&answer.view())))?,
        ExplainFormat::Json => print(&(incident_json(&answer.view()) + "\n"))?,
        ExplainFormat::Sarif | ExplainFormat::Junit => {}
    }
    Ok(())
}

/// Prints what is one document about all.
fn summary(format: ExplainFormat, answers: &[Answer]) -> Result<()> {
    let views: Vec<IncidentAnswer<'_>> = answers.iter().map(Answer::view).collect();
    match format {
        ExplainFormat::Sarif => print(&incidents_sarif(&views))?,
        ExplainFormat::Junit => print(&incidents_junit(&views))?,
        ExplainFormat::Text | ExplainFormat::Github | ExplainFormat::Json => {}
    }
    Ok(())
}

/// The logs of a folder in order, or the file itself.
fn files(input: &str) -> Vec<String> {
    let Ok(folder) = fs::read_dir(input) else { return vec![input.to_owned()] };
    let is_log = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_file() && ending.is_some_and(|ending| LOGS.contains(&ending))
    };
    let paths = folder.flatten().map(|entry| entry.path()).filter(|path| is_log(path));
    let mut files: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    files.sort();
    if files.is_empty() { vec![input.to_owned()] } else { files }
}

fn explain(input: &str) -> Result<Answer> {
    if input == STDIN {
        return explain_text(input, io::stdin().lock());
    }
    ensure!(
        !Path::new(input).is_dir(),
        "the folder has no logs; expected files that end in .{}",
        LOGS.join(", .")
    );
    let file = File::open(input).context("cannot be opened; expected a log, or - for the standard input")?;
    explain_text(input, BufReader::with_capacity(PIECE, file))
}

fn explain_text(input: &str, mut reader: impl BufRead) -> Result<Answer> {
    let head = reader.fill_buf()?;
    ensure!(
        !head.is_empty(),
        "is empty; expected what a framework printed (errors go to stderr: python train.py > run.log 2>&1)"
    );
    ensure!(!is_pickle(head), "is a pickle, not a text; expected a log, or the text of the error");
    let binary = is_binary(head);
    let report = scan(reader)?;
    if binary && report.incident.is_none() {
        bail!("is no text, and no message of a memory failure is in it; expected a log");
    }
    let diagnosis = diagnose(&report);
    Ok(Answer { input: input.to_owned(), report, diagnosis })
}

/// Python's pickles of protocol 2 on begin so, and torch's archives as any zip.
fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..] | [b'P', b'K', 3, 4, ..])
}

/// Zero bytes are in no text but UTF-16's, which begins with its mark.
fn is_binary(head: &[u8]) -> bool {
    !head.starts_with(&[0xff, 0xfe]) && head.iter().take(8 << 10).any(|byte| *byte == 0)
}

fn teach(cause: &str) -> Result<Outcome> {
    if let Some(page) = cause_pages().find(|page| page.id == cause) {
        print(&format!("{}\n", page.page))?;
        return Ok(Outcome::Well);
    }
    let near = nearest(cause, cause_pages().map(|page| page.id.as_str()));
    let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    bail!("--cause {cause}: no such cause{hint}\nexpected one of\n{}", causes_text(cause_pages()).trim_end())
}
