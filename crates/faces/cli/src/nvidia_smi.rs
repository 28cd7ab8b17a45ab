//! `nvidia-smi` within a rehearsal: the virtual GPUs, and who holds their memory now.

use std::{env, fs};

use anyhow::{Context, Result};
use brimful_ask::Outcome;
use brimful_virtual_gpu::{SETTINGS_VARIABLE, STATE_VARIABLE, Settings, State, nvidia_smi};

use crate::out::{print_document, tell};

/// Answers as `nvidia-smi` does.
///
/// # Errors
/// A call outside of a rehearsal.
pub fn run(arguments: &[String]) -> Result<Outcome> {
    let settings: Settings = env::var(SETTINGS_VARIABLE)
        .with_context(|| {
            format!("{SETTINGS_VARIABLE} is not set: there is a virtual GPU only within `brimful rehearse`")
        })?
        .parse()?;
    let counters = env::var_os(STATE_VARIABLE).and_then(|path| fs::read(path).ok()).unwrap_or_default();
    match nvidia_smi(arguments, &settings, &State::read(&counters)?) {
        Ok(text) => {
            print_document(&text)?;
            Ok(Outcome::Well)
        }
        Err(refusal) => {
            tell(refusal.trim_end());
            Ok(Outcome::Wrong)
        }
    }
}
