//! The job that a program's own words describe: a command line or a config that it echoed into its log.

use std::collections::BTreeMap;

use brimful_units::Bytes;

use crate::Overrides;
use crate::tools::{Setting, Values, read};

/// The settings of a log (`settings` of a report of `brimful-logs`) as keys of the job.
///
/// `--bf16` and `--fp16` are taken as transformers' Trainer means them, autocast over fp32 weights. Without them
/// everything has the weights' own dtype.
const SETTINGS: &[Setting] = &[
    Setting { theirs: "batch", key: "train.batch", values: Values::Same },
    Setting { theirs: "sequence", key: "train.sequence", values: Values::Same },
    Setting { theirs: "accumulation", key: "train.accumulation", values: Values::Same },
    Setting {
        theirs: "precision",
        key: "train.precision",
        values: Values::Words(&[("bf16", "amp-bf16"), ("fp16", "amp-fp16")]),
    },
    Setting {
        theirs: "gradient_checkpointing",
        key: "train.checkpointing",
        values: Values::Words(&[("true", "non-reentrant")]),
    },
    Setting { theirs: "peft", key: "train.lora", values: Values::Always("{}") },
    Setting { theirs: "optimizer", key: "train.optimizer", values: Values::Same },
    Setting { theirs: "alloc_conf", key: "allocator.conf", values: Values::Same },
    Setting { theirs: "zero_stage", key: "parallel.shard", values: Values::Same },
    Setting { theirs: "tensor_parallel", key: "parallel.tensor", values: Values::Same },
    Setting { theirs: "load_in_4bit", key: "train.quantization.load_in_4bit", values: Values::Same },
    Setting { theirs: "max_model_len", key: "serve.max_model_len", values: Values::Same },
];

/// The model, and the changes that make it the job whose settings a log shows; `None` if they describe no training
/// that is simulated. `total` is the GPU's size as the log reports it.
pub fn from_echo(settings: &BTreeMap<String, String>, total: Option<Bytes>) -> Option<(String, Overrides)> {
    let model = settings.get("model")?;
    // Without a batch the log shows no training.
    settings.get("batch")?;
    let mut job = read(SETTINGS, settings)?;
    if let Some(total) = total {
        job = job.set("gpu", &format!("{} MiB", total.get() >> 20));
    }
    Some((model.to_owned(), job))
}

#[cfg(test)]
mod tests {
    use brimful_models::NoFiles;

    use super::*;
    use crate::{AttentionKernel, Checkpointing, Precision, Workload, open};

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_trainers_command_line() {
        let echoed = settings(&[
            ("model", "meta-llama/Meta-Llama-3-8B"),
            ("batch", "2"),
            ("sequence", "1024"),
            ("precision", "bf16"),
            ("gradient_checkpointing", "true"),
            ("optimizer", "adamw_torch_fused"),
        ]);
        let (model, changes) = from_echo(&echoed, Some(Bytes::gib(80))).unwrap();
        let job = open(&model, &NoFiles, &changes).unwrap().job;
        let Workload::Train(run) = &job.workload else { panic!("{job:?}") };
        assert_eq!((run.batch, run.sequence, run.precision), (2, 1024, Precision::AmpBf16));
        assert_eq!((run.checkpointing, run.attention), (Checkpointing::NonReentrant, AttentionKernel::Sdpa));
        assert_eq!(run.optimizer.as_ref().unwrap().fused, Some(true));
        assert_eq!(job.gpu.unwrap().total, Bytes::gib(80));
    }

    #[test]
    fn what_is_not_simulated_is_no_job() {
        assert!(from_echo(&settings(&[("model", "gpt2")]), None).is_none());
        let sharded = settings(&[("model", "gpt2"), ("batch", "2"), ("zero_stage", "3")]);
        assert!(from_echo(&sharded, None).is_none());
        let quantized = settings(&[("model", "gpt2"), ("batch", "2"), ("load_in_4bit", "true")]);
        assert!(from_echo(&quantized, None).is_none());
    }

    #[test]
    fn every_setting_becomes_a_key_of_the_job_file() {
        for setting in SETTINGS {
            assert!(crate::keys::find(setting.key).is_some(), "{}", setting.key);
        }
    }
}
