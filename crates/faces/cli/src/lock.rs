//! `--lock` and `--check`: a gate for CI.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use brimful_ask::{Allowance, Gate, Lock, LockedRun, Outcome, Raise};

use crate::out::{complain, tell};
use crate::output;

/// The lock file if none is named.
pub const LOCK_FILE: &str = "brimful.lock";

/// How runs are held against a lock file.
pub struct Gatekeeper {
    file: PathBuf,
    /// Whether a run that is not in the file is added; else it is a wrong call.
    adds: bool,
    allowed: Allowance,
}

impl Gatekeeper {
    /// The gate that the flags ask for; `None` if they ask for none.
    pub fn new(file: Option<&Path>, only_check: bool, allowed: Allowance) -> Option<Gatekeeper> {
        let file = file.or(only_check.then_some(Path::new(LOCK_FILE)))?;
        Some(Gatekeeper { file: file.to_owned(), adds: !only_check, allowed })
    }

    /// Holds the runs against the file, and adds those that are not in it.
    ///
    /// # Errors
    /// A lock file that cannot be read or written, or a run that it lacks.
    pub fn judge(&self, runs: &[LockedRun]) -> Result<Outcome> {
        let name = self.file.display();
        let mut lock = self.read(runs)?;
        let mut worst = Outcome::Well;
        let mut added = false;
        for run in runs {
            match lock.gate(run, self.allowed) {
                Gate::Held => {}
                Gate::Raised(raised) => {
                    worst = Outcome::Found;
                    raised.iter().for_each(|raise| complain(&sentence(run, raise, &name.to_string())));
                }
                Gate::Unknown if self.adds => {
                    tell(&format!("{}: added to {name}", run.name()));
                    lock.add(run.clone());
                    added = true;
                }
                Gate::Unknown => {
                    bail!("{0}: is not in {name}; add it: brimful fit {0} --lock {name}", run.name())
                }
            }
        }
        if added {
            self.write(&lock)?;
        }
        Ok(worst)
    }

    fn read(&self, runs: &[LockedRun]) -> Result<Lock> {
        let name = self.file.display().to_string();
        match fs::read_to_string(&self.file) {
            Ok(text) => Lock::read(&name, &text),
            Err(error) if error.kind() == ErrorKind::NotFound && self.adds => Ok(Lock::default()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let jobs = runs.iter().map(LockedRun::name).collect::<Vec<_>>().join(" ");
                bail!("{name}: there is no such file; write it: brimful fit {jobs} --lock {name}")
            }
            Err(error) => Err(error).context(name),
        }
    }

    /// A lock file is never half written.
    fn write(&self, lock: &Lock) -> Result<()> {
        output::write("--lock", &self.file, [], lock.text()?.as_bytes())
    }
}

fn sentence(run: &LockedRun, raise: &Raise, file: &str) -> String {
    let Raise { phase, before, after, most } = raise;
    let more = after.saturating_sub(*before);
    let percent = if before.get() == 0 {
        String::new()
    } else {
        format!(", {:.1} % more", 100.0 * more.get() as f64 / before.get() as f64)
    };
    let most =
        most.as_ref().map_or_else(String::new, |(place, added)| format!("; {place} added most, {added}"));
    format!("{}: {phase} asks for {after}, and {file} has {before}{percent}{most}", run.name())
}
