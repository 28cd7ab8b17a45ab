//! The job that a program's own words describe: a command line or a config that it echoed into its log.

use std::collections::BTreeMap;

use brimful_units::Bytes;

use crate::Overrides;

/// Settings under which a job is not simulated.
const NOT_SIMULATED: [&str; 4] = ["zero_stage", "load_in_4bit", "tensor_parallel", "max_model_len"];

/// transformers' names of optimizers (`OptimizerNames` in transformers/training_args.py) and torch's, as this project's.
const OPTIMIZERS: [(&str, &str); 10] = [
    ("adamw_torch", r#"{"name": "AdamW"}"#),
    ("adamw_torch_fused", r#"{"name": "AdamW", "fused": true}"#),
    ("adamw_hf", r#"{"name": "AdamW"}"#),
    ("adamw_bnb_8bit", r#"{"name": "AdamW8bit", "library": "bitsandbytes"}"#),
    ("adamw_8bit", r#"{"name": "AdamW8bit", "library": "bitsandbytes"}"#),
    ("adafactor", r#"{"name": "Adafactor", "library": "transformers"}"#),
    ("sgd", r#"{"name": "SGD"}"#),
    ("AdamW", r#"{"name": "AdamW"}"#),
    ("Adam", r#"{"name": "Adam"}"#),
    ("SGD", r#"{"name": "SGD"}"#),
];

/// The model, and the changes that make it the job whose settings a log shows; `None` where they describe no training
/// that is simulated. `total` is the GPU's size as the log tells it.
///
/// `--bf16` and `--fp16` are taken as transformers' Trainer means them, autocast, over fp32 weights; without them
/// everything has the weights' own dtype.
pub fn from_echo(settings: &BTreeMap<String, String>, total: Option<Bytes>) -> Option<(String, Overrides)> {
    let of = |key: &str| settings.get(key).map(String::as_str);
    let model = of("model")?;
    let batch = of("batch")?;
    if NOT_SIMULATED.iter().any(|key| settings.contains_key(*key)) {
        return None;
    }
    let mut job = Overrides::default().set("train.batch", batch);
    for (setting, key) in [("sequence", "train.sequence"), ("accumulation", "train.accumulation")] {
        if let Some(value) = of(setting) {
            job = job.set(key, value);
        }
    }
    if let Some(precision) = of("precision") {
        job = job.set("train.precision", if precision == "fp16" { "amp-fp16" } else { "amp-bf16" });
    }
    if of("gradient_checkpointing") == Some("true") {
        job = job.set("train.checkpointing", "non-reentrant");
    }
    if of("peft").is_some() {
        job = job.set("train.lora", "{}");
    }
    if let Some((_, optimizer)) =
        of("optimizer").and_then(|name| OPTIMIZERS.iter().find(|known| known.0 == name))
    {
        job = job.set("train.optimizer", optimizer);
    }
    if let Some(conf) = of("alloc_conf") {
        job = job.set("allocator.conf", conf);
    }
    if let Some(total) = total {
        job = job.set("gpu", &format!("{} MiB", total.get() >> 20));
    }
    Some((model.to_owned(), job))
}

#[cfg(test)]
mod tests {
    use brimful_models::NoFiles;

    use super::*;
    use crate::{AttentionKernel, Checkpointing, Precision, Run, open};

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
        let Run::Train(run) = &job.run else { panic!("{job:?}") };
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
    }
}
