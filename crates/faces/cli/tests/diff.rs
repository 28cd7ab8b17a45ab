//! `brimful diff` as a user meets it: exit code and both streams.

mod seen;

use seen::seen;

#[test]
fn two_snapshots() {
    let snapshots = ["fixtures/snapshots/gpt2amp.pickle.gz", "fixtures/snapshots/varlen.pickle.gz"];
    insta::assert_snapshot!(seen(&["diff", snapshots[0], snapshots[1]]));
}

#[test]
fn a_snapshot_with_itself_is_the_same() {
    let snapshot = "fixtures/snapshots/gpt2amp.pickle.gz";
    insta::assert_snapshot!(seen(&["diff", snapshot, snapshot]));
}

#[test]
fn two_jobs_under_the_same_flags() {
    let job = "examples/gpt2-fp32-8gb.toml";
    insta::assert_snapshot!(seen(&["diff", job, "gpt2", "--precision", "bf16", "--batch", "2"]));
}

#[test]
fn a_prediction_and_a_snapshot_as_json() {
    insta::assert_snapshot!(seen(&["diff", "gpt2", "fixtures/snapshots/gpt2amp.pickle.gz", "--json"]));
}

#[test]
fn wrong_inputs() {
    let calls: [&[&str]; 4] = [
        &["diff", "gpt2"],
        &["diff", "gpt2", "no-such.pickle"],
        &["diff", "fixtures/snapshots/tiny/segments.pickle", "gpt2"],
        &["diff", "hostile/snapshots/imports-os-2.pickle", "gpt2"],
    ];
    let all: Vec<String> = calls.map(|call| format!("$ brimful {}\n{}", call.join(" "), seen(call))).to_vec();
    insta::assert_snapshot!(all.join("\n"));
}
