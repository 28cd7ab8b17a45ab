//! What a newcomer types on the first day, in the order of the faults that newcomers have found.

mod seen;

use std::fs;

use seen::{ROOT, brimful, brimful_in, stderr, stdout};
use serde_json::Value;

/// A snapshot of a run that ended out of memory.
const DIED: &str = "fixtures/snapshots/varlen-oom.pickle.gz";

/// The answer without its line breaks, which depend on the terminal's width.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn answer(call: &[&str]) -> Value {
    let output = brimful(call);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{call:?}: {}", stderr(&output)))
}

#[test]
fn each_answer_says_what_the_newcomer_meant() {
    for (call, expected) in [
        (&["fit", "gpt2", "--gpu", "1080 8gb"][..], "on NVIDIA GeForce GTX 1080 needs"),
        (&["fit", "gpt2", "--gpu", "1660 6gb"], "on NVIDIA GeForce GTX 1660 needs"),
        (&["fit", "gpt2", "--gpu", "3060 12gb"], "on NVIDIA GeForce RTX 3060 12 GB needs"),
        (&["fit", "gpt2", "--gpu", "24"], "on a GPU with 24.00 GiB needs"),
        (&["fit", "gpt2", "--gpu", "l4,"], "on NVIDIA L4 needs"),
        (
            &["fit", "gpt2"],
            "assumed: compute capability 8.0 and 108 multiprocessors, as an A100 (no GPU is named), batch=1",
        ),
        (&["fit", "gpt2", "--gpu", "24GB"], "assumed: 24GB is read as 24.00 GiB, all of it usable"),
        (&["fit", "gpt2", "--gpu", "h100"], "cuDNN 9.26.0 (its attention is tried first)"),
        (&["fit", "gpt2", "--set", "infer.batch=1"], "logits_to_keep=1"),
        (&["fit", "gpt2", "--optimizer", "torch.AdamW"], "AdamW (foreach)"),
        (&["fit", "gpt2", "--optimizer", "bitsandbytes.AdamW8bit"], "AdamW8bit of bitsandbytes"),
        (
            &["fit", "llama-3.2-1b", "--set", "model.num_hidden_layers=4"],
            "note: changed from the published config of llama-3.2-1b: num_hidden_layers = 4",
        ),
        (&["ranks", DIED], "1 rank; the fullest is"),
        (&["explain", DIED], "at event 31088, forward, loss_utils.py:42"),
        (&["explain", DIED], "603 blocks"),
    ] {
        let output = brimful(call);
        let text = in_one_line(&stdout(&output));
        assert!(text.contains(expected), "{call:?}: {expected:?} in {text}{}", stderr(&output));
        assert!(!text.contains("brief") && !text.contains(" 1 blocks"), "{call:?}: {text}");
    }
}

/// The command line is named where a flag is wrong, and the key with its value stands there once.
#[test]
fn each_refusal_says_what_is_wrong_and_what_to_type() {
    for (call, expected) in [
        (
            &["fit", "gpt2", "--gpu", "970 4gb"][..],
            "error: the command line: `gpu`: \"970 4gb\" is not a known GPU; write a name such as \"h100-sxm-80gb\" \
             (`brimful gpus` lists them) or a size such as \"24 GiB\"\n",
        ),
        (
            &["fit", "gpt2", "--gpu", "rtxx4090"],
            "error: the command line: `gpu`: \"rtxx4090\" is not a known GPU; did you mean \"rtx-4090\"? `brimful gpus` lists \
             all names\n",
        ),
        (
            &["fit", "gpt2", "--batch", "many"],
            "error: the command line: `train.batch` is \"many\"; expected a whole number\n",
        ),
        (
            &["fit", "gpt2", "--batch", "1.5"],
            "error: the command line: `train.batch` is 1.5; expected a whole number\n",
        ),
        (
            &["fit", "gpt2", "--accumulation", "100000000"],
            "error: the command line: `train.accumulation` is 100000000; steps × accumulation",
        ),
        (
            &["fit", "gpt2", "--sequence", "4096"],
            "error: the command line: `train.sequence` is 4096; the model has 1024 positions",
        ),
        (
            &["fit", "gpt2", "--set", "infer.batch=1", "--set", "infer.sequence=4096"],
            "error: the command line: `infer.sequence` is 4096; the model has 1024 positions",
        ),
        (
            &["fit", "gpt2", "--set", "quantization.load_in_4bit=true"],
            "error: gpt2: `train.quantization` is without train.lora",
        ),
        (&["fit", "google/gemma-3-12b-it"], "brimful rehearse -- python train.py measures your own script"),
        (&["fit", "nemotron-h"], "brimful rehearse -- python train.py measures your own script"),
        (&["fit", "bert-large"], "near it are bert-large-uncased; write one of them"),
        (
            &["fit", "gpt2", "--gpu", "h100,4090", "--techniques"],
            "--techniques asks about one GPU, and several are named",
        ),
        (&["fit", "gpt2", "--gpu", "any", "--why"], "--why asks about one GPU, and several are named"),
        (&["open", "no-such"], "name a file or a folder, or a model that `brimful models` lists\n"),
    ] {
        let output = brimful(call);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{call:?}: {message}");
        assert!(message.contains(expected), "{call:?}: {expected:?} in {message}");
        assert_eq!(stdout(&output), "", "{call:?}");
    }
}

#[test]
fn the_largest_batch_stands_beside_the_verdict() {
    let text = stdout(&brimful(&["fit", "gpt2", "--gpu", "8 GiB", "--max", "batch"]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("✓ fits"), "{text}");
    assert!(lines[2].starts_with("  the largest batch that fits is "), "{text}");
    let none = stdout(&brimful(&["fit", "llama-3-8b", "--gpu", "4090", "--max", "batch"]));
    assert_eq!(none.lines().nth(2), Some("  not even batch = 1 fits"), "{none}");
}

#[test]
fn a_technique_is_listed_once() {
    let text = stdout(&brimful(&["fit", "gpt2", "--gpu", "2 GiB", "--techniques"]));
    assert_eq!(text.matches("\n  gradient checkpointing ").count(), 1, "{text}");
}

/// What the allocator and the context hold is not free: the bar shows it, and is as full as the GPU.
#[test]
fn the_bar_is_as_full_as_the_gpu() {
    let call = ["fit", "gpt2", "--gpu", "1080"];
    let fit = answer(&[&call[..], &["--json"]].concat());
    let figure = |path: &str| fit.pointer(path).and_then(Value::as_f64).unwrap();
    let share = figure("/peak/device") / figure("/device/usable");
    let text = stdout(&brimful(&call));
    let bar = text.lines().find_map(|line| line.strip_prefix("  [")?.strip_suffix(']')).unwrap();
    let full = bar.chars().filter(|sign| *sign != ' ').count();
    assert_eq!(full, (share * bar.chars().count() as f64).round() as usize, "{text}");
}

/// The trace knows the settings of its job: a replay answers what `fit` did, with the same verdict.
#[test]
fn a_prediction_and_the_replay_of_its_trace_agree() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("job.brim");
    let trace = trace.to_str().unwrap();
    for job in [
        &["gpt2", "--gpu", "8 GiB", "--conf", "expandable_segments:True"][..],
        &["llama-3.2-1b", "--set", "infer.batch=1", "--set", "infer.sequence=128", "--gpu", "3.7GiB"],
        &["llama-3.2-1b", "--set", "infer.batch=1", "--set", "infer.sequence=128", "--gpu", "2.5GiB"],
    ] {
        let fit = brimful(&[&["fit"][..], job, &["--trace", trace, "--strict"]].concat());
        let json = answer(&[&["fit"][..], job, &["--json"]].concat());
        let gpu = job[job.iter().position(|word| *word == "--gpu").unwrap() + 1];
        let replay = brimful(&["replay", trace, "--gpu", gpu]);
        let text = stdout(&replay);
        let says = match json["verdict"].as_str().unwrap() {
            "fits" => "it fits:",
            "too-close" => {
                "too close to call: the margin of the GPU's figures decides; with the best figures:"
            }
            _ => "out of memory:",
        };
        assert!(text.contains(says), "{job:?}: {says:?} in {text}{}", stdout(&fit));
        if json["verdict"] == "fits" {
            let replayed = answer(&["replay", trace, "--gpu", gpu, "--json"]);
            assert_eq!(replayed["peak"]["reserved"], json["peak"]["reserved"], "{job:?}");
            assert_eq!(replayed["conf"], "expandable_segments:True");
        }
    }
}

/// A part of a recording is marked wherever it is compared, and a note about it is no error.
#[test]
fn a_snapshot_that_is_cut_off_is_marked_in_every_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = Vec::new();
    let packed = fs::File::open(format!("{ROOT}/{DIED}")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut whole).unwrap();
    fs::write(folder.path().join("cut.pickle"), &whole[..300_000]).unwrap();
    fs::write(folder.path().join("whole.pickle"), &whole).unwrap();
    let at = folder.path().to_str().unwrap();
    for (call, mark) in [
        (&["explain", "cut.pickle"][..], "peak at least"),
        (&["ranks", "cut.pickle", "whole.pickle"], "cut off: at least"),
        (&["diff", "cut.pickle", "whole.pickle"], "a file that is cut off: its peak is at least"),
        (&["replay", "cut.pickle"], "note: the file is cut off"),
    ] {
        let output = brimful_in(at, call, b"");
        assert!(in_one_line(&stdout(&output)).contains(mark), "{call:?}: {}", stdout(&output));
    }
    for call in [["diff", "cut.pickle", "whole.pickle"], ["ranks", "cut.pickle", "whole.pickle"]] {
        let output = brimful_in(at, &[&call[..], &["--json"]].concat(), b"");
        assert!(stdout(&output).contains("\"partial\":"), "{call:?}: {}", stdout(&output));
    }
    let export = brimful_in(at, &["export", "cut.pickle", "--format", "collapsed", "-o", "c.txt"], b"");
    assert_eq!(export.status.code(), Some(0), "{}", stderr(&export));
    assert!(stderr(&export).starts_with("note: cut.pickle: "), "{}", stderr(&export));
}

#[test]
fn a_folder_of_snapshots_is_no_job_and_says_what_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("my runs")).unwrap();
    fs::write(folder.path().join("my runs/rank0.pickle"), b"\x80\x04").unwrap();
    for command in ["fit", "open"] {
        let output = brimful_in(folder.path().to_str().unwrap(), &[command, "my runs"], b"");
        assert_eq!(output.status.code(), Some(2));
        let message = stderr(&output);
        assert!(message.contains("brimful ranks 'my runs' compares them"), "{message}");
        assert!(message.contains("brimful explain 'my runs/rank0.pickle' says"), "{message}");
    }
}

/// An error alone, without a table that has no rows.
#[test]
fn ranks_that_cannot_be_read_are_no_table() {
    let output = brimful(&["ranks", "no-such.pickle"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    let message = stderr(&output);
    assert!(message.starts_with("error: no-such.pickle: there is no such file"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn the_readme_names_every_command_and_what_they_need() {
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let help = stdout(&brimful(&["--help"]));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    // A command begins at the second column; its description is further in.
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 11, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("brimful {name}")), "README.md does not name brimful {name}");
    }
    let manifest = fs::read_to_string(format!("{ROOT}/Cargo.toml")).unwrap();
    let rust =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    for need in [&format!("Rust {rust}"), "a C linker", "Linux only", "--locked"] {
        assert!(in_one_line(&readme).contains(need), "README.md does not name {need}");
    }
}
