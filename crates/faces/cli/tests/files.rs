//! What the command reads and writes: pipes, odd names, and outputs that never cost anybody a file.

#![cfg(unix)]

mod rehearsed;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rehearsed::seen::{ROOT, stderr, stdout};
use rehearsed::{STAND_IN, is_left_out};

const JOB: &str = "model = 'gpt2'\n[train]\nbatch = 1\nsequence = 64\n";

/// A folder with a job and a snapshot.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("job.toml"), JOB).unwrap();
    let packed = fs::read(format!("{ROOT}/fixtures/snapshots/leak.pickle.gz")).unwrap();
    let mut snapshot = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut snapshot).unwrap();
    fs::write(folder.path().join("s.pickle"), snapshot).unwrap();
    folder
}

/// A line for bash in a folder; `brimful` is the command under test.
fn bash(folder: &Path, line: &str) -> Output {
    let path = Path::new(env!("CARGO_BIN_EXE_brimful")).parent().unwrap().to_owned();
    let mut paths = vec![path];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(folder).env("PATH", std::env::join_paths(paths).unwrap());
    command.env("COLUMNS", "100").env("LC_ALL", "C.UTF-8").env("TERM", "xterm").env("TMPDIR", folder);
    command.stdin(Stdio::null()).output().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn no_output_is_written_over_what_is_read() {
    let folder = folder();
    let at = folder.path();
    symlink("s.pickle", at.join("link.html")).unwrap();
    fs::hard_link(at.join("s.pickle"), at.join("hard.html")).unwrap();
    let before = (fs::read(at.join("s.pickle")).unwrap(), fs::read(at.join("job.toml")).unwrap());
    for line in [
        "brimful open s.pickle -o s.pickle",
        "brimful open s.pickle -o ./link.html",
        "brimful open s.pickle -o hard.html",
        "brimful export s.pickle --format collapsed -o s.pickle",
        "brimful fit job.toml --trace job.toml",
        "brimful rehearse -o job.toml -- cat job.toml",
    ] {
        let output = bash(at, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains("would be written over"), "{line}: {}", stderr(&output));
    }
    assert_eq!((fs::read(at.join("s.pickle")).unwrap(), fs::read(at.join("job.toml")).unwrap()), before);
    assert_eq!(names(at), ["hard.html", "job.toml", "link.html", "s.pickle"], "no piece is left behind");
}

#[test]
fn a_file_that_cannot_be_finished_leaves_the_old_one() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("page.html"), "old").unwrap();
    // A limit of one kilobyte on the size of files is a full disk to the program.
    let output = bash(at, "trap '' XFSZ; ulimit -f 1; brimful open s.pickle -o page.html");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--output page.html: "), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(at.join("page.html")).unwrap(), "old");
    assert_eq!(names(at), ["job.toml", "page.html", "s.pickle"]);
}

#[test]
fn a_link_in_a_folder_of_everybody_is_replaced_and_a_link_of_ones_own_is_followed() {
    let folder = folder();
    let at = folder.path();
    for (place, mode) in [("shared", 0o1777), ("own", 0o755)] {
        let inside = at.join(place);
        fs::create_dir(&inside).unwrap();
        fs::set_permissions(&inside, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(at.join(format!("{place}.txt")), "precious").unwrap();
        symlink(at.join(format!("{place}.txt")), inside.join("page.html")).unwrap();
        let output = bash(at, &format!("brimful open s.pickle -o {place}/page.html"));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_eq!(fs::read_to_string(at.join("shared.txt")).unwrap(), "precious");
    assert!(at.join("shared/page.html").symlink_metadata().unwrap().is_file());
    assert!(fs::read_to_string(at.join("own.txt")).unwrap().starts_with("<!doctype html>"));
}

#[test]
fn a_page_without_a_name_is_in_a_new_private_folder() {
    let folder = folder();
    let at = folder.path();
    // Without a program that opens pages: the status is 0, so nothing is called an error.
    let line = "P=$(command -v brimful); export PATH=/nowhere; $P open s.pickle; $P open s.pickle";
    let output = bash(at, line);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("note: there is no xdg-open") || cfg!(target_os = "macos"));
    assert!(!stderr(&output).contains("error:"), "{}", stderr(&output));
    let told = stdout(&output);
    let pages: Vec<&Path> = told.lines().map(Path::new).collect();
    assert_eq!(pages.len(), 2);
    assert_ne!(pages[0], pages[1]);
    for page in pages {
        assert_eq!(page.file_name().unwrap(), "s.pickle.html");
        assert_eq!(page.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn an_earlier_run_file_is_kept() {
    if is_left_out() {
        return;
    }
    let folder = folder();
    fs::write(folder.path().join("rehearsal.zip"), "an hour of work").unwrap();
    let output = bash(
        folder.path(),
        &format!(
            "PYTHONPATH={STAND_IN} brimful rehearse --json -- python3 -c 'import torch; torch.allocate(1 << 30)'"
        ),
    );
    assert_eq!(fs::read_to_string(folder.path().join("rehearsal.zip")).unwrap(), "an hour of work");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("rehearsal-2.zip"), "{}", stdout(&output));
    assert!(fs::read(folder.path().join("rehearsal-2.zip")).unwrap().starts_with(b"PK"));
}

#[test]
fn a_device_is_written_to_and_named_where_it_is_full() {
    let folder = folder();
    for line in [
        "brimful open s.pickle -o /dev/full",
        "brimful export s.pickle --format perfetto -o /dev/full",
        "brimful fit job.toml --trace /dev/full",
    ] {
        let output = bash(folder.path(), line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(" /dev/full: "), "{line}: {}", stderr(&output));
    }
    let output = bash(folder.path(), "brimful fit job.toml > /dev/full");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the standard output: "), "{}", stderr(&output));
}

#[test]
fn every_command_that_writes_can_write_to_the_standard_output() {
    let folder = folder();
    for name in ["-", "/dev/stdout"] {
        let page = bash(folder.path(), &format!("brimful open s.pickle -o {name}"));
        assert!(page.stdout.starts_with(b"<!doctype html>") && page.stdout.ends_with(b"</html>\n"));
        let stacks = bash(folder.path(), &format!("brimful export s.pickle --format collapsed -o {name}"));
        assert_eq!(stacks.stdout, bash(folder.path(), "brimful export s.pickle --format collapsed").stdout);
        let trace = bash(folder.path(), &format!("brimful fit job.toml --trace {name}"));
        assert!(trace.stdout.starts_with(b"BRIM"));
        assert!(stderr(&trace).contains("full training of gpt2"), "{}", stderr(&trace));
    }
    assert_eq!(names(folder.path()), ["job.toml", "s.pickle"]);
}

#[test]
fn every_command_that_reads_can_read_a_pipe() {
    let folder = folder();
    let at = folder.path();
    for (command, file) in [
        ("explain --json", "s.pickle"),
        ("replay --json", "s.pickle"),
        ("ranks --json", "s.pickle"),
        ("diff --json job.toml", "s.pickle"),
        ("export --format collapsed", "s.pickle"),
        ("open -o -", "s.pickle"),
        ("fit --json", "job.toml"),
        ("diff --json s.pickle", "job.toml"),
        ("open -o -", "job.toml"),
    ] {
        let named = bash(at, &format!("brimful {command} {file}"));
        for (line, name) in [
            (format!("cat {file} | brimful {command} -"), "-"),
            (format!("cat {file} | brimful {command} /dev/stdin"), "/dev/stdin"),
            (format!("mkfifo p && (cat {file} > p &) && brimful {command} p; s=$?; rm -f p; exit $s"), "p"),
            (format!("brimful {command} <(cat {file})"), "/dev/fd/63"),
        ] {
            let piped = bash(at, &line);
            assert_eq!(piped.status, named.status, "{line}: {}", stderr(&piped));
            let (piped, named) = (stdout(&piped), stdout(&named));
            // Answers differ in the name alone, and a page in what is written of it.
            let same = |text: &str, name: &str| text.replace(&format!("\"{name}\""), "\"s\"");
            assert!(
                command.starts_with("open") && piped.ends_with("</html>\n")
                    || same(&piped, name) == same(&named, file),
                "{line}\n{piped}\n{named}"
            );
        }
    }
}

#[test]
fn an_input_without_an_end_is_refused_early() {
    let folder = folder();
    for line in [
        "brimful replay /dev/zero",
        "brimful ranks /dev/zero",
        "brimful export --format collapsed /dev/zero",
        "brimful open -o - /dev/zero",
        "yes | brimful fit -",
        "yes | brimful replay -",
        "yes | brimful diff job.toml -",
    ] {
        // With a gigabyte of address space, a reader that goes on fails with another status.
        let output = bash(folder.path(), &format!("ulimit -v 2000000; ulimit -t 20; {line}"));
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(stderr(&output).len() < 1000, "{line}: {}", stderr(&output));
    }
}

#[test]
fn the_exit_status_outlives_a_reader_that_has_seen_enough() {
    let folder = folder();
    for (line, status) in [
        ("brimful explain s.pickle | head -1", 1),
        ("brimful explain s.pickle --json | head -c 1", 1),
        ("brimful fit job.toml no-such.toml | true", 2),
        ("brimful export s.pickle --format perfetto | head -c 1", 0),
        ("brimful open s.pickle -o - | head -c 1", 0),
    ] {
        let output = bash(folder.path(), &format!("{line}; exit ${{PIPESTATUS[0]}}"));
        assert_eq!(output.status.code(), Some(status), "{line}: {}", stderr(&output));
    }
}

#[test]
fn a_name_that_is_not_utf_8_can_be_given_and_is_shown() {
    let folder = folder();
    let at = folder.path();
    fs::rename(at.join("s.pickle"), at.join(OsStr::from_bytes(b"a\xff\n.pickle"))).unwrap();
    let odd = r"$'a\xff\n.pickle'";
    let output = bash(at, &format!("brimful explain {odd}"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).starts_with(r"a\xff\x0a.pickle (GPU 0"), "{}", stdout(&output));
    let json = bash(at, &format!("brimful explain --json {odd}"));
    assert!(stdout(&json).contains("\"input\":\"a\u{fffd}\\u000a.pickle\""));
    // Of a folder, too; and the next command is one that can be typed.
    let output = bash(at, "mkdir d && mv a* d && brimful ranks d");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let missing = bash(at, r"brimful replay $'no\xff'");
    assert!(stderr(&missing).starts_with(r"error: no\xff: there is no such file"), "{}", stderr(&missing));
}

#[test]
fn a_message_names_the_file_what_was_expected_and_the_cure() {
    let folder = folder();
    let at = folder.path();
    for (name, head) in [
        ("s.zst", &b"\x28\xb5\x2f\xfd"[..]),
        ("s.xz", b"\xfd7zXZ\x00"),
        ("s.zip", b"PK\x03\x04"),
        ("s.bz2", b"BZh9"),
    ] {
        fs::write(at.join(name), [head, &[0; 64]].concat()).unwrap();
    }
    fs::create_dir(at.join("empty")).unwrap();
    for (line, parts) in [
        ("brimful fit s.pickle", &["s.pickle: ", "expected a job file", "brimful explain s.pickle"][..]),
        (
            "brimful replay no.pickle",
            &["no.pickle: there is no such file", "expected a PyTorch memory snapshot"],
        ),
        ("brimful open no.pickle", &["no.pickle: there is no such file", "expected"]),
        ("brimful export no.brim --format dhat", &["no.brim: there is no such file", "expected"]),
        ("brimful diff job.toml no.pickle", &["no.pickle: there is no such file", "expected"]),
        ("brimful ranks no.pickle", &["no.pickle: there is no such file", "expected"]),
        ("brimful explain s.zst", &["s.zst: is packed with zstd", "zstd -d s.zst"]),
        ("brimful replay s.xz", &["s.xz: is packed with xz", "xz -dk s.xz"]),
        ("brimful open s.bz2", &["s.bz2: is packed with bzip2", "bzip2 -dk s.bz2"]),
        ("brimful fit s.zst", &["s.zst: is packed with zstd", "zstd -d s.zst"]),
        ("brimful replay s.zip", &["s.zip: is no zip archive", "expected a run file", "unzip"]),
        ("brimful explain ''", &["the name is empty"]),
        ("brimful open job.toml -o ''", &["--output", "a value is required"]),
        ("brimful open job.toml -o empty", &["--output empty: is a folder"]),
        ("brimful open job.toml -o no/page.html", &["--output no/page.html: there is no such folder"]),
    ] {
        let output = bash(at, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        for part in parts {
            assert!(stderr(&output).contains(part), "{line}: {part:?} in {}", stderr(&output));
        }
        assert!(!stderr(&output).contains("os error"), "{line}: {}", stderr(&output));
    }
}
