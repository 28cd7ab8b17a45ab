//! What a program echoed of its own settings.

use brimful_logs::scan;

fn setting(text: &str, key: &str) -> Option<String> {
    scan(text.as_bytes()).unwrap().settings.remove(key)
}

#[test]
fn the_dtype_that_the_weights_were_loaded_in() {
    let weights = |text| setting(text, "weights");
    let said = |word: &str| Some(word.to_owned());
    assert_eq!(weights("python run_clm.py --bf16 --torch_dtype bfloat16 --do_train\n"), said("bfloat16"));
    assert_eq!(weights("trl sft --dtype=auto\n"), said("auto"));
    assert_eq!(weights("model = from_pretrained(name, torch_dtype=torch.float16)\n"), said("float16"));
    // A printed config says what its file says, and a tensor its own dtype.
    assert_eq!(weights("  \"torch_dtype\": \"bfloat16\",\n"), None);
    assert_eq!(weights("tensor([1.0], dtype=torch.float32)\n"), None);
}

#[test]
fn trl_is_known_by_its_command_or_its_frames() {
    let is_trl = |text| setting(text, "trl").is_some();
    assert!(is_trl("$ trl sft --model_name_or_path gpt2 --bf16\n"));
    assert!(is_trl("  File \"/site-packages/trl/trainer/sft_trainer.py\", line 912, in train\n"));
    assert!(!is_trl("  File \"/site-packages/ctrl/trainer/loop.py\", line 9, in train\n"));
}

#[test]
fn the_version_of_transformers() {
    let version = |text| setting(text, "transformers");
    let said = |word: &str| Some(word.to_owned());
    assert_eq!(version("  \"transformers_version\": \"5.23.0\",\n"), said("5.23.0"));
    assert_eq!(version("Installing collected packages: transformers==4.57.1\n"), said("4.57.1"));
    assert_eq!(version("- `transformers` version: 5.1.0\n"), said("5.1.0"));
    assert_eq!(version("- Transformers: 5.0.0\n"), said("5.0.0"));
    assert_eq!(version("  File \"transformers/trainer.py\", line 2100, in train\n"), None);
}
