//! Streams and exit codes.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use brimful_report::Style;

/// How a command ended (the contract of exit codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It fits, all is well: 0.
    Well,
    /// It does not fit, something was found: 1.
    Found,
    /// The input or the call is wrong: 2.
    Wrong,
}

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

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
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

/// Talk, on stderr. Where even that is closed, there is nobody to tell.
pub fn complain(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{} {message}", Style::BAD.paint("error:"));
}

/// What goes on, on stderr.
pub fn tell(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "brimful: {message}");
}
