//! `brimful explain` as a user meets it: exit code and both streams.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const LOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs");

fn brimful(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    command.args(arguments).current_dir(LOGS);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A call that does not read closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Everything that a call answers, as text.
fn seen_with(arguments: &[&str], input: &str) -> String {
    let output = brimful(arguments, input);
    let code = output.status.code().map_or("signal".to_owned(), |code| code.to_string());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
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
