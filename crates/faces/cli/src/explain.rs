//! `brimful explain`: why did it die, and what filled memory?

use std::fs;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use brimful_explain::cause_pages;
use brimful_logs::formats;
use brimful_report::{causes_text, formats_text};
use brimful_units::nearest;

use crate::args::{ExplainArguments, ExplainFormat};
use crate::explain_recording::{self, is_recording};
use crate::explain_text::{self, Answer};
use crate::out::{Outcome, complain, print};
use crate::{progress, recordings};

/// The name of the standard input.
const STDIN: &str = "-";
/// Endings of the files of a folder that are read.
const ENDINGS: [&str; 9] = ["log", "txt", "out", "err", "stderr", "pickle", "pkl", "json", "gz"];
/// Texts are read in pieces of this size.
const PIECE: usize = 256 << 10;

/// An answer.
enum Explained {
    /// About a text; some formats make one document of all of them.
    Text(Box<Answer>),
    /// About a recording, as it is printed.
    Recording(String, Outcome),
}

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
    let arguments = ExplainArguments { json: format == ExplainFormat::Json, ..arguments.clone() };
    let mut worst = Outcome::Well;
    let mut texts = Vec::new();
    let mut answered = 0;
    for input in arguments.inputs.iter().flat_map(|input| files(input)) {
        let between = if answered == 0 || arguments.json { "" } else { "\n" };
        match explain(&input, &arguments, format) {
            Ok(Explained::Text(answer)) => {
                worst = worst.max(if answer.view().found() { Outcome::Found } else { Outcome::Well });
                explain_text::show(format, &answer, between)?;
                texts.push(*answer);
            }
            Ok(Explained::Recording(text, outcome)) => {
                worst = worst.max(outcome);
                print(&format!("{between}{text}"))?;
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                worst = Outcome::Wrong;
                continue;
            }
        }
        answered += 1;
    }
    explain_text::summary(format, &texts)?;
    Ok(worst)
}

/// The logs and recordings of a folder in order, or the file itself.
fn files(input: &str) -> Vec<String> {
    let Ok(folder) = fs::read_dir(input) else { return vec![input.to_owned()] };
    let is_read = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending))
    };
    let paths = folder.flatten().map(|entry| entry.path()).filter(|path| is_read(path));
    let mut files: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    files.sort();
    if files.is_empty() { vec![input.to_owned()] } else { files }
}

/// Explains an input as what its beginning shows it to be. Errors name the input.
fn explain(input: &str, arguments: &ExplainArguments, format: ExplainFormat) -> Result<Explained> {
    if input == STDIN {
        let mut stdin = io::stdin().lock();
        if !is_recording(stdin.fill_buf().context("stdin")?) {
            return text(input, stdin);
        }
        let mut content = Vec::new();
        stdin.read_to_end(&mut content).context("stdin")?;
        return recording(input, &content, arguments, format);
    }
    ensure!(
        !Path::new(input).is_dir(),
        "{input}: the folder has no logs or snapshots; expected files that end in .{}",
        ENDINGS.join(", .")
    );
    if !Path::new(input).exists() && input.contains('#') {
        return recording(input, &recordings::content(input)?, arguments, format);
    }
    let unopened =
        || format!("{input}: cannot be opened; expected a log, a snapshot, or - for the standard input");
    let mut file = BufReader::with_capacity(PIECE, File::open(input).with_context(unopened)?);
    let named_so = [".pickle", ".pkl"].iter().any(|ending| input.ends_with(ending));
    if named_so || is_recording(file.fill_buf().with_context(unopened)?) {
        return recording(input, &recordings::content(input)?, arguments, format);
    }
    let size = file.get_ref().metadata().map_or(0, |about| about.len());
    match text(input, progress::reading(size, file))? {
        // Without a failure in it, what is named so was meant as a snapshot, and has to say why it is none.
        Explained::Text(answer) if input.ends_with(".json") && !answer.view().found() => {
            recording(input, &recordings::content(input)?, arguments, format)
        }
        explained => Ok(explained),
    }
}

fn text(input: &str, reader: impl BufRead) -> Result<Explained> {
    explain_text::explain(input, reader)
        .map(|answer| Explained::Text(Box::new(answer)))
        .with_context(|| input.to_owned())
}

fn recording(
    input: &str,
    content: &[u8],
    arguments: &ExplainArguments,
    format: ExplainFormat,
) -> Result<Explained> {
    let known = matches!(format, ExplainFormat::Text | ExplainFormat::Json);
    ensure!(
        known,
        "{input}: is a recording; --format github, sarif and junit are for logs, text and json for both"
    );
    let (text, outcome) = explain_recording::explain(input, content, arguments)?;
    Ok(Explained::Recording(text, outcome))
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
