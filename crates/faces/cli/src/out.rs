//! Streams and exit status.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::Context;
use brimful_ask::{Answer, DiskFiles, Host, Outcome};
use brimful_report::{Style, Terminal, safe_document, safe_json};

use crate::progress::Bars;

static FILES: DiskFiles = DiskFiles::new();

/// What the command line lends to every question: this machine's files, and bars on its terminal.
pub static HOST: Host<'static> = Host { files: &FILES, progress: &Bars };

/// Columns where neither the terminal nor the environment says how many there are.
pub const COLUMNS: usize = 80;

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The standard output.
    Stdout,
    /// The standard error, because the standard output is for a file.
    Stderr,
}

/// The exit code.
pub fn exit_code(outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Wrong) => ExitCode::from(2),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Prints an answer as a text or as a line of JSON.
///
/// # Errors
/// As [`print()`].
pub fn show(answer: &dyn Answer, json: bool) -> anyhow::Result<Outcome> {
    show_to(To::Stdout, answer, json)
}

/// As [`show`], to either stream.
///
/// # Errors
/// As [`print()`].
pub fn show_to(to: To, answer: &dyn Answer, json: bool) -> anyhow::Result<Outcome> {
    let text = if json { safe_json(&answer.json()) + "\n" } else { terminal().show(&answer.text()) };
    match to {
        To::Stdout => write(&text, json)?,
        // Nobody could read that the standard error is closed.
        To::Stderr => drop(anstream::stderr().lock().write_all(text.as_bytes())),
    }
    Ok(answer.outcome())
}

/// Prints the answers to several inputs in their order, texts with a blank line between them. An input that cannot be
/// answered is reported, and the rest still answered.
///
/// # Errors
/// As [`print()`].
pub fn show_all<A: Answer>(
    to: To,
    answers: impl IntoIterator<Item = anyhow::Result<A>>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let mut worst = Outcome::Well;
    for (at, answer) in answers.into_iter().enumerate() {
        worst = worst.max(match answer {
            Ok(answer) => {
                if at > 0 && !json {
                    print("\n")?;
                }
                show_to(to, &answer, json)?
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                Outcome::Wrong
            }
        });
    }
    Ok(worst)
}

/// A text for people, on stdout, as its terminal can show it; colours only for a terminal.
///
/// # Errors
/// As the stream's. A reader that has seen enough and closed the pipe is none: the answer's exit status is what counts.
pub fn print(text: &str) -> anyhow::Result<()> {
    write(&terminal().show(text), false)
}

/// A document for programs, on stdout: no line of it is broken.
///
/// # Errors
/// As [`print()`].
pub fn print_document(text: &str) -> anyhow::Result<()> {
    write(&safe_document(text), true)
}

/// JSON, on stdout.
///
/// # Errors
/// As [`print()`].
pub fn print_json(json: &str) -> anyhow::Result<()> {
    write(&(safe_json(json) + "\n"), true)
}

/// Data of any kind, on stdout as it is.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    flushed(io::stdout().lock().write_all(bytes))
}

/// One of many answers that follow each other, on stdout, each on one line. Returns whether somebody still reads.
///
/// # Errors
/// As the stream's.
pub fn print_next(text: &str, json: bool) -> anyhow::Result<bool> {
    let text = if json { safe_json(text) + "\n" } else { terminal().whole(text) };
    let mut stream = anstream::stdout().lock();
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.context("the standard output").map(|()| true),
    }
}

/// `raw`: the text holds no escape codes of ours.
fn write(text: &str, raw: bool) -> anyhow::Result<()> {
    let written = if raw {
        io::stdout().lock().write_all(text.as_bytes())
    } else {
        anstream::stdout().lock().write_all(text.as_bytes())
    };
    flushed(written)
}

fn flushed(written: io::Result<()>) -> anyhow::Result<()> {
    // The last part of a line is still in a buffer, and a full disk is reported when it is written.
    match written.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("the standard output"),
        _ => Ok(()),
    }
}

/// An error, on stderr. Where even that is closed, nobody can read it.
pub fn complain(message: &str) {
    talk(&format!("{} {message}", Style::BAD.paint("error:")));
}

/// What to know beside an answer, on stderr; the exit status does not depend on it.
pub fn note(message: &str) {
    talk(&format!("{} {message}", Style::STRONG.paint("note:")));
}

/// A step of a longer task, on stderr.
pub fn tell(message: &str) {
    talk(&format!("brimful: {message}"));
}

/// Messages are not broken into lines, so that each can be found by `grep` and its command copied.
fn talk(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", terminal().whole(message));
}

/// The terminal that answers are shown on, as the environment describes it.
pub fn terminal() -> &'static Terminal {
    static TERMINAL: OnceLock<Terminal> = OnceLock::new();
    TERMINAL.get_or_init(|| {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let given = set("COLUMNS").and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
        let seen = || {
            let is_terminal = io::stdout().is_terminal();
            terminal_size::terminal_size().filter(|_| is_terminal).map(|(width, _)| usize::from(width.0))
        };
        // POSIX: the first of these that is set says which characters there are. Where none is set, nothing says that a
        // terminal of today cannot show them.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let is_utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let is_dumb = set("TERM").is_some_and(|terminal| terminal == "dumb");
        Terminal { columns: given.or_else(seen).unwrap_or(COLUMNS), unicode: is_utf8 && !is_dumb }
    })
}
