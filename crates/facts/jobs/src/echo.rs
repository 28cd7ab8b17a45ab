//! The job that a program's own words describe: a command line or a config that it echoed into its log.

use std::collections::BTreeMap;

use brimful_models::{Files, Model};
use brimful_units::{Bytes, Dtype};

use crate::tools::{Setting, Values, read};
use crate::{Overrides, Precision, Words};

/// The settings of a log (`settings` of a report of `brimful-logs`) as keys of the job.
///
/// The precision is no row of it: [`precision`] reads it from several settings.
const SETTINGS: &[Setting] = &[
    Setting { theirs: "batch", key: "train.batch", values: Values::Same },
    Setting { theirs: "sequence", key: "train.sequence", values: Values::Same },
    Setting { theirs: "accumulation", key: "train.accumulation", values: Values::Same },
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
    // A log does not say how the weights are quantized.
    Setting { theirs: "load_in_4bit", key: "train.quantization.quant_method", values: Values::Same },
    Setting { theirs: "max_model_len", key: "serve.max_model_len", values: Values::Same },
];

/// The model, and the changes that make it the job whose settings a log shows; `None` if they describe no training
/// that is simulated. `total` is the GPU's size as the log reports it.
pub fn from_echo(
    settings: &BTreeMap<String, String>,
    files: &dyn Files,
    total: Option<Bytes>,
) -> Option<(String, Overrides)> {
    let model = settings.get("model")?;
    // Without a batch the log shows no training.
    settings.get("batch")?;
    let mut job = read(SETTINGS, settings)?;
    // Without a precision everything has the weights' own dtype, as in a job that names none.
    if let Some(precision) = precision(settings, || Model::open(model, files).ok()?.dtype())? {
        job = job.set("train.precision", precision.word());
    }
    if let Some(total) = total {
        job = job.set("gpu", &format!("{} MiB", total.get() >> 20));
    }
    Some((model.to_owned(), job))
}

/// The precision of transformers' Trainer, whose `--bf16` and `--fp16` are autocast over the weights' dtype: `Some(None)`
/// where the log says nothing, `None` where it says what is not simulated. `stored` is the dtype of the model's own weights.
fn precision(
    settings: &BTreeMap<String, String>,
    stored: impl Fn() -> Option<Dtype>,
) -> Option<Option<Precision>> {
    let autocast = match settings.get("precision").map(String::as_str) {
        Some("bf16") => Some(Dtype::Bf16),
        Some("fp16") => Some(Dtype::F16),
        _ => None,
    };
    let asked = match settings.get("weights").map(String::as_str) {
        Some("bfloat16" | "bf16") => Some(Dtype::Bf16),
        Some("float16" | "fp16" | "half") => Some(Dtype::F16),
        Some("float32" | "fp32" | "float") => Some(Dtype::F32),
        Some(_) => stored(),
        // `from_pretrained` loads the weights as they are stored since transformers 5, and in fp32 before it. TRL asks for
        // fp32 with both (`create_model_from_path` of trl/trainer/utils.py, 1.16.0).
        None if autocast.is_some() && is_transformers_5(settings) && !settings.contains_key("trl") => {
            stored()
        }
        None if autocast.is_some() => Some(Dtype::F32),
        None => None,
    };
    let Some(weights) = asked else { return autocast.is_none().then_some(None) };
    let same = |known: &&Precision| (known.weights(), known.autocast()) == (weights, autocast);
    Precision::ALL.iter().find(same).map(|known| Some(*known))
}

/// Whether the log names transformers 5 or a later one.
fn is_transformers_5(settings: &BTreeMap<String, String>) -> bool {
    let major = |version: &String| version.split('.').next()?.parse::<u32>().ok();
    settings.get("transformers").and_then(major).is_some_and(|major| major >= 5)
}

#[cfg(test)]
mod tests {
    use brimful_models::NoFiles;

    use super::*;
    use crate::{AttentionKernel, Checkpointing, Workload, open};

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
        let (model, changes) = from_echo(&echoed, &NoFiles, Some(Bytes::gib(80))).unwrap();
        let job = open(&model, &NoFiles, &changes).unwrap().job;
        let Workload::Train(run) = &job.workload else { panic!("{job:?}") };
        assert_eq!((run.batch, run.sequence, run.precision), (2, 1024, Precision::AmpBf16));
        assert_eq!((run.checkpointing, run.attention), (Checkpointing::NonReentrant, AttentionKernel::Sdpa));
        assert_eq!(run.optimizer.as_ref().unwrap().fused, Some(true));
        assert_eq!(job.gpu.unwrap().total, Bytes::gib(80));
    }

    #[test]
    fn what_is_not_simulated_is_no_job() {
        assert!(from_echo(&settings(&[("model", "gpt2")]), &NoFiles, None).is_none());
        let sharded = settings(&[("model", "gpt2"), ("batch", "2"), ("zero_stage", "3")]);
        assert!(from_echo(&sharded, &NoFiles, None).is_none());
        let quantized = settings(&[("model", "gpt2"), ("batch", "2"), ("load_in_4bit", "true")]);
        assert!(from_echo(&quantized, &NoFiles, None).is_none());
    }

    #[test]
    fn a_trainers_autocast_is_over_the_dtype_that_the_log_says() {
        let of = |pairs: &[(&str, &str)], stored| precision(&settings(pairs), || stored);
        let (bf16, fp32) = (Some(Dtype::Bf16), Some(Dtype::F32));
        // Nothing is said of the weights: fp32, unless the log names transformers 5.
        assert_eq!(of(&[("precision", "bf16")], bf16), Some(Some(Precision::AmpBf16)));
        let four = [("precision", "bf16"), ("transformers", "4.57.1")];
        assert_eq!(of(&four, bf16), Some(Some(Precision::AmpBf16)));
        let five = [("precision", "bf16"), ("transformers", "5.23.0")];
        assert_eq!(of(&five, bf16), Some(Some(Precision::Bf16Autocast)));
        assert_eq!(of(&five, fp32), Some(Some(Precision::AmpBf16)));
        let trl = [("precision", "bf16"), ("transformers", "5.23.0"), ("trl", "true")];
        assert_eq!(of(&trl, bf16), Some(Some(Precision::AmpBf16)));
        // What is asked for wins.
        let asked = [("precision", "bf16"), ("weights", "float32"), ("transformers", "5.23.0")];
        assert_eq!(of(&asked, bf16), Some(Some(Precision::AmpBf16)));
        let asked = [("precision", "bf16"), ("weights", "bfloat16")];
        assert_eq!(of(&asked, fp32), Some(Some(Precision::Bf16Autocast)));
        assert_eq!(of(&[("precision", "fp16"), ("weights", "auto")], fp32), Some(Some(Precision::AmpFp16)));
        // Without autocast the weights' dtype is that of everything.
        assert_eq!(of(&[("weights", "bfloat16")], fp32), Some(Some(Precision::Bf16)));
        assert_eq!(of(&[("weights", "auto")], None), Some(None));
        assert_eq!(of(&[("transformers", "5.23.0")], bf16), Some(None));
    }

    #[test]
    fn an_autocast_over_weights_that_is_not_simulated_is_no_job() {
        let mixed = [("model", "gpt2"), ("batch", "2"), ("precision", "bf16"), ("weights", "float16")];
        assert!(from_echo(&settings(&mixed), &NoFiles, None).is_none());
        // The dtype of the weights is asked for and is not known.
        let unknown = [("precision", "bf16"), ("weights", "auto")];
        assert_eq!(precision(&settings(&unknown), || None), None);
    }

    #[test]
    fn every_setting_becomes_a_key_of_the_job_file() {
        for setting in SETTINGS {
            assert!(crate::keys::find(setting.key).is_some(), "{}", setting.key);
        }
    }
}
