//! What a terminal gets: no character that it obeys, lines as wide as it is, and commands that can be typed.

#![cfg(unix)]

mod rehearsed;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rehearsed::left_out::left_out;
use rehearsed::seen::{ROOT, stderr, stdout};
use rehearsed::{STAND_IN, is_left_out};

fn brimful(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    command
        .args(arguments)
        .current_dir(ROOT)
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .env_remove("COLUMNS");
    command.envs(variables.iter().copied()).output().unwrap()
}

/// Calls whose answers have every form: bars, tables, prose.
const CALLS: [&[&str]; 9] = [
    &["fit", "gpt2", "--gpu", "8 GiB", "--why"],
    &["fit", "examples/gpt2-fp32-8gb.toml", "--techniques", "--max", "batch"],
    &["explain", "fixtures/snapshots/varlen-oom.pickle.gz"],
    &["explain", "fixtures/snapshots/leak.pickle.gz"],
    &["replay", "fixtures/snapshots/varlen-ring.pickle.gz"],
    &["ranks", "fixtures/snapshots/leak.pickle.gz", "fixtures/snapshots/mix.pickle.gz"],
    &["diff", "gpt2", "fixtures/snapshots/gpt2amp.pickle.gz"],
    &["explain", "--cause", "fragmentation"],
    &["explain", "--list"],
];

#[test]
fn a_line_is_as_wide_as_the_terminal_or_is_one_word_or_a_command() {
    for call in CALLS {
        for (columns, given) in [(80, None), (60, Some("60")), (120, Some("120"))] {
            let variables: Vec<(&str, &str)> = given.map(|given| ("COLUMNS", given)).into_iter().collect();
            let shown = stdout(&brimful(call, &variables));
            for line in shown.lines().filter(|line| line.chars().count() > columns) {
                let is_command = line.trim_start().starts_with("next: ");
                assert!(is_command || !line.trim().contains(' '), "{call:?}, {columns} columns: {line}");
            }
        }
    }
}

#[test]
fn no_width_loses_a_word() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let call = ["diff", "gpt2", "fixtures/snapshots/gpt2amp.pickle.gz"];
    let wide = stdout(&brimful(&call, &[("COLUMNS", "500")]));
    for columns in ["20", "40", "80"] {
        assert_eq!(words(&stdout(&brimful(&call, &[("COLUMNS", columns)]))), words(&wide), "{columns}");
    }
}

#[test]
fn a_terminal_that_knows_ascii_alone_gets_ascii() {
    for variables in [[("TERM", "dumb"), ("LC_ALL", "C.UTF-8")], [("TERM", "xterm"), ("LC_ALL", "C")]] {
        for call in CALLS {
            let output = brimful(call, &variables);
            assert!(stdout(&output).is_ascii(), "{call:?}: {}", stdout(&output));
            assert!(!stdout(&output).contains('?') || stdout(&brimful(call, &[])).contains('?'), "{call:?}");
        }
    }
}

#[test]
fn nothing_that_a_file_holds_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "x\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{fdd1}";
    let log = folder.path().join("a.log");
    fs::write(&log, format!("RuntimeError {bad}: CUDA out of memory. Tried to allocate 2.00 GiB. {bad}\n"))
        .unwrap();
    let snapshot = folder.path().join("s.json");
    fs::write(&snapshot, snapshot_with_a_frame(bad)).unwrap();
    let named = folder.path().join("b\u{1b}[31m.log");
    fs::write(&named, "nothing").unwrap();
    let job = folder.path().join("j.toml");
    fs::write(&job, format!("'{bad}' = 1\n").replace('\u{7}', "")).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for call in [
        vec!["explain".to_owned(), text(&log)],
        vec!["explain".to_owned(), text(&log), "--json".to_owned()],
        vec!["explain".to_owned(), text(&log), "--format".to_owned(), "github".to_owned()],
        vec!["explain".to_owned(), text(&log), "--format".to_owned(), "sarif".to_owned()],
        vec!["explain".to_owned(), text(&log), "--format".to_owned(), "junit".to_owned()],
        vec!["explain".to_owned(), text(&snapshot)],
        vec!["explain".to_owned(), text(&snapshot), "--json".to_owned()],
        vec!["explain".to_owned(), text(&named)],
        vec!["replay".to_owned(), text(&snapshot), "--capacity".to_owned(), "1 MiB".to_owned()],
        vec!["diff".to_owned(), text(&snapshot), "gpt2".to_owned()],
        vec!["ranks".to_owned(), text(&snapshot)],
        vec!["fit".to_owned(), text(&job)],
        vec!["fit".to_owned(), format!("no{bad}")],
        vec!["fit".to_owned(), "gpt2".to_owned(), format!("--no{bad}")],
        vec!["replay".to_owned(), text(&snapshot), "--capacity".to_owned(), bad.to_owned()],
    ] {
        let words: Vec<&str> = call.iter().map(String::as_str).collect();
        let output = brimful(&words, &[]);
        for shown in [stdout(&output), stderr(&output)] {
            let obeyed =
                shown.chars().find(|c| *c != '\n' && c.is_control() || ['\u{202e}', '\u{fdd1}'].contains(c));
            assert_eq!(obeyed, None, "{call:?}: {shown:?}");
        }
    }
}

/// One allocation from a frame of this name.
fn snapshot_with_a_frame(name: &str) -> String {
    let frames = serde_json::json!([{"name": name, "filename": format!("{name}.py"), "line": 1}]);
    let event = |action: &str, size: u64| serde_json::json!({"action": action, "addr": 0x7000_0000, "size": size, "stream": 0, "frames": frames});
    let block = serde_json::json!({"address": 0x7000_0000, "size": 2 << 20, "requested_size": 2 << 20,
        "state": "active_allocated", "frames": frames});
    let segment = serde_json::json!({"device": 0, "address": 0x7000_0000, "total_size": 2 << 20,
        "allocated_size": 2 << 20, "active_size": 2 << 20, "requested_size": 2 << 20, "stream": 0,
        "segment_type": "large", "segment_pool_id": [0, 0], "is_expandable": false, "frames": [],
        "blocks": [block]});
    serde_json::json!({"segments": [segment], "device_traces": [[event("segment_alloc", 2 << 20), event("alloc", 2 << 20)]]})
        .to_string()
}

#[test]
fn no_color_is_honoured_and_colours_are_for_terminals() {
    let call = ["fit", "gpt2", "--gpu", "8 GiB"];
    assert!(!stdout(&brimful(&call, &[])).contains('\u{1b}'));
    assert!(stdout(&brimful(&call, &[("CLICOLOR_FORCE", "1")])).contains("\u{1b}[1m\u{1b}[32m"));
    assert!(!stdout(&brimful(&call, &[("NO_COLOR", "1")])).contains('\u{1b}'));
}

#[test]
fn the_next_command_runs_as_it_is_printed_and_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("my snapshot; echo $HOME 'x'.pickle.gz");
    fs::copy(format!("{ROOT}/fixtures/snapshots/leak.pickle.gz"), &odd).unwrap();
    let trace = folder.path().join("t.brim");
    let trace = trace.to_str().unwrap();
    brimful(&["fit", "gpt2", "--trace", trace], &[]);
    let odd = odd.to_str().unwrap();
    let mut calls: Vec<Vec<&str>> = CALLS.iter().map(|call| call.to_vec()).collect();
    calls.extend([
        vec!["fit", "gpt2"],
        vec!["fit", "gpt2", "--gpu", "8 GiB"],
        vec!["fit", "gpt2", "--gpu", "1 GiB"],
        vec!["fit", "gpt2", "--gpu", "8 GiB", "--set", "optimizer.name=SGD"],
        vec!["explain", odd],
        vec!["replay", odd],
        vec!["replay", odd, "--capacity", "100 MiB"],
        vec!["replay", trace],
        vec!["replay", trace, "--capacity", "1 GiB"],
        vec!["explain", "fixtures/snapshots/tiny/segments.pickle"],
        vec!["explain", "fixtures/snapshots/statistics/summary.txt"],
    ]);
    let mut seen = 0;
    for call in calls {
        let shown = stdout(&brimful(&call, &[]));
        for next in shown.lines().filter_map(|line| line.trim_start().strip_prefix("next: ")) {
            seen += 1;
            let arguments = next.strip_prefix("brimful ").unwrap_or_else(|| panic!("{call:?}: {next}"));
            let words =
                Command::new("bash").args(["-c", &format!("printf '%s\\n' {arguments}")]).output().unwrap();
            let words = stdout(&words);
            let words: Vec<&str> = words.lines().collect();
            assert_ne!(words, call, "{next}");
            let output = brimful(&words, &[]);
            assert_ne!(output.status.code(), Some(2), "{next}: {}", stderr(&output));
        }
    }
    assert!(seen > 12, "{seen}");
}

/// `script` of util-linux gives a program a terminal.
#[test]
fn a_rehearsal_shows_where_it_is_on_a_terminal_alone() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let call = format!(
        "{} rehearse --json -- python3 -c 'import torch, time; time.sleep(1.3)'",
        env!("CARGO_BIN_EXE_brimful")
    );
    let run = |line: &str| {
        let mut command = Command::new("bash");
        command
            .args(["-c", line])
            .current_dir(folder.path())
            .env("PYTHONPATH", STAND_IN)
            .env("TERM", "xterm");
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let piped = run(&call);
    assert!(!stderr(&piped).contains("rehearsing:"), "{}", stderr(&piped));
    if Command::new("script").arg("--version").output().is_err() {
        left_out("a_rehearsal_shows_where_it_is_on_a_terminal_alone", "there is no script (util-linux)");
        return;
    }
    std::fs::write(folder.path().join("call.sh"), &call).unwrap();
    let shown = stdout(&run("script -qec 'bash call.sh' /dev/null"));
    assert!(shown.contains("\r\u{1b}[2Krehearsing: "), "{shown}");
}
