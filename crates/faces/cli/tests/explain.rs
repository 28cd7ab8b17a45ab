//! `brimful explain` as a user meets it: exit code and both streams.

mod seen;

use std::fs;

use seen::{brimful_in, shown};

const LOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs");

/// Everything that a call in the folder of logs answers, as text.
fn seen_with(arguments: &[&str], input: &str) -> String {
    shown(&brimful_in(LOGS, arguments, input.as_bytes()))
}

fn seen(arguments: &[&str]) -> String {
    seen_with(arguments, "")
}

#[test]
fn fragmentation_with_a_setting_that_is_on() {
    insta::assert_snapshot!(seen(&["explain", "train.log"]));
}

#[test]
fn somebody_else_holds_the_card() {
    insta::assert_snapshot!(seen(&["explain", "held.log"]));
}

#[test]
fn a_server_that_does_not_start() {
    insta::assert_snapshot!(seen(&["explain", "vllm.log"]));
}

#[test]
fn nothing_failed() {
    insta::assert_snapshot!(seen(&["explain", "healthy.log"]));
}

#[test]
fn a_look_alike() {
    insta::assert_snapshot!(seen(&["explain", "triton.log"]));
}

#[test]
fn json_of_a_pipe_and_of_a_healthy_log() {
    let log = fs::read_to_string(format!("{LOGS}/held.log")).unwrap();
    insta::assert_snapshot!(seen_with(&["explain", "-", "--json"], &log));
    insta::assert_snapshot!(seen(&["explain", "healthy.log", "--json"]));
}

#[test]
fn the_prediction_stands_beside_the_failure() {
    insta::assert_snapshot!(seen(&["explain", "expected.log"]));
    assert!(seen(&["explain", "expected.log", "--json"]).contains("\"verdict\":\"does-not-fit\""));
}

#[test]
fn forms_for_other_programs() {
    insta::assert_snapshot!(seen(&["explain", "train.log", "--format", "github"]));
    insta::assert_snapshot!(seen(&["explain", "held.log", "healthy.log", "--format", "sarif"]));
    insta::assert_snapshot!(seen(&["explain", "held.log", "healthy.log", "--format", "junit"]));
}

#[test]
fn a_bad_file_takes_nothing_away() {
    insta::assert_snapshot!(seen(&["explain", "none.log", "healthy.log", "empty.log", "data.pickle"]));
}

#[test]
fn a_folder_is_its_logs() {
    let output = seen(&["explain", ".", "--json"]);
    assert_eq!(output.matches("\"schema\":\"brimful.explain/1\"").count(), 6, "{output}");
}

#[test]
fn wrong_calls() {
    insta::assert_snapshot!(seen(&["explain"]));
    insta::assert_snapshot!(seen(&["explain", "--cause", "fragmentatoin"]));
}

#[test]
fn a_cause_is_taught_and_formats_are_listed() {
    insta::assert_snapshot!(seen(&["explain", "--cause", "fragmentation"]));
    let list = seen(&["explain", "--list"]);
    assert!(list.starts_with("exit 0") && list.lines().count() > 110, "{list}");
}
