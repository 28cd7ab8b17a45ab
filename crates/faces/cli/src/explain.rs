//! `brimful explain`: why did it die, and what filled memory?

use anyhow::{Result, bail, ensure};
use brimful_ask::{Answer, Explained, IncidentReply, Outcome, explain, inputs_to_explain};
use brimful_explain::cause_pages;
use brimful_logs::formats;
use brimful_report::{
    IncidentAnswer, causes_text, formats_text, incident_markdown, incidents_junit, incidents_sarif, prose,
};
use brimful_units::nearest;

use crate::args::{ExplainArguments, ExplainFormat};
use crate::out::{HOST, complain, print, print_document, print_json};

/// Explains every input of the call.
///
/// # Errors
/// A call that is wrong as a whole, or a closed stream. An input that cannot be read is reported, and the rest still
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
    let mut texts = Vec::new();
    let mut first = true;
    for input in arguments.inputs.iter().flat_map(|input| inputs_to_explain(HOST.files, input)) {
        match explain(HOST, &input, arguments.device).and_then(|answer| in_format(&input, answer, format)) {
            Ok(answer) => {
                worst = worst.max(answer.outcome());
                show(format, &answer, first)?;
                first = false;
                // Recordings are large, and no document is made of them.
                if let Explained::Incident(reply) = answer {
                    texts.push(reply);
                }
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                worst = Outcome::Wrong;
            }
        }
    }
    show_document(format, &texts)?;
    Ok(worst)
}

/// Some forms are for logs only.
fn in_format(input: &str, answer: Explained, format: ExplainFormat) -> Result<Explained> {
    let for_both = matches!(format, ExplainFormat::Text | ExplainFormat::Json);
    ensure!(
        for_both || matches!(answer, Explained::Incident(_)),
        "{input}: is a recording; --format github, sarif and junit are for logs, text and json for both"
    );
    Ok(answer)
}

/// Prints an answer in a form that has one part for each input.
fn show(format: ExplainFormat, answer: &Explained, first: bool) -> Result<()> {
    let gap = if first { "" } else { "\n" };
    let text = match (format, answer) {
        (ExplainFormat::Json, answer) => return print_json(&answer.json()),
        (ExplainFormat::Text, answer) => answer.text(),
        (ExplainFormat::Github, Explained::Incident(reply)) => {
            return print_document(&format!("{gap}{}", incident_markdown(&reply.view())));
        }
        _ => return Ok(()),
    };
    print(&format!("{gap}{text}"))
}

/// Prints a form that is one document about all texts.
fn show_document(format: ExplainFormat, texts: &[Box<IncidentReply>]) -> Result<()> {
    let views: Vec<IncidentAnswer<'_>> = texts.iter().map(|reply| reply.view()).collect();
    match format {
        ExplainFormat::Sarif => print_json(incidents_sarif(&views).trim_end()),
        ExplainFormat::Junit => print_document(&incidents_junit(&views)),
        ExplainFormat::Text | ExplainFormat::Github | ExplainFormat::Json => Ok(()),
    }
}

fn teach(cause: &str) -> Result<Outcome> {
    if let Some(page) = cause_pages().find(|page| page.id == cause) {
        print(&prose(&page.page))?;
        return Ok(Outcome::Well);
    }
    let near = nearest(cause, cause_pages().map(|page| page.id.as_str()));
    let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    bail!("--cause {cause}: no such cause{hint}\nexpected one of\n{}", causes_text(cause_pages()).trim_end())
}
