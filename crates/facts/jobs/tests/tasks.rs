//! Tasks: the class that a job's model gets, what such a job may not ask for, and how it can be changed.

use brimful_jobs::{AttentionMask, Format, LoadedJob, Overrides, Task, Train, Workload, load};
use brimful_models::{Config, NoFiles};

fn read(text: &str) -> Result<LoadedJob, String> {
    load("job.toml", text, Format::Toml, &NoFiles, &Overrides::default()).map_err(|error| error.to_string())
}

fn job(text: &str) -> LoadedJob {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn class(loaded: &LoadedJob) -> String {
    match &loaded.job.model {
        Config::Recorded(config) => config.program.header.class.clone(),
        other => panic!("{other:?}"),
    }
}

fn task(loaded: &LoadedJob) -> Task {
    match &loaded.job.workload {
        Workload::Train(train) => train.task,
        Workload::Infer(infer) => infer.task,
    }
}

const BERT: &str = "[model]\nmodel_type = 'bert'\n";

#[test]
fn the_task_of_the_job_picks_the_class_whatever_the_config_says() {
    let masked = "architectures = ['BertForMaskedLM']\n";
    let loaded = job(&format!("{BERT}{masked}[train]\ntask = 'sequence-classification'"));
    assert_eq!(
        (class(&loaded).as_str(), task(&loaded)),
        ("BertForSequenceClassification", Task::SequenceClassification)
    );
    assert!(loaded.recipe.assumed.iter().all(|row| row.key != "train.task"));
}

#[test]
fn without_a_task_the_class_of_the_config_says_it_and_the_answer_lists_it() {
    let classifier = "architectures = ['BertForSequenceClassification']\n";
    let loaded = job(&format!("{BERT}{classifier}[train]\nbatch = 2"));
    assert_eq!(task(&loaded), Task::SequenceClassification);
    let row = loaded.recipe.assumed.iter().find(|row| row.key == "train.task").unwrap();
    assert_eq!(row.value, "sequence-classification");
    // A class without a program is read for the first task of its type.
    let pretraining = job(&format!("{BERT}architectures = ['BertForPreTraining']\n[infer]\nbatch = 2"));
    assert_eq!((class(&pretraining).as_str(), task(&pretraining)), ("BertForMaskedLM", Task::MaskedLm));
}

#[test]
fn a_change_of_the_task_reads_the_model_again() {
    let loaded = job(&format!("{BERT}[train]\ntask = 'masked-lm'"));
    let changed = loaded.with_change("train.task", "sequence-classification".into()).unwrap();
    assert_eq!(class(&changed), "BertForSequenceClassification");
    assert!(changed.job.model.parameter_count() != loaded.job.model.parameter_count());
}

#[test]
fn a_config_counts_its_labels_by_their_names() {
    let count = |labels: &str| {
        let text = format!("{BERT}{labels}[train]\ntask = 'sequence-classification'");
        job(&text).job.model.parameter_count()
    };
    // The classifier of a model of width 768 has a row and a bias for each label; two is the default.
    assert_eq!(count("id2label = {0 = 'a', 1 = 'b', 2 = 'c'}\n") - count(""), 769);
    assert_eq!(count("num_labels = 3\n"), count("id2label = {0 = 'a', 1 = 'b', 2 = 'c'}\n"));
}

#[test]
fn a_task_without_generation_takes_a_mask_and_refuses_caches_and_adapters() {
    let masked = |rest: &str| read(&format!("{BERT}{rest}"));
    let loaded = masked("[infer]\ntask = 'masked-lm'\nattention_mask = 'padded'").unwrap();
    assert!(
        matches!(&loaded.job.workload, Workload::Infer(run) if run.attention_mask == AttentionMask::Padded)
    );
    for (rest, key) in [
        ("[infer]\ntask = 'masked-lm'\ndecode_steps = 3", "`infer.decode_steps` is 3"),
        ("[infer]\ntask = 'masked-lm'\ncache = 'dynamic'", "`infer.cache`"),
        ("[train]\ntask = 'masked-lm'\nuse_cache = true", "`train.use_cache` is true"),
        ("[train]\ntask = 'masked-lm'\nlora = {r = 8}", "`train.lora`"),
        ("[train]\ntask = 'seq2seq'", "`train.task` = \"seq2seq\" is not simulated yet; bert has no program"),
    ] {
        let refusal = masked(rest).map(|loaded| loaded.job).unwrap_err();
        assert!(refusal.contains(key), "{rest}: {refusal}");
    }
}

#[test]
fn learned_positions_end_and_a_row_of_padding_is_none_of_them() {
    let roberta = |sequence: u64| {
        let model = "[model]\nmodel_type = 'roberta'\nmax_position_embeddings = 514\n";
        read(&format!("{model}[train]\ntask = 'masked-lm'\nsequence = {sequence}"))
    };
    assert!(roberta(512).is_ok());
    assert!(roberta(513).unwrap_err().contains("the model has 512 positions"));
    assert!(
        read(&format!("{BERT}[train]\nsequence = 513")).unwrap_err().contains("the model has 512 positions")
    );
}

const VIT: &str =
    "[model]\nmodel_type = 'vit'\nimage_size = 96\narchitectures = ['ViTForImageClassification']\n";

#[test]
fn images_have_the_side_that_the_config_says_and_the_answer_lists_it() {
    let loaded = job(&format!("{VIT}[train]\nbatch = 8"));
    let Workload::Train(train) = &loaded.job.workload else { panic!("not a training") };
    assert_eq!((train.task, train.image, train.sequence), (Task::ImageClassification, Some(96), 0));
    let row = loaded.recipe.assumed.iter().find(|row| row.key == "train.image").unwrap();
    assert_eq!((row.value.as_str(), row.why), ("96", "the model's `image_size`"));
    assert!(
        loaded.recipe.assumed.iter().all(|row| !row.key.contains("sequence") && !row.key.contains("mask"))
    );
    let written = job(&format!("{VIT}[infer]\nimage = 96"));
    let Workload::Infer(infer) = &written.job.workload else { panic!("not an inference") };
    assert_eq!((infer.image, infer.sequence, infer.decode_steps), (Some(96), 0, 0));
}

#[test]
fn a_key_of_the_other_kind_of_sample_is_refused() {
    for (text, expected) in [
        (
            format!("{VIT}[train]\nimage = 224"),
            "`train.image` is 224; the model takes images of 96 x 96 pixels (`image_size`) and fails on others; \
             write image = 96",
        ),
        (
            format!("{VIT}[train]\nsequence = 512"),
            "`train.sequence` is 512; the task image-classification reads images, which have no tokens; write image = 224",
        ),
        (
            format!("{VIT}[infer]\nattention_mask = 'padded'"),
            "the task image-classification reads images, which have no tokens and no mask; leave it out",
        ),
        (format!("{VIT}[infer]\ndecode_steps = 3"), "the task image-classification generates no tokens"),
        (
            format!("{BERT}[train]\nimage = 224"),
            "`train.image` is 224; the task masked-lm has no images; leave it out",
        ),
        ("model = 'llama-3-8b'\n[infer]\nimage = 224".to_owned(), "the task causal-lm has no images"),
        (format!("{BERT}[train]\ntask = 'image-classification'"), "bert has no program"),
        (format!("{VIT}[train]\nlora = {{r = 8}}"), "`train.lora`"),
    ] {
        assert_refused(&text, expected);
    }
}

#[test]
fn images_of_a_side_that_no_gpu_holds_are_refused() {
    let huge = "[model]\nmodel_type = 'vit'\nimage_size = 2000000000\npatch_size = 1\n[train]\nbatch = 64";
    let refusal = read(huge).map(|loaded| loaded.job).unwrap_err();
    assert!(refusal.contains("2^62 bytes") || refusal.contains("parameters"), "{refusal}");
}

#[test]
fn a_text_beside_an_image_has_as_many_tokens_as_its_model_has_positions() {
    const CLIP: &str = "[model]\nmodel_type = 'clip'\nvision_config = {image_size = 96, patch_size = 32}\n";
    let loaded = job(&format!("{CLIP}[train]\nbatch = 8"));
    let Workload::Train(train) = &loaded.job.workload else { panic!("not a training") };
    assert_eq!((train.task, train.image, train.sequence), (Task::ImageText, Some(96), 77));
    for (text, expected) in [
        ("[train]\nsequence = 78", "the model has 77 positions"),
        ("[train]\nimage = 224", "write image = 96"),
        ("[infer]\nattention_mask = 'ones'", "the task image-text is simulated without a mask; leave it out"),
    ] {
        assert_refused(&format!("{CLIP}{text}"), expected);
    }
}

const T5: &str = "[model]\nmodel_type = 't5'\ndecoder_start_token_id = 0\n";

fn train(loaded: &LoadedJob) -> &Train {
    match &loaded.job.workload {
        Workload::Train(train) => train,
        Workload::Infer(_) => panic!("not a training"),
    }
}

#[test]
fn a_target_is_as_long_as_a_sample_where_the_job_does_not_say_it() {
    let said = job(&format!("{T5}[train]\ntask = 'seq2seq'\nsequence = 512\ntarget_sequence = 64"));
    assert_eq!(class(&said), "T5ForConditionalGeneration");
    assert_eq!((train(&said).sequence, train(&said).target_sequence), (512, Some(64)));
    let unsaid = job(&format!("{T5}architectures = ['T5ForConditionalGeneration']\n[train]\nsequence = 100"));
    assert_eq!((task(&unsaid), train(&unsaid).target_sequence), (Task::Seq2Seq, Some(100)));
    assert!(unsaid.recipe.assumed.iter().any(|row| row.key == "train.target_sequence" && row.value == "100"));
}

#[test]
fn a_decoder_beside_an_encoder_keeps_its_states_unless_the_job_or_checkpointing_forbids_it() {
    let kept = |rest: &str| train(&job(&format!("{T5}[train]\ntask = 'seq2seq'\n{rest}"))).use_cache;
    assert!(kept(""));
    assert!(!kept("use_cache = false"));
    assert!(!kept("checkpointing = 'non-reentrant'"));
}

#[test]
fn targets_of_their_own_length_and_generation_are_refused_where_they_do_not_belong() {
    for (text, key) in [
        (format!("{BERT}[train]\ntask = 'masked-lm'\ntarget_sequence = 8"), "`train.target_sequence` is 8"),
        (format!("{T5}[infer]\ntask = 'seq2seq'\ndecode_steps = 3"), "`infer.decode_steps` is 3"),
        (format!("{T5}[infer]\ntask = 'seq2seq'\ncache = 'static'"), "`infer.cache`"),
    ] {
        assert_refused(&text, key);
    }
}

#[test]
fn adapters_are_put_on_models_that_write_a_text_and_on_no_others() {
    let adapted = |text: &str| train(&job(text)).lora.clone().map(|lora| lora.r);
    assert_eq!(adapted(&format!("{T5}[train]\ntask = 'seq2seq'\nlora = {{r = 8}}")), Some(8));
    assert_eq!(adapted(&format!("{WHISPER}[train]\nlora = {{r = 4, target_modules = ['q_proj']}}")), Some(4));
    assert_refused(&format!("{BERT}[train]\ntask = 'masked-lm'\nlora = {{r = 8}}"), "`train.lora`");
}

const WHISPER: &str =
    "[model]\nmodel_type = 'whisper'\nmax_source_positions = 300\nmax_target_positions = 64\n";

#[test]
fn speech_is_as_long_as_the_model_says_and_its_texts_as_long_as_the_job_says() {
    let said = job(&format!("{WHISPER}[train]\nbatch = 2\ntarget_sequence = 20"));
    assert_eq!(task(&said), Task::SpeechSeq2Seq);
    assert_eq!((train(&said).sequence, train(&said).target_sequence), (0, Some(20)));
    assert!(train(&said).use_cache);
    let unsaid = job(&format!("{WHISPER}[train]\nbatch = 2"));
    assert_eq!(train(&unsaid).target_sequence, Some(64));
    let row = unsaid.recipe.assumed.iter().find(|row| row.key == "train.target_sequence").unwrap();
    assert_eq!(row.why, "as many as the decoder has positions");
    let called = job(&format!("{WHISPER}[infer]\ntarget_sequence = 1"));
    let Workload::Infer(infer) = &called.job.workload else { panic!("not an inference") };
    assert_eq!((infer.task, infer.target_sequence), (Task::SpeechSeq2Seq, Some(1)));
    for (text, expected) in [
        (
            "[train]\ntarget_sequence = 65",
            "the model has 64 positions (`max_target_positions`), and fails beyond",
        ),
        (
            "[train]\nsequence = 100",
            "speech-seq2seq reads speech, which is as long as the model's `max_source_positions`",
        ),
        ("[train]\nattention_mask = 'padded'", "has no mask; leave it out"),
        ("[infer]\ndecode_steps = 3", "one forward of the task speech-seq2seq is simulated"),
    ] {
        assert_refused(&format!("{WHISPER}{text}"), expected);
    }
}

#[test]
fn a_parameter_that_its_class_freezes_counts_and_is_not_trained() {
    let (all, trained) = job(&format!("{WHISPER}[train]\nbatch = 2")).job.parameter_counts();
    // The table of the encoder's positions.
    assert_eq!(all - trained, 300 * 384);
}

#[test]
fn a_class_for_another_task_is_not_taken_for_the_one_that_is_simulated() {
    for (model, task) in [
        ("model_type = 'ernie'\narchitectures = ['ErnieForMaskedLM']", "masked-lm"),
        (
            "model_type = 'bigbird_pegasus'\narchitectures = ['BigBirdPegasusForConditionalGeneration']",
            "seq2seq",
        ),
        ("model_type = 'bigbird_pegasus'", "seq2seq"),
    ] {
        let refusal =
            read(&format!("[model]\n{model}\n[train]\nbatch = 2")).map(|loaded| loaded.job).unwrap_err();
        let expected = format!("`train.task` = \"{task}\" is not simulated yet");
        assert!(
            refusal.contains(&expected) && refusal.contains("write task = \"causal-lm\""),
            "{model}: {refusal}"
        );
        assert_eq!(task_of(&format!("[model]\n{model}\n[train]\ntask = 'causal-lm'")), Task::CausalLm);
    }
    assert_eq!(
        task_of("[model]\nmodel_type = 'bart'\narchitectures = ['BartForCausalLM']\n[train]\nbatch = 2"),
        Task::CausalLm
    );
}

fn task_of(text: &str) -> Task {
    task(&job(text))
}

fn assert_refused(text: &str, expected: &str) {
    let refusal = read(text).map(|loaded| loaded.job).unwrap_err();
    assert!(refusal.contains(expected), "{text}: {refusal}");
}
