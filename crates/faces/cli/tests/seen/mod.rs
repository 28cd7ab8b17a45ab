//! A call of the command as a user sees it. Every answer in JSON is held against its schema in `schemas/`.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// A call in the repository's root.
pub fn brimful(arguments: &[&str]) -> Output {
    brimful_in(ROOT, arguments, b"")
}

/// A call in a folder, with something on the standard input.
pub fn brimful_in(folder: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    // What is compared was written on a terminal of this kind.
    command.env("COLUMNS", "100").env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    command.args(arguments).current_dir(folder);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A call that does not read closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    assert_follows_schema(&output.stdout);
    output
}

/// Everything that a call answers, as text.
pub fn seen(arguments: &[&str]) -> String {
    shown(&brimful(arguments))
}

/// Exit code and both streams, as text.
pub fn shown(output: &Output) -> String {
    let code = output.status.code().map_or("signal".to_owned(), |code| code.to_string());
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", stdout(output), stderr(output))
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Each line that is an object with a schema of brimful's follows that schema.
pub fn assert_follows_schema(stdout: &[u8]) {
    for line in stdout.split(|byte| *byte == b'\n') {
        let Ok(answer) = serde_json::from_slice::<Value>(line) else { continue };
        if answer["schema"].as_str().is_some_and(|schema| schema.starts_with("brimful.")) {
            assert_eq!(breaches(&answer), Vec::<String>::new(), "{answer}");
        }
    }
}

/// How an answer breaks the schema that it names.
pub fn breaches(answer: &Value) -> Vec<String> {
    let name = answer["schema"].as_str().unwrap();
    let command = name.strip_prefix("brimful.").and_then(|name| name.strip_suffix("/1"));
    match command.and_then(|command| validators().get(command)) {
        Some(validator) => validator.iter_errors(answer).map(|error| error.to_string()).collect(),
        None => vec![format!("schemas/ has nothing for {name}")],
    }
}

/// The committed schemas, by command.
fn validators() -> &'static BTreeMap<String, Validator> {
    static VALIDATORS: OnceLock<BTreeMap<String, Validator>> = OnceLock::new();
    VALIDATORS.get_or_init(|| {
        let files = fs::read_dir(format!("{ROOT}/schemas")).unwrap().map(|entry| entry.unwrap().path());
        let answers = files.filter(|path| !path.ends_with("job.schema.json"));
        answers
            .filter_map(|path| {
                let command = path.file_name()?.to_str()?.strip_suffix(".schema.json")?.to_owned();
                let schema: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                Some((command, jsonschema::validator_for(&schema).unwrap()))
            })
            .collect()
    })
}
