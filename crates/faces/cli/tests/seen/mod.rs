//! A call of the command as a user sees it.

use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// Everything that a call answers, as text.
pub fn seen(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_brimful")).args(arguments).current_dir(ROOT).output().unwrap();
    let code = output.status.code().map_or("signal".to_owned(), |code| code.to_string());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(output.stdout), text(output.stderr))
}
