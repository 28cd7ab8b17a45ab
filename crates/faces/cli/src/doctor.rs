//! `brimful doctor`: can the GPUs be read, and how?

use anyhow::{Context, Result};
use brimful_ask::{Outcome, doctor};

use crate::args::DoctorArguments;
use crate::out::show;
use crate::output::{is_stdout, write};

/// Looks for drivers, and calls them once.
///
/// # Errors
/// A closed stream; for `--record`, a file that cannot be written, and a machine without the library of NVIDIA's driver.
pub fn run(arguments: &DoctorArguments) -> Result<Outcome> {
    let reply = doctor(arguments.proc.clone(), arguments.record.is_some());
    if let Some(path) = &arguments.record {
        let fixture = reply.fixture().context(
            "--record: the library of NVIDIA's driver was not found, so that there is nothing to record; brimful doctor says \
             where it was looked for",
        )?;
        write("--record", path, [], fixture.as_bytes())?;
        // The standard output is the file.
        if is_stdout(path) {
            return Ok(Outcome::Well);
        }
    }
    show(&reply, arguments.json)
}
