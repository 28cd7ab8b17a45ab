//! `[parallel]`: what is simulated, and what is refused with the pair of keys.

use brimful_jobs::{Format, Overrides, Parallel, Shard, load};
use brimful_models::NoFiles;
use brimful_units::Dtype;

fn parallel(table: &str) -> Result<Option<Parallel>, String> {
    let text = format!("model = 'gpt2'\n[parallel]\n{table}");
    let loaded = load("job.toml", &text, Format::Toml, &NoFiles, &Overrides::default());
    loaded.map(|loaded| loaded.job.parallel).map_err(|error| error.to_string())
}

#[test]
fn several_gpus_without_a_way_of_sharding_are_ddp_which_the_answer_lists() {
    let text = "model = 'gpt2'\n[parallel]\ndata = 8";
    let loaded = load("job.toml", text, Format::Toml, &NoFiles, &Overrides::default()).unwrap();
    let shard = Shard::Ddp { bucket_cap_bytes: None, gradient_as_bucket_view: false };
    assert_eq!(loaded.job.parallel, Some(Parallel { data: 8, sync_each_batch: false, shard }));
    assert!(loaded.recipe.assumed.iter().any(|row| row.key == "parallel.shard" && row.value == "ddp"));
    assert!(loaded.recipe.notes.iter().any(|note| note.contains("rank 0 of 8")));
    assert!(loaded.recipe.notes.iter().any(|note| note.contains("NCCL")));
}

#[test]
fn one_gpu_is_no_spread_at_all_and_lists_nothing() {
    assert_eq!(parallel("data = 1"), Ok(None));
    assert_eq!(parallel("data = 1\nshard = 'none'\ngpus_per_node = 8"), Ok(None));
}

#[test]
fn a_bucket_is_given_in_mib_and_held_in_bytes() {
    let job = parallel("data = 2\nbucket_cap_mb = 0.5\ngradient_as_bucket_view = true").unwrap().unwrap();
    assert_eq!(job.shard, Shard::Ddp { bucket_cap_bytes: Some(524_288), gradient_as_bucket_view: true });
    assert!(parallel("data = 2\nbucket_cap_mb = 0").unwrap_err().contains("a positive number of MiB"));
}

#[test]
fn fsdp2_is_what_torch_makes_of_no_arguments_unless_the_job_says_otherwise() {
    let plain = parallel("data = 64\nshard = 'fsdp2'").unwrap().unwrap();
    let shard = Shard::Fsdp2 { reshard_after_forward: true, param_dtype: None, reduce_dtype: None };
    assert_eq!(plain, Parallel { data: 64, sync_each_batch: false, shard });
    let mixed = "data = 64\nshard = 'fsdp2'\nreshard_after_forward = false\nparam_dtype = 'bf16'\nreduce_dtype = 'fp32'";
    let (param_dtype, reduce_dtype) = (Some(Dtype::Bf16), Some(Dtype::F32));
    let shard = Shard::Fsdp2 { reshard_after_forward: false, param_dtype, reduce_dtype };
    assert_eq!(parallel(mixed).unwrap().unwrap().shard, shard);
}

#[test]
fn degrees_that_do_not_go_together_are_refused_with_both_keys() {
    for (table, expected) in [
        ("data = 12\ngpus_per_node = 8", "data = 12 is no multiple of it"),
        ("data = 1\nshard = 'ddp'", "at least 2 GPUs"),
        ("data = 2\nshard = 'none'", "data is more than 1"),
        ("data = 2\nparam_dtype = 'bf16'", "only shard = \"fsdp2\" has this key"),
        ("data = 2\nreduce_dtype = 'f32'", "one of fp32, bf16, fp16"),
        ("data = 2\nshard = 'fsdp2'\nbucket_cap_mb = 5", "only shard = \"ddp\" has this key"),
        ("data = 2\nshard = 'fsdp2'\ncpu_offload = true", "not simulated yet"),
        ("data = 2\nstatic_graph = true", "not simulated yet"),
        ("data = 2\nshard = 'zero3'", "\"ddp\" and \"fsdp2\" are; for FSDP1 and ZeRO"),
    ] {
        let error = parallel(table).unwrap_err();
        assert!(error.contains(expected), "{table}: {error}");
    }
    for (optimizer, expected) in [
        ("name = 'AdamW8bit'\nlibrary = 'bitsandbytes'", "mixed torch.Tensor and DTensor"),
        ("name = 'Adafactor'\nlibrary = 'transformers'", "mixed torch.Tensor and DTensor"),
        ("name = 'Adafactor'", "in-place operations"),
        ("name = 'SGD'\nfused = true", "_fused_sgd_"),
    ] {
        let error =
            parallel(&format!("data = 8\nshard = 'fsdp2'\n[train.optimizer]\n{optimizer}")).unwrap_err();
        assert!(error.contains("train.optimizer does not go with it") && error.contains(expected), "{error}");
    }
    let infer = "model = 'gpt2'\n[infer]\nbatch = 1\n[parallel]\ndata = 2";
    let error = load("job.toml", infer, Format::Toml, &NoFiles, &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("without gradients is simulated on one GPU"), "{error}");
}
