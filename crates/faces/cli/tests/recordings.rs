//! `brimful replay` and `brimful explain` as a user meets them: exit code and both streams.

mod seen;

use std::fs;

use seen::{ROOT, brimful, brimful_in, seen, stderr, stdout};

const OOM: &str = "fixtures/snapshots/varlen-oom.pickle.gz";
const LEAK: &str = "fixtures/snapshots/leak-live.pickle.gz";
const RING: &str = "fixtures/snapshots/varlen-ring.pickle.gz";
const TINY: &str = "fixtures/snapshots/tiny/torch-2.15.pickle";

#[test]
fn an_oom_is_explained() {
    insta::assert_snapshot!(seen(&["explain", OOM]));
}

#[test]
fn a_leak_is_explained() {
    insta::assert_snapshot!(seen(&["explain", LEAK]));
}

#[test]
fn a_wrapped_ring_is_explained() {
    insta::assert_snapshot!(seen(&["explain", RING]));
}

#[test]
fn a_snapshot_without_history_is_explained_as_far_as_it_goes() {
    insta::assert_snapshot!(seen(&["explain", "fixtures/snapshots/tiny/segments.pickle"]));
}

#[test]
fn the_explanation_as_json() {
    insta::assert_snapshot!(seen(&["explain", TINY, "--json"]));
}

#[test]
fn statistics_are_a_lesser_source() {
    let calls: [&[&str]; 2] = [
        &["explain", "fixtures/snapshots/statistics/memory_summary.txt"],
        &["explain", "fixtures/snapshots/statistics/memory_stats.json", "--json"],
    ];
    insta::assert_snapshot!(calls.map(seen).join("\n"));
}

#[test]
fn other_settings_and_other_gpus() {
    let calls: [&[&str]; 6] = [
        &["replay", OOM],
        &["replay", OOM, "--capacity", "12 GiB"],
        &["replay", OOM, "--capacity", "12 GiB", "--conf", "expandable_segments:True"],
        &["replay", RING, "--gpu", "h100-sxm-80gb"],
        &["replay", OOM, "--capacity", "12 GiB", "--conf", "expandable_segments:True", "--json"],
        &["replay", OOM, "--capacity", "12 GiB", "--json"],
    ];
    let all: Vec<String> = calls.map(|call| format!("$ brimful {}\n{}", call.join(" "), seen(call))).to_vec();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn wrong_calls_and_wrong_files() {
    let calls: [&[&str]; 9] = [
        &["replay"],
        &["replay", TINY, "--conf", "expandable_segment:True"],
        &["replay", TINY, "--capacity", "12"],
        &["replay", TINY, "--capacity", "12 GiB", "--gpu", "h100-sxm-80gb"],
        &["replay", TINY, "--device", "3"],
        &["replay", "fixtures/snapshots/tiny/segments.pickle"],
        &["explain", "examples"],
        &["explain", "no-such-file.pickle"],
        &["explain", "hostile/snapshots/imports-os-4.pickle", TINY, "--json"],
    ];
    let all: Vec<String> = calls.map(|call| format!("$ brimful {}\n{}", call.join(" "), seen(call))).to_vec();
    insta::assert_snapshot!(all.join("\n"));
}

/// Every file in `hostile/snapshots` is refused with its name, without a panic.
#[test]
fn hostile_snapshots_are_refused() {
    let mut refused = 0;
    for entry in fs::read_dir(format!("{ROOT}/hostile/snapshots")).unwrap() {
        let path = format!("hostile/snapshots/{}", entry.unwrap().file_name().into_string().unwrap());
        for command in ["explain", "replay"] {
            if path.ends_with(".md") {
                continue;
            }
            let output = brimful(&[command, &path]);
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{path}: {message}");
            assert!(message.contains(&path) && !message.contains("panicked"), "{path}: {message}");
            refused += 1;
        }
    }
    assert!(refused >= 60, "{refused}");
}

/// A file that is cut off gives the answer of what is there, marked as such; a pipe is read as a file is.
#[test]
fn half_a_file_through_a_pipe() {
    let whole = fs::read(format!("{ROOT}/{TINY}")).unwrap();
    let output = brimful_in(ROOT, &["explain", "-", "--json"], &whole[..whole.len() * 3 / 4]);
    let answer = stdout(&output);
    assert!(answer.contains("\"input\":\"-\"") && answer.contains("\"partial\":true"), "{answer}");
    assert!(answer.contains("the file is cut off at byte"), "{answer}");
}

/// A predicted trace is replayed as a recorded one is.
#[test]
fn a_predicted_trace_is_replayed() {
    let path = std::env::temp_dir().join(format!("brimful-replay-{}.brim", std::process::id()));
    let path = path.to_str().unwrap();
    assert_eq!(brimful(&["fit", "examples/gpt2-fp32-8gb.toml", "--trace", path]).status.code(), Some(1));
    let fits = brimful(&["replay", path, "--json"]);
    let fails = brimful(&["replay", path, "--json", "--capacity", "1 GiB"]);
    fs::remove_file(path).unwrap();
    let answer = stdout(&fits);
    assert!(fits.status.success() && answer.contains("\"oom\":null"), "{answer}");
    assert_eq!(fails.status.code(), Some(1));
    let answer = stdout(&fails);
    assert!(answer.contains("\"tried_bytes\":") && answer.contains("\"stack\":[\""), "{answer}");
}
