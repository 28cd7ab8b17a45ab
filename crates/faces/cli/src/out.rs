//! Streams and exit status.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Error;
use brimful_ask::{Answer, DiskFiles, Host, Outcome};
use brimful_report::Style;

use crate::progress::Bars;

/// What the command line lends to every question: this machine's files, and bars on its terminal.
pub const HOST: Host<'static> = Host { files: &DiskFiles, progress: &Bars };

/// The exit code. A reader that has seen enough and closed the pipe is no failure.
pub fn exit_code(outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Wrong) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints an answer as a text or as a line of JSON.
///
/// # Errors
/// As [`print()`].
pub fn show(answer: &dyn Answer, json: bool) -> io::Result<Outcome> {
    print(&if json { answer.json() + "\n" } else { answer.text() })?;
    Ok(answer.outcome())
}

/// Prints the answers to several inputs in their order, texts with a blank line between them. An input that cannot be
/// answered is reported, and the rest still answered.
///
/// # Errors
/// As [`print()`].
pub fn show_all<A: Answer>(
    answers: impl IntoIterator<Item = anyhow::Result<A>>,
    json: bool,
) -> io::Result<Outcome> {
    let mut worst = Outcome::Well;
    for (at, answer) in answers.into_iter().enumerate() {
        worst = worst.max(match answer {
            Ok(answer) => {
                if at > 0 && !json {
                    print("\n")?;
                }
                show(&answer, json)?
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                Outcome::Wrong
            }
        });
    }
    Ok(worst)
}

/// Data, on stdout; colours only for a terminal.
///
/// # Errors
/// As the stream's, `BrokenPipe` where the reader has gone.
pub fn print(text: &str) -> io::Result<()> {
    anstream::stdout().lock().write_all(text.as_bytes())
}

/// Data of any kind, on stdout as it is.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(bytes)
}

/// An error, on stderr. Where even that is closed, nobody can read it.
pub fn complain(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{} {message}", Style::BAD.paint("error:"));
}

/// A step of a longer task, on stderr.
pub fn tell(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "brimful: {message}");
}
