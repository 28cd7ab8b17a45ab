//! `brimful ranks` as a user meets it: exit code and both streams.

use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// Everything that a call answers, as text.
fn seen(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_brimful")).args(arguments).current_dir(ROOT).output().unwrap();
    let code = output.status.code().map_or("signal".to_owned(), |code| code.to_string());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(output.stdout), text(output.stderr))
}

#[test]
fn a_folder_of_snapshots() {
    insta::assert_snapshot!(seen(&["ranks", "fixtures/snapshots"]));
}

#[test]
fn a_bad_rank_takes_nothing_away() {
    let ranks = ["fixtures/snapshots/mix.pickle.gz", "hostile/snapshots/cyclic.pickle"];
    insta::assert_snapshot!(seen(&["ranks", ranks[0], ranks[1], "--json"]));
}

#[test]
fn a_folder_without_snapshots() {
    insta::assert_snapshot!(seen(&["ranks", "examples"]));
}
