//! Every key of the job file as a flag of the same name.

use brimful_jobs::Overrides;
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

/// A word for a POSIX shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+=@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
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
            .help("Any key by its path: optimizer.fused=true, model.num_hidden_layers=4");
        Overrides::flags().fold(command.arg(set), |command, key| command.arg(flag(key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(key: &'static str) -> Arg {
    let dashed = key.replace('_', "-");
    let arg = Arg::new(key).long(dashed.clone()).value_name("VALUE").help_heading(HEADING).help(help(key));
    let arg = arg.allow_hyphen_values(true);
    if dashed == key { arg } else { arg.alias(key) }
}

/// What the key is, for `--help`.
fn help(key: &str) -> &'static str {
    match key {
        "model" => "A folder, a config.json, or a model known by name",
        "gpu" => "A GPU by name (h100-sxm-80gb) or by size (\"24 GiB\")",
        "conf" => "PYTORCH_CUDA_ALLOC_CONF, such as expandable_segments:True",
        "torch" | "transformers" | "cudnn" => "The version whose behaviour is predicted",
        "task" => "What the model is trained for: causal-lm",
        "batch" => "Samples per device and micro step",
        "sequence" => "Tokens per sample",
        "accumulation" => "Micro steps per optimizer step",
        "precision" => "fp32, fp16, bf16, amp-bf16 or amp-fp16",
        "attention" => "eager, sdpa or flash",
        "attention_mask" => "none, ones or padded",
        "checkpointing" => "none, reentrant or non-reentrant",
        "use_cache" => "Whether the model keeps keys and values in training",
        "hold_outputs" => "Whether the loop keeps the model's outputs alive",
        "clip_grad_norm" => "Whether gradients are clipped by their norm",
        "steps" => "Optimizer steps that are simulated; 2 show the steady state",
        "optimizer" => "A name (AdamW), or a JSON table of its arguments",
        "lora" => "A JSON table with the names of PEFT's LoraConfig",
        "decode_steps" => "Tokens generated after the prompt",
        "cache" => "dynamic, static or none",
        "max_cache_len" => "Tokens that a static cache holds",
        "logits_to_keep" => "Positions that get logits",
        _ => "A key of the job file that is not simulated yet",
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
        let flags = Overrides::flags()
            .filter_map(|key| matches.get_one::<String>(key).map(|value| (key.to_owned(), value.clone())));
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
    fn typed_again_it_is_the_same_call() {
        let keys = [("optimizer.fused", "true"), ("gpu", "24 GiB"), ("hold_outputs", "true")];
        let flags = JobFlags(keys.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec());
        assert_eq!(flags.typed(), " --set optimizer.fused=true --gpu '24 GiB' --hold-outputs true");
    }
}
