//! `brimful --version`, and with `--facts` what is known.

use anyhow::Result;
use brimful_ask::{Outcome, facts};

use crate::out::{print, show};

/// Prints the version, or the versions and data whose behaviour is known.
///
/// # Errors
/// A closed stream.
pub fn run(with_facts: bool, json: bool) -> Result<Outcome> {
    if with_facts {
        return show(&facts(), json);
    }
    print(concat!("brimful ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Outcome::Well)
}
