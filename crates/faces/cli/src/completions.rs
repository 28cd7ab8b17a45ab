//! `brimful completions` and `brimful man`: files for shells and for `man`, written from the definitions in `args`.

use std::fs::create_dir_all;
use std::path::Path;

use anyhow::{Context, Result};
use brimful_ask::Outcome;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Arguments;
use crate::out::print_bytes;

const NAME: &str = "brimful";

/// Prints the completions for a shell.
///
/// # Errors
/// A closed stream.
pub fn run(shell: Shell) -> Result<Outcome> {
    let mut script = Vec::new();
    generate(shell, &mut visible_commands(), NAME, &mut script);
    print_bytes(&script)?;
    Ok(Outcome::Well)
}

/// The command without what is hidden: clap_complete's scripts would offer it.
fn visible_commands() -> clap::Command {
    let mut all = Arguments::command();
    // The flags of a command are declared when it is built (`Deferred`).
    all.build();
    // Building adds the command and the flag for help, which clap_complete adds as well.
    let is_shown = |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
    let visible = all.get_subcommands().filter(is_shown).map(|command| {
        let is_shown = |argument: &&clap::Arg| !argument.is_hide_set() && argument.get_id() != "help";
        let arguments = command.get_arguments().filter(is_shown).cloned();
        let about = command.get_about().cloned().unwrap_or_default();
        clap::Command::new(command.get_name().to_owned()).about(about).args(arguments)
    });
    let own = all.get_arguments().filter(|argument| argument.get_id() != "help").cloned();
    clap::Command::new(NAME).args(own).subcommands(visible)
}

/// Writes a page for each command into a folder: `brimful.1`, `brimful-fit.1`, …
///
/// # Errors
/// A folder that cannot be written.
pub fn write_man_pages(folder: &Path) -> Result<Outcome> {
    let in_folder = || format!("man pages in {}", folder.display());
    create_dir_all(folder).with_context(in_folder)?;
    clap_mangen::generate_to(Arguments::command(), folder).with_context(in_folder)?;
    Ok(Outcome::Well)
}
