//! The job file: three formats, one meaning; flags; what is assumed; what is refused, and where.

use brimful_jobs::{
    AttentionKernel, BitsAndBytes, Cache, Checkpointing, Format, Infer, Job, JobFault, Kind, LoadedJob,
    LoraTargets, Optimizer, OptimizerKind, Overrides, PROCESSOR, Precision, QuantizedForm, Simulated, Train,
    Workload, keys, load, open,
};
use brimful_models::{MemoryFiles, NoFiles};
use brimful_units::Dtype;
use serde_json::{Value, json};

fn toml(text: &str) -> LoadedJob {
    load("job.toml", text, Format::Toml, &NoFiles, &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn train(job: &Job) -> &Train {
    match &job.workload {
        Workload::Train(train) => train,
        Workload::Infer(_) => panic!("not a training job"),
    }
}

fn infer(job: &Job) -> &Infer {
    match &job.workload {
        Workload::Infer(infer) => infer,
        Workload::Train(_) => panic!("not an inference job"),
    }
}

fn refusal(text: &str) -> String {
    load("job.toml", text, Format::Toml, &NoFiles, &Overrides::default())
        .map(|l| l.job)
        .unwrap_err()
        .to_string()
}

const TOML: &str = r#"
model = "qwen2.5-0.5b"
gpu = "24 GiB"
[train]
batch = 4
sequence = 1024
precision = "amp-bf16"
checkpointing = "non-reentrant"
optimizer = { name = "AdamW", fused = true, lr = 1e-5 }
lora = { r = 16, lora_alpha = 32, lora_dropout = 0.05, target_modules = ["q_proj", "v_proj"] }
[allocator]
conf = "expandable_segments:True"
"#;

const YAML: &str = "
model: qwen2.5-0.5b
gpu: 24 GiB
train:
  batch: 4
  sequence: 1024
  precision: amp-bf16
  checkpointing: non-reentrant
  optimizer: {name: AdamW, fused: true, lr: 1.0e-5}
  lora:
    r: 16
    lora_alpha: 32
    lora_dropout: 0.05
    target_modules: [q_proj, v_proj]
allocator:
  conf: expandable_segments:True
";

#[test]
fn three_formats_say_the_same() {
    let from_toml = toml(TOML);
    let from_yaml = load("job.yaml", YAML, Format::Yaml, &NoFiles, &Overrides::default()).unwrap();
    assert_eq!(from_toml.job, from_yaml.job);
    let json = r#"{"model": "qwen2.5-0.5b", "gpu": "24 GiB", "train": {"batch": 4, "sequence": 1024, "precision": "amp-bf16",
        "checkpointing": "non-reentrant", "optimizer": {"name": "AdamW", "fused": true}, "lora": {"r": 16, "lora_alpha": 32,
        "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]}}, "allocator": {"conf": "expandable_segments:True"}}"#;
    assert_eq!(
        load("job.json", json, Format::Json, &NoFiles, &Overrides::default()).unwrap().job,
        from_toml.job
    );
    let train = train(&from_toml.job);
    assert_eq!(
        (train.batch, train.precision, train.checkpointing),
        (4, Precision::AmpBf16, Checkpointing::NonReentrant)
    );
    assert_eq!(
        train.optimizer,
        Some(Optimizer { kind: OptimizerKind::AdamW { amsgrad: false }, foreach: None, fused: Some(true) })
    );
    let lora = train.lora.as_ref().unwrap();
    assert_eq!(lora.target_modules, LoraTargets::Named(vec!["q_proj".into(), "v_proj".into()]));
    assert!(lora.autocast_adapter_dtype);
}

#[test]
fn absent_keys_are_assumed_and_listed() {
    let loaded = toml("model = \"llama-2-7b\"");
    let train = train(&loaded.job);
    assert_eq!((train.batch, train.sequence, train.steps, train.accumulation), (1, 2048, 2, 1));
    assert_eq!((train.precision, train.attention), (Precision::Fp16, AttentionKernel::Sdpa));
    let assumed =
        |key: &str| loaded.recipe.assumed.iter().find(|a| a.key == key).map(|a| (a.value.as_str(), a.why));
    assert_eq!(assumed("train.precision"), Some(("fp16", "the dtype of the weights")));
    assert_eq!(assumed("train.optimizer"), Some(("AdamW", "the default (torch.optim.AdamW)")));
    assert_eq!(toml("model = 'gpt2'").job.gpu, None);
    assert_eq!(
        match toml("model = 'gpt2'").job.workload {
            Workload::Train(t) => t.sequence,
            Workload::Infer(_) => 0,
        },
        1024
    );
}

#[test]
fn inference_has_its_own_keys() {
    let loaded =
        toml("model = 'qwen3-8b'\n[infer]\nbatch = 8\nsequence = 1000\ncache = 'static'\nlogits_to_keep = 1");
    let infer = infer(&loaded.job);
    assert_eq!((infer.decode_steps, infer.cache), (4, Cache::Static { max_cache_len: 1004 }));
    assert_eq!(infer.logits_to_keep, Some(1));
    assert!(refusal("model = 'gpt2'\n[infer]\nsequence = 1025").contains("1024 positions"));
    let full = toml("model = 'gpt2'\n[infer]\nsequence = 1024");
    let Workload::Infer(run) = &full.job.workload else { panic!("not a generation") };
    assert_eq!(run.decode_steps, 0);
    let beyond = toml("model = 'gpt2'\n[infer]\nsequence = 1022\ndecode_steps = 4").recipe.fails.unwrap();
    assert!(beyond.contains("`infer.decode_steps` is 4") && beyond.contains("write at most 2"), "{beyond}");
    assert!(
        refusal("model = 'gpt2'\n[infer]\ncache = 'static'\nmax_cache_len = 8\nsequence = 9")
            .contains("max_cache_len")
    );
}

#[test]
fn rotary_positions_go_on_in_training_as_in_generation() {
    for run in ["train", "infer"] {
        let loaded = toml(&format!("model = 'llama-3-8b'\n[{run}]\nsequence = 9000"));
        let note = &loaded.recipe.notes[0];
        assert!(note.contains("are more than the model's max_position_embeddings (8192)"), "{note}");
    }
}

#[test]
fn generation_keeps_the_logits_that_generate_keeps_and_a_named_task_those_of_its_forward() {
    let kept = |keys: &str| {
        let loaded = toml(&format!("model = 'gpt2'\n[infer]\n{keys}"));
        let assumed = loaded.recipe.assumed.iter().any(|row| row.key == "infer.logits_to_keep");
        (infer(&loaded.job).logits_to_keep, assumed)
    };
    assert_eq!(kept(""), (Some(1), true));
    assert_eq!(kept("task = 'causal-lm'"), (None, true));
    assert_eq!(kept("logits_to_keep = 0"), (None, false));
    assert_eq!(kept("task = 'causal-lm'\nlogits_to_keep = 1"), (Some(1), false));
}

#[test]
fn the_optimizers_implementation_is_assumed_where_it_is_not_said() {
    let assumed = |optimizer: &str| {
        let loaded = toml(&format!("model = 'gpt2'\n[train]\noptimizer = {optimizer}"));
        loaded.recipe.assumed.iter().any(|row| row.key == "train.optimizer.foreach" && row.value == "true")
    };
    assert!(assumed("'AdamW'") && assumed("{ name = 'SGD', momentum = 0.9 }"));
    assert!(!assumed("{ name = 'AdamW', fused = true }") && !assumed("{ name = 'AdamW', foreach = true }"));
    assert!(!assumed("'Adafactor'") && !assumed("'none'"));
}

#[test]
fn a_named_model_can_be_asked_about_at_another_size() {
    let flags = Overrides::default().set("model.num_hidden_layers", "4");
    let loaded = open("llama-3-8b", &NoFiles, &flags).unwrap();
    assert_eq!(loaded.model.file.config.layers(), 4);
    assert_eq!(
        loaded.recipe.notes,
        ["changed from the published config of llama-3-8b: num_hidden_layers = 4"]
    );
    let file = load("job.toml", "model = 'llama-3-8b'", Format::Toml, &NoFiles, &flags).unwrap();
    assert_eq!(file.job, loaded.job);
    let config = r#"{"model_type": "gpt2", "n_layer": 3}"#;
    let files = MemoryFiles::default().with("jobs/small/config.json", config);
    let flags = Overrides::default().set("model.n_layer", "2");
    let beside = load("jobs/job.toml", "model = 'small'", Format::Toml, &files, &flags).unwrap();
    assert_eq!(beside.model.file.config.layers(), 2);
    let wrong = Overrides::default().set("model.num_hidden_layers", "many");
    let wrong = open("llama-3-8b", &NoFiles, &wrong).unwrap_err().to_string();
    assert!(wrong.contains("the command line: "), "{wrong}");
}

#[test]
fn flags_win_over_the_file() {
    let flags = Overrides::default()
        .set("batch", "16")
        .set("train.sequence", "512")
        .set("gpu", "h100")
        .set("optimizer", "SGD")
        .set("optimizer.momentum", "0.9")
        .set("clip-grad-norm", "true")
        .set("versions.torch", "2.10");
    let loaded = load("job.toml", TOML, Format::Toml, &NoFiles, &flags).unwrap();
    let train = train(&loaded.job);
    assert_eq!((train.batch, train.sequence, train.clip_grad_norm), (16, 512, true));
    assert_eq!(loaded.job.gpu.as_ref().map(|gpu| gpu.id.as_str()), Some("h100-sxm-80gb"));
    let kind = OptimizerKind::Sgd { momentum: true, nesterov: false, weight_decay: false, dampening: false };
    assert_eq!(train.optimizer, Some(Optimizer { kind, foreach: None, fused: None }));
    assert!(
        loaded.recipe.notes[0].contains("rules of torch 2.14.1") && loaded.recipe.notes[0].contains("2.10")
    );
    let wrong = load("job.toml", TOML, Format::Toml, &NoFiles, &Overrides::default().set("batch", "many"));
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "the command line: `train.batch` is \"many\"; expected a whole number"
    );
}

#[test]
fn flags_alone_make_a_job() {
    let flags = Overrides::default().set("model", "gpt2").set("gpu", "8 GiB").set("infer.batch", "2");
    let loaded = load("flags", "", Format::Toml, &NoFiles, &flags).unwrap();
    assert_eq!(infer(&loaded.job).batch, 2);
}

#[test]
fn changes_make_variations() {
    let loaded = toml(TOML);
    let half = loaded.with_change("train.batch", 2.into()).unwrap();
    assert_eq!((train(&half.job).batch, train(&loaded.job).batch), (2, 4));
    let other = loaded
        .with_changes(&Overrides::default().set("optimizer", "AdamW8bit").set("conf", "backend:native"))
        .unwrap();
    assert_eq!(
        train(&other.job).optimizer.as_ref().map(|o| o.kind),
        Some(OptimizerKind::BitsAndBytes(BitsAndBytes::ADAMW_8BIT))
    );
    assert_eq!(other.job.allocator_conf, "backend:native");
    assert_eq!(loaded.value("train.batch"), Some(&4.into()));
    assert!(loaded.with_change("train.batch", 0.into()).unwrap_err().to_string().contains("from 1 to"));
}

#[test]
fn faults_name_the_line_and_the_key() {
    for (text, expected) in [
        (
            "model = 'gpt2'\n[train]\nbacth = 4",
            "job.toml:3: unknown key `train.bacth`; did you mean `train.batch`?",
        ),
        ("model = 'gpt2'\nbatch = 1", "job.toml:2: unknown key `batch`; did you mean `train.batch`?"),
        ("model = 'gpt2'\n\nzebra = 1", "job.toml:3: unknown key `zebra`; expected one of model, gpu"),
        (
            "model = 'gpt2'\n[train]\nbatch = 'four'",
            "job.toml:3: `train.batch` is \"four\"; expected a whole number",
        ),
        ("model = 'gpt2'\n[train]\nbatch = 4.0", "job.toml:3: `train.batch` is 4.0"),
        (
            "model = 'gpt2'\n[train]\nbatch = -1",
            "job.toml:3: `train.batch` is -1; expected a whole number from 1",
        ),
        ("gpu = 24\nmodel = 'gpt2'", "job.toml:1: `gpu` is 24"),
        ("model = 'gpt2'\ngpu = '2400'", "job.toml:2: `gpu`: \"2400\" is not a known GPU; write a name"),
        ("model = 'gpt2'\ngpu = 'h10'", "job.toml:2: `gpu`: \"h10\" is not a known GPU; did you mean"),
        ("gpu = 'h100'", "job.toml: `model` is missing"),
        ("model = 'nowhere/model'", "job.toml:1: `model`: nowhere/model: there is no such file or folder"),
        ("model = 'gpt2'\n[train]\nprecision = 'bf61'", "did you mean \"bf16\"?"),
        ("model = 'gpt2'\n[train]\noptimizer = 'Adamw'", "did you mean \"AdamW\"?"),
        ("model = 'gpt2'\n[train.optimizer]\nname = 'AdamW'\nbeta = 1", "unknown key `train.optimizer.beta`"),
        ("model = 'gpt2'\n[train]\nquantization = {load_in_4bit = true}", "write lora = {r = 16}"),
        ("model = 'gpt2'\n[infer]\nquantization = {quant_method = 'gptq'}", "not simulated yet"),
        (
            "model = 'gpt2'\n[infer]\nquantization = {load_in_4bit = true, load_in_8bit = true}",
            "write one of them",
        ),
        (
            "model = 'gpt2'\n[infer]\nquantization = {load_in_4bit = true, bnb_4bit_quant_type = 'int4'}",
            "expected one of nf4, fp4",
        ),
        (
            "model = 'gpt2'\n[infer]\nquantization = {load_in_4bit = true, bnb_4bit_compute_dtype = 'int8'}",
            "expected one of f32, f16, bf16",
        ),
        (
            "model = 'gpt2'\n[infer]\nquantization = {load_in_8bit = true, llm_int8_threshold = -1.0}",
            "refuses a negative threshold",
        ),
        (
            "model = 'gpt2'\n[infer]\nquantization = {load_in_8bit = true, llm_int8_skip_modules = []}",
            "name lm_head in the list, too",
        ),
        (
            "model = 'gpt2'\n[train]\nlora = {r = 8}\nprepare_model_for_kbit_training = true",
            "the weights are not quantized",
        ),
        (
            "model = 'gpt2'\n[train]\nprecision = 'amp-fp16'\nlora = {r = 8, autocast_adapter_dtype = false}\n\
             quantization = {load_in_4bit = true, bnb_4bit_compute_dtype = 'bf16'}",
            "GradScaler refuses gradients in fp16 and bf16",
        ),
        ("model = 'gpt2'\n[train]\ntask = 'masked-lm'", "`train.task` = \"masked-lm\" is not simulated yet"),
        ("model = 'gpt2'\n[serve]\nengine = 'vllm'", "`serve` ="),
        ("model = 'gpt2'\n[parallel]\ntensor = 8", "`parallel.tensor` = 8 is not simulated yet"),
        ("model = 'gpt2'\n[versions]\ntorch = 2.15", "`versions.torch` is 2.15; expected a text in quotes"),
        ("model = 'gpt2'\n[train]\n[infer]", "a job has one of the two"),
        ("model = 'gpt2'\n[train]\nsequence = 2048", "the model has 1024 positions"),
        ("model = 'llama-3-8b'\n[train]\nbatch = 2000000000\nsequence = 2000000000", "2^62 bytes"),
        ("model = 'llama-3-8b'\n[train]\nsteps = 1000000000", "at most 500000 blocks"),
        (
            "model = 'gpt2'\n[train]\nsteps = 2\naccumulation = 100000000",
            "job.toml:4: `train.accumulation` is 100000000; steps × accumulation through 12 layers is too much",
        ),
        ("model = 'gpt2'\nmodel = 'gpt2'", "is not valid TOML"),
        ("[model]\nmodel_type = 'llama'\nhidden_size = 0", "job.toml:3: in `model`: `hidden_size` is 0"),
        ("[model]\nlibrary = 'timm'\nname = 'resnet50'", "`library` is \"timm\"; \"torchvision\""),
        ("[model]\nlibrary = 'torchvision'", "`name` is absent; the name of a model, such as \"resnet50\""),
        ("[model]\nlibrary = 'torchvision'\nname = 'resnet51'", "did you mean \"resnet50\"?"),
        (
            "[model]\nlibrary = 'torchvision'\nname = 'resnet50'\n[train]\ncheckpointing = 'reentrant'",
            "no gradient checkpointing",
        ),
        (
            "[model]\nlibrary = 'torchvision'\nname = 'resnet50'\n[train]\nattention = 'eager'",
            "no attn_implementation",
        ),
        ("[model]\n_class_name = 'UNet2DConditionalModel'", "did you mean \"UNet2DConditionModel\"?"),
    ] {
        let found = refusal(text);
        assert!(found.contains(expected), "{text:?}:\n  found    {found}\n  expected {expected}");
    }
}

/// The parsers' own words differ; the place and its form do not.
#[test]
fn a_text_that_is_not_of_its_format_names_the_line_and_the_column_in_one_line() {
    for (name, text, expected) in [
        (
            "j.toml",
            "model = 'gpt2'\n[train]\nbatch = 1\nbatch = 2\n",
            "j.toml:4: is not valid TOML: duplicate key (column 1)",
        ),
        (
            "j.toml",
            "model = 'gpt2'\nbatch = 9999999999999999999999\n",
            "j.toml:2: is not valid TOML: 9999999999999999999999 has more than 64 bits (column 9)",
        ),
        (
            "j.json",
            "{\"model\": \"gpt2\",\n \"train\": {\"batch\": 1,}}",
            "j.json:2: is not valid JSON: trailing comma (column 23)",
        ),
        ("j.json", "", "j.json: `model` is missing; name one"),
        (
            "j.yaml",
            "model: gpt2\ntrain:\n  batch: [1\n",
            "j.yaml:3: is not valid YAML: unclosed bracket '[' (column 10)",
        ),
        ("j.yaml", "a: &x [*x]\n", "j.yaml:1: is not valid YAML: "),
    ] {
        let format = Format::of_path(name).unwrap();
        let error = load(name, text, format, &NoFiles, &Overrides::default()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}:\n  found    {error}\n  expected {expected}");
        assert!(!error.contains('\n') && !error.contains("<input>"), "{error}");
    }
}

#[test]
fn an_error_names_the_line_in_json_and_yaml_too() {
    let json = "{\n \"model\": \"gpt2\",\n \"train\": {\n  \"optimizer\": {\"name\": \"AdamW\"},\n  \"batch\": \"x\"\n }\n}";
    let error = load("j.json", json, Format::Json, &NoFiles, &Overrides::default()).unwrap_err();
    assert_eq!(error.line, Some(5));
    let yaml = "model: gpt2\n# batch\ntrain:\n  sequence: 8\n\n  batch: x\n";
    let error = load("j.yaml", yaml, Format::Yaml, &NoFiles, &Overrides::default()).unwrap_err();
    assert_eq!(error.line, Some(6));
    let twice = r#"{"model": "gpt2", "gpu": "h100", "gpu": "a100-sxm-80gb"}"#;
    let error = load("j.json", twice, Format::Json, &NoFiles, &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("the key `gpu` is there twice"), "{error}");
}

#[test]
fn a_model_is_a_question_too() {
    let config = r#"{"model_type": "gpt2", "n_layer": 2}"#;
    let files = MemoryFiles::default()
        .with("m/config.json", config)
        .with("renamed.json", config)
        .with("job", "model: m\ntrain:\n  batch: 3\n")
        .with("job.json", r#"{"model": "m"}"#);
    let open =
        |argument: &str| brimful_jobs::open(argument, &files, &Overrides::default().set("gpu", "8 GiB"));
    for argument in ["m", "m/", "m/config.json", "renamed.json", "job", "job.json"] {
        let loaded = open(argument).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.job.model.layers(), 2, "{argument}");
        assert_eq!(train(&loaded.job).batch, if argument == "job" { 3 } else { 1 });
    }
    assert_eq!(open("llama-3-8b").unwrap().job.model.layers(), 32);
    let message = |argument: &str| open(argument).unwrap_err().to_string();
    assert_eq!(message("missing.toml"), "missing.toml: there is no such file");
    assert!(
        message("lama-3-8b").starts_with("lama-3-8b: there is no such file or folder, and no such model")
    );
    assert!(message("gemma-3-4b-it").contains("known but not simulated yet"));
}

#[test]
fn adapters_are_put_on_what_the_model_has() {
    let refusal = |lora: &str| refusal(&format!("model = 'gpt2'\n[train]\nlora = {lora}"));
    assert!(refusal("{ target_modules = ['q_proj'] }").contains("its modules are c_attn"));
    // A text is an expression over whole paths, which a last part alone is not.
    assert!(refusal("{ target_modules = 'c_attn' }").contains("its modules are c_attn"));
    assert!(
        refusal("{ target_modules = '(?!x).*' }")
            .contains("it must be a regular expression without a look around")
    );
    assert!(refusal("{ target_modules = '.*wte|.*c_attn' }").contains("is transformer.wte; it is no Linear"));
    assert!(refusal("{ modules_to_save = ['lm_head'] }").contains("not simulated yet"));
    let plain = toml("model = 'gpt2'\n[train]\nlora = {r = 8}").job.parameter_counts();
    let dora = toml("model = 'gpt2'\n[train]\nlora = {r = 8, use_dora = true}").job.parameter_counts();
    // A length for each of 3 × 768, 768, 3072 and 768 outputs, in 12 blocks.
    assert_eq!(dora.1 - plain.1, 12 * (3 * 768 + 768 + 3072 + 768));
    assert!(refusal("{ rank = 8 }").contains("unknown key `train.lora.rank`; did you mean `train.lora.r`?"));
    let loaded = toml("model = 'gpt2'\n[train]\nlora = { target_modules = ['attn.c_attn'], r = 4 }");
    assert_eq!(train(&loaded.job).lora.as_ref().map(|lora| lora.r), Some(4));
}

#[test]
fn the_options_of_peft_say_which_linears_get_adapters_and_of_which_rank() {
    // Each of 12 blocks has c_attn 768 → 2304, c_proj 768 → 768 and 3072 → 768, and c_fc 768 → 3072.
    let (c_attn, c_fc) = (768 + 2304, 768 + 3072);
    let adapters = |lora: &str| {
        let job = format!("model = 'gpt2'\n[train]\nlora = {{ r = 2, {lora} }}");
        toml(&job).job.parameter_counts().1
    };
    let c_attn_of = |more: &str| adapters(&format!("target_modules = ['c_attn'], {more}"));
    assert_eq!(c_attn_of("layers_to_transform = 3"), 2 * c_attn);
    assert_eq!(c_attn_of("layers_to_transform = [3, 11], layers_pattern = 'h'"), 2 * 2 * c_attn);
    assert_eq!(c_attn_of("layers_to_transform = []"), 12 * 2 * c_attn);
    assert_eq!(c_attn_of("rank_pattern = { '0\\..*' = 5 }"), (5 + 11 * 2) * c_attn);
    assert_eq!(c_attn_of("exclude_modules = '.*\\.[1-9]\\..*'"), 3 * 2 * c_attn);
    assert_eq!(adapters("target_modules = '.*\\.(c_attn|c_fc)'"), 12 * 2 * (c_attn + c_fc));
    let lists = "target_modules = ['c_attn', 'c_fc'], exclude_modules = ['c_fc']";
    assert_eq!(adapters(lists), 12 * 2 * c_attn);
}

#[test]
fn an_option_of_peft_that_names_nothing_or_leaves_nothing_is_refused() {
    let refusal = |lora: &str| refusal(&format!("model = 'gpt2'\n[train]\nlora = {{ {lora} }}"));
    let none = "the model has none of them; its modules are c_attn";
    for lora in
        ["exclude_modules = ['q_proj']", "rank_pattern = { q_proj = 4 }", "exclude_modules = 'c_attn'"]
    {
        assert!(refusal(lora).contains(none), "{lora}");
    }
    let leaves = "leave no module to adapt; the modules are c_attn";
    for lora in [
        "layers_to_transform = 12",
        "exclude_modules = ['c_attn']",
        "layers_to_transform = 0, layers_pattern = 'layers'",
    ] {
        assert!(refusal(&format!("target_modules = ['c_attn'], {lora}")).contains(leaves), "{lora}");
    }
    let lacks = "PEFT demands layers_to_transform beside it";
    assert!(refusal("target_modules = ['c_attn'], layers_pattern = 'h'").contains(lacks));
    assert!(
        refusal("layers_to_transform = 1")
            .contains("PEFT demands target_modules as a list of module names beside it")
    );
    assert!(
        refusal("rank_pattern = { c_attn = 4, 'attn.c_.*' = 5 }")
            .contains("gives transformer.h.0.attn.c_attn another rank")
    );
    assert!(refusal("rank_pattern = { c_attn = 0 }").contains("ranks of at least 1"));
}

#[test]
fn a_model_folder_is_found_beside_the_job() {
    let files = MemoryFiles::default()
        .with("jobs/tiny/config.json", r#"{"model_type": "gpt2", "n_layer": 2, "dtype": "float32"}"#);
    let loaded = load("jobs/a.toml", "model = 'tiny'", Format::Toml, &files, &Overrides::default()).unwrap();
    assert_eq!((loaded.job.model.layers(), train(&loaded.job).precision), (2, Precision::Fp32));
}

/// A value of the kind of a key, for a job that has the key.
fn value_of(kind: Kind) -> Value {
    match kind {
        Kind::Count { least, .. } => json!(least.max(7)),
        Kind::Number | Kind::NonNegative => json!(7),
        Kind::Probability => json!(0.5),
        Kind::Flag | Kind::FlagOrNumber => json!(true),
        Kind::Text(_) | Kind::TextOrTable(_) => json!("a text"),
        Kind::Words(words) => json!(words.last()),
        Kind::Table | Kind::OpenTable => json!({"a": 1}),
        Kind::Other { .. } => json!([1, 2]),
    }
}

#[test]
fn what_is_not_simulated_is_refused_by_the_name_of_its_key_or_section_and_says_what_to_do() {
    let mut refused = 0;
    for key in keys() {
        let Simulated::NotYet(instead) = key.simulated else { continue };
        for path in key.paths() {
            let mut changes = Overrides::default();
            if !path.starts_with("model.") {
                changes = changes.set("model", "gpt2");
            }
            let section = path.split('.').next().unwrap_or_default();
            if section == "infer" {
                changes = changes.set_value("infer", json!({}));
            }
            let changes = changes.set_value(&path, value_of(key.kind));
            let error = load("job", "", Format::Toml, &NoFiles, &changes).map(|l| l.job).unwrap_err();
            let JobFault::NotSimulated { key: named, known, .. } = &error.fault else {
                panic!("{path}: {error}")
            };
            assert!(path.starts_with(named.as_str()) && known == instead, "{path}: {error}");
            refused += 1;
        }
    }
    assert_eq!(refused, 3);
}

#[test]
fn an_axis_over_one_gpu_is_the_run_that_is_simulated() {
    let loaded = toml("model = 'gpt2'\n[parallel]\ndata = 1\nshard = 'none'\ncpu_offload = false");
    assert_eq!(train(&loaded.job).batch, 1);
    assert!(refusal("model = 'gpt2'\n[parallel]\ndat = 1").contains("did you mean `parallel.data`"));
    assert!(refusal("model = 'gpt2'\n[parallel]\nshard = 'fsdp3'").contains("one of none, ddp"));
}

#[test]
fn a_value_that_is_assumed_can_be_asked_for() {
    let loaded = toml("model = 'gpt2'\n[train]\nbatch = 3");
    assert_eq!(loaded.effective("train.batch").as_deref(), Some("3"));
    assert_eq!(loaded.effective("train.precision").as_deref(), Some("bf16"));
    assert_eq!(loaded.effective("train.use_cache").as_deref(), Some("false"));
    assert_eq!(loaded.effective("train.lora"), None);
}

#[test]
fn the_processor_that_is_assumed_is_listed_and_is_no_key_of_a_job() {
    let row = |text: &str| {
        let loaded = toml(text);
        assert_eq!(loaded.effective("gpu").is_some(), loaded.job.gpu.is_some());
        loaded.recipe.assumed.into_iter().find(|row| row.key == PROCESSOR)
    };
    let none = row("model = 'gpt2'").unwrap();
    assert_eq!(none.value, "compute capability 8.0 and 108 multiprocessors, as an A100");
    assert_eq!(none.why, "no GPU is named");
    assert_eq!(row("model = 'gpt2'\ngpu = '24 GiB'").unwrap().why, "a size alone says no more");
    assert_eq!(row("model = 'gpt2'\ngpu = 'h100'"), None);
    assert!(refusal(&format!("model = 'gpt2'\n{PROCESSOR} = 'as an A100'")).contains(PROCESSOR));
}

#[test]
fn cudnn_decides_on_hopper_in_half_precision_with_sdpa_only() {
    let first = |gpu: &str, run: &str, cudnn: &str| {
        let text = format!("model = 'gpt2'\ngpu = '{gpu}'\n[train]\n{run}\n[versions]\ncudnn = '{cudnn}'");
        toml(&text).job.prefers_cudnn_attention()
    };
    assert_eq!(first("h100", "precision = 'bf16'", "9.26.0"), Some(true));
    assert_eq!(first("h100", "precision = 'amp-bf16'", "9.15.1"), Some(true));
    assert_eq!(first("h100", "precision = 'bf16'", "9.1.0"), Some(false));
    assert_eq!(first("h100", "precision = 'fp32'", "9.26.0"), None);
    assert_eq!(first("h100", "attention = 'eager'", "9.26.0"), None);
    assert_eq!(first("a100-sxm-80gb", "precision = 'bf16'", "9.26.0"), None);
    assert_eq!(toml("model = 'gpt2'").job.prefers_cudnn_attention(), None);
}

#[test]
fn a_model_that_is_stored_in_bitsandbytes_form_is_quantized_as_its_config_says() {
    let text = r#"{"model": {"model_type": "llama", "num_hidden_layers": 2, "quantization_config": {
        "_load_in_4bit": true, "_load_in_8bit": false, "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_storage": "uint8", "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true,
        "llm_int8_enable_fp32_cpu_offload": false, "llm_int8_has_fp16_weight": false, "llm_int8_skip_modules": null,
        "llm_int8_threshold": 6.0, "load_in_4bit": true, "load_in_8bit": false, "quant_method": "bitsandbytes"}},
        "infer": {"batch": 1, "quantization": {"load_in_8bit": true}}}"#;
    let loaded = load("job", text, Format::Json, &NoFiles, &Overrides::default()).unwrap();
    let quantization = loaded.job.workload.quantization().unwrap();
    let QuantizedForm::FourBit { double_quant, compute_dtype, .. } = quantization.form else {
        panic!("{quantization:?}")
    };
    assert_eq!((double_quant, compute_dtype), (true, Dtype::Bf16));
    assert!(quantization.replaces("model.layers.0.mlp.up_proj") && !quantization.replaces("lm_head"));
    assert!(loaded.recipe.notes.iter().any(|note| note.contains("stored quantized")));
}
