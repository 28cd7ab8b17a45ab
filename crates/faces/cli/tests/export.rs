//! `brimful export`: the files of other tools hold what the answers say.

mod seen;

use seen::{brimful, stderr, stdout};
use serde_json::Value;

const SNAPSHOT: &str = "fixtures/snapshots/varlen-ring.pickle.gz";

fn text(arguments: &[&str]) -> String {
    stdout(&brimful(arguments))
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&text(arguments)).unwrap()
}

/// The requested peak that the command for this input answers.
fn peak(input: &str) -> u64 {
    let command = if input == SNAPSHOT { "explain" } else { "fit" };
    json(&[command, input, "--json"])["peak"]["requested"].as_u64().unwrap()
}

#[test]
fn collapsed_stacks_sum_to_the_peak() {
    for input in ["gpt2", SNAPSHOT] {
        let lines = text(&["export", input, "--format", "collapsed"]);
        let bytes = lines.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
        assert_eq!(bytes.sum::<u64>(), peak(input), "{input}");
    }
}

#[test]
fn speedscope_samples_sum_to_the_peak_and_name_frames_that_are_there() {
    for input in ["gpt2", SNAPSHOT] {
        let file = json(&["export", input, "--format", "speedscope"]);
        let profile = &file["profiles"][0];
        let weights = profile["weights"].as_array().unwrap();
        assert_eq!(weights.iter().map(|weight| weight.as_u64().unwrap()).sum::<u64>(), peak(input));
        assert_eq!(profile["endValue"].as_u64(), Some(peak(input)));
        let samples = profile["samples"].as_array().unwrap();
        assert_eq!(samples.len(), weights.len());
        let frames = file["shared"]["frames"].as_array().unwrap().len() as u64;
        let used = samples.iter().flat_map(|sample| sample.as_array().unwrap());
        assert!(used.map(|frame| frame.as_u64().unwrap()).all(|frame| frame < frames));
    }
}

#[test]
fn perfetto_counts_up_to_the_peak() {
    for input in ["gpt2", SNAPSHOT] {
        let file = json(&["export", input, "--format", "perfetto"]);
        let counts = file["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "C");
        let highest = counts.map(|event| event["args"]["requested"].as_u64().unwrap()).max().unwrap();
        assert_eq!(highest, peak(input), "{input}");
    }
}

#[test]
fn dhat_sums_at_its_global_maximum_to_the_peak() {
    for input in ["gpt2", SNAPSHOT] {
        let file = json(&["export", input, "--format", "dhat"]);
        let points = file["pps"].as_array().unwrap();
        assert_eq!(
            points.iter().map(|point| point["gb"].as_u64().unwrap()).sum::<u64>(),
            peak(input),
            "{input}"
        );
        let frames = file["ftbl"].as_array().unwrap().len() as u64;
        let used = points.iter().flat_map(|point| point["fs"].as_array().unwrap());
        assert!(used.map(|frame| frame.as_u64().unwrap()).all(|frame| (1..frames).contains(&frame)));
    }
}

#[test]
fn a_wrong_call_is_named() {
    for (arguments, expected) in [
        (["export", "gpt2", "--format", "svg"].as_slice(), "collapsed, speedscope, perfetto, dhat, parquet"),
        (&["export", "no-such.pickle", "--format", "perfetto"], "no-such.pickle"),
        (&["export", "gpt2", "--format", "perfetto", "--output", "no/such/folder/x.json"], "no/such/folder"),
    ] {
        let output = brimful(arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

/// Parquet is a feature of the build.
#[test]
fn parquet_is_written_or_the_way_to_it_is_named() {
    let output = brimful(&["export", "gpt2", "--format", "parquet"]);
    if cfg!(feature = "parquet") {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(output.stdout.starts_with(b"PAR1") && output.stdout.ends_with(b"PAR1"));
    } else {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains("--features parquet"), "{}", stderr(&output));
    }
}
