//! The flags of the job file's keys: a fold over the table of keys in `brimful-jobs`.

use std::ffi::OsStr;

use brimful_jobs::{Key, Overrides, Simulated, flags};
use brimful_report::shell_word;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

/// The keys that were given as flags, in the order of the job file, those of `--set` first.
#[derive(Clone, Debug, Default)]
pub struct JobFlags(Vec<(String, String)>);

const HEADING: &str = "Keys of the job";
const SET: &str = "set";

impl JobFlags {
    /// The changes to make to each job.
    pub fn overrides(&self) -> Overrides {
        self.0.iter().fold(Overrides::default(), |all, (key, value)| all.set(key, value))
    }

    /// The flags as they can be typed again in a shell, each after a blank.
    pub fn typed(&self) -> String {
        let flag = |(key, value): &(String, String)| match key.contains('.') {
            true => format!(" --set {}", shell_word(&format!("{key}={value}"))),
            false => format!(" --{} {}", key.replace('_', "-"), shell_word(value)),
        };
        self.0.iter().map(flag).collect()
    }
}

impl Args for JobFlags {
    fn augment_args(command: Command) -> Command {
        let set = Arg::new(SET)
            .long(SET)
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .value_parser(key_and_value)
            .help_heading(HEADING)
            .help("Set any key of the job by its path, such as optimizer.fused=true or model.num_hidden_layers=4.");
        flags().fold(command.arg(set), |command, (name, key)| command.arg(flag(name, key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(name: &'static str, key: &'static Key) -> Arg {
    let dashed = name.replace('_', "-");
    let arg = Arg::new(name)
        .long(dashed.clone())
        .value_name("VALUE")
        .help_heading(HEADING)
        .help(help(key))
        .value_parser(Words(key.words()))
        .allow_hyphen_values(true);
    if dashed == name { arg } else { arg.alias(name) }
}

/// What the key says, and what is not simulated of it.
fn help(key: &Key) -> String {
    match key.simulated {
        Simulated::Yes => key.help.to_owned(),
        Simulated::Only(values, _) => format!("{} Only {} is simulated yet.", key.help, values.join(" or ")),
        Simulated::NotYet(_) => format!("{} This is not simulated yet.", key.help),
    }
}

/// Lists the words of a key in the help and for completions, and takes any text: the job file's own check refuses a
/// wrong word, with the key and the nearest word.
#[derive(Clone)]
struct Words(&'static [&'static str]);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        if self.0.is_empty() {
            return None;
        }
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("expected KEY=VALUE, such as optimizer.fused=true".to_owned())?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl FromArgMatches for JobFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let set = matches.get_many::<(String, String)>(SET).into_iter().flatten().cloned();
        let flags = flags().filter_map(|(name, _)| {
            matches.get_one::<String>(name).map(|value| (name.to_owned(), value.clone()))
        });
        Ok(JobFlags(set.chain(flags).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_every_flag_is_a_sentence() {
        for arg in JobFlags::augment_args(Command::new("fit")).get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.ends_with('.') && help.split(' ').count() > 3, "{}: {help:?}", arg.get_id());
        }
    }

    #[test]
    fn typed_again_it_is_the_same_call() {
        let keys = [("optimizer.fused", "true"), ("gpu", "24 GiB"), ("hold_outputs", "true")];
        let flags = JobFlags(keys.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec());
        assert_eq!(flags.typed(), " --set optimizer.fused=true --gpu '24 GiB' --hold-outputs true");
    }
}
