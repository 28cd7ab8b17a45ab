//! The flags of the job file's keys: a fold over the table of keys in `brimful-jobs`.

use std::ffi::OsStr;

use brimful_jobs::{Elsewhere, Key, Kind, Overrides, Simulated, elsewhere, flags};
use brimful_report::shell_word;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

/// The keys that were given as flags, in the order of the job file, those of `--set` first.
#[derive(Clone, Debug, Default)]
pub struct JobFlags(Vec<(String, String)>);

const HEADING: &str = "Keys of the job";
const SET: &str = "set";
const GPU: &str = "gpu";

impl JobFlags {
    /// The changes to make to each job.
    pub fn overrides(&self) -> Overrides {
        // A list of one GPU ("h100,") is that GPU.
        let value = |key: &str, value: &str| match key {
            GPU => value.trim_matches([',', ' ']).to_owned(),
            _ => value.to_owned(),
        };
        self.0.iter().fold(Overrides::default(), |all, (key, typed)| all.set(key, &value(key, typed)))
    }

    /// The GPUs that were named, by repeated flags or in one list.
    pub fn gpus(&self) -> Vec<String> {
        let named = self.0.iter().filter(|(key, _)| key == GPU);
        let one = named.flat_map(|(_, list)| list.split(','));
        one.map(|gpu| gpu.trim().to_owned()).filter(|gpu| !gpu.is_empty()).collect()
    }

    /// The same flags without a GPU.
    pub fn without_gpu(&self) -> JobFlags {
        JobFlags(self.0.iter().filter(|(key, _)| key != GPU).cloned().collect())
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
        let command = elsewhere().fold(command.arg(set), |command, row| command.args(refused(row)));
        flags().fold(command, |command, (name, key)| command.arg(flag(name, key)))
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
        .value_parser(Words(key))
        .allow_hyphen_values(!can_be_bare(key));
    let arg = if name == GPU { arg.action(ArgAction::Append) } else { arg };
    let arg = if can_be_bare(key) { arg.num_args(0..=1).default_missing_value("true") } else { arg };
    let others = key.also.iter().flat_map(|other| [(*other).to_owned(), other.replace('-', "_")]);
    let mut aliases: Vec<String> = others.chain([name.to_owned()]).filter(|alias| *alias != dashed).collect();
    aliases.sort();
    aliases.dedup();
    arg.aliases(aliases)
}

/// Whether the flag alone means that the key is on: `--gradient-checkpointing`, `--lora`.
fn can_be_bare(key: &Key) -> bool {
    let is_switch = matches!(key.kind, Kind::Flag | Kind::FlagOrNumber) || key.short.is_some();
    is_switch || key.spelled.iter().any(|pair| pair.0 == "true")
}

/// The flags of other programs that are said otherwise here. They are hidden, and refused with what to type instead.
fn refused(row: &'static Elsewhere) -> impl Iterator<Item = Arg> {
    row.flags.iter().map(move |flag| {
        let arg = Arg::new(*flag).long(*flag).hide(true).num_args(0..=1).default_missing_value("");
        arg.help("This flag is said otherwise here.").value_parser(Refuse(row.instead))
    })
}

/// Refuses any value while the call is parsed, before a missing argument is reported.
#[derive(Clone)]
struct Refuse(&'static str);

impl TypedValueParser for Refuse {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, _: &OsStr) -> Result<String, Error> {
        let flag = arg.map_or_else(String::new, |arg| format!("--{}", arg.get_id()));
        let message = format!("`{flag}` is not a flag of brimful; {}\n", self.0);
        Err(Error::raw(ErrorKind::UnknownArgument, message).with_cmd(command))
    }
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
struct Words(&'static Key);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        let text = StringValueParser::new().parse_ref(command, arg, value)?;
        // `--lora llama-3-8b` has no value of its own, and the job is missing.
        if can_be_bare(self.0) && !self.0.takes(&text) {
            return Err(self.taken_for_a_value(command, arg, &text));
        }
        Ok(text)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = self.0.words();
        (!words.is_empty()).then(|| Box::new(words.iter().map(PossibleValue::new)) as Box<_>)
    }
}

impl Words {
    fn taken_for_a_value(&self, command: &Command, arg: Option<&Arg>, text: &str) -> Error {
        let flag = arg.and_then(Arg::get_long).unwrap_or_default();
        let words = match self.0.words() {
            [] => "true or false".to_owned(),
            words => format!("true, false or one of {}", words.join(", ")),
        };
        let words =
            if self.0.short.is_some() { "a rank such as 16, r=16,lora_alpha=32, or true" } else { &words };
        let message = format!(
            "--{flag} is {text:?}; expected {words}; if {text:?} is the job, write it before --{flag}\n"
        );
        Error::raw(ErrorKind::InvalidValue, message).with_cmd(command)
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
            // Only `--gpu` can be given several times.
            let values: Vec<&str> = matches.get_many::<String>(name)?.map(String::as_str).collect();
            Some((name.to_owned(), values.join(",")))
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
        for arg in
            JobFlags::augment_args(Command::new("fit")).get_arguments().filter(|arg| !arg.is_hide_set())
        {
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
