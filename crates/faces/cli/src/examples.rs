//! Every command that the README and the help show is one that the parser takes.

use clap::{Command, CommandFactory, Parser};

use crate::args::Arguments;

const README: &str = include_str!("../../../../README.md");

/// The words of a line as a shell splits them, up to a redirection or a comment after two blanks.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" > ").next().unwrap_or(line);
    let line = line.split(" >> ").next().unwrap_or(line);
    let line = line.split("  ").next().unwrap_or(line);
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for sign in line.trim().trim_end_matches('.').chars() {
        match (sign, quote) {
            ('\'' | '"', None) => quote = Some(sign),
            (sign, Some(open)) if sign == open => quote = None,
            (' ', None) => words.push(std::mem::take(&mut word)),
            (sign, _) => word.push(sign),
        }
    }
    words.push(word);
    words
}

/// The commands in a text: each from `brimful ` to the end of its line.
fn commands(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().filter_map(|line| line.find("brimful ").map(|at| words(&line[at..])))
}

/// All help of a command and its subcommands.
fn help(command: &Command) -> String {
    let own = [command.get_about(), command.get_long_about(), command.get_after_help()];
    let own = own.into_iter().flatten().map(ToString::to_string);
    own.chain(command.get_subcommands().map(help)).collect::<Vec<_>>().join("\n")
}

fn refusals(commands: impl Iterator<Item = Vec<String>>) -> (usize, Vec<String>) {
    let mut refused = Vec::new();
    let mut count = 0;
    for words in commands {
        count += 1;
        if let Err(error) = Arguments::try_parse_from(&words) {
            refused.push(format!("{}: {error}", words.join(" ")));
        }
    }
    (count, refused)
}

#[test]
fn the_parser_takes_every_command_in_the_readmes_code_blocks() {
    let blocks = README.split("```").skip(1).step_by(2).flat_map(|block| block.lines());
    let (count, refused) = refusals(blocks.filter(|line| line.starts_with("brimful ")).map(words));
    assert!(count >= 20 && refused.is_empty(), "{count}: {refused:#?}");
}

#[test]
fn the_parser_takes_every_command_in_the_help() {
    let help = help(&Arguments::command());
    let (count, refused) = refusals(commands(&help));
    assert!(count >= 10 && refused.is_empty(), "{count}: {refused:#?}");
}
