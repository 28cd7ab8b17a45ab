//! The stories under `stories/`: each command in them gives the answer that stands below it.
//!
//! A story runs where the environment variables that its first line names are set (`stories/README.md` says which there
//! are); without them it is left out, and the test says so. `BRIMFUL_STORY` names one story to run alone; `BRIMFUL_UPDATE`
//! writes what is answered into the story, line by line, for the eye to check.

#![cfg(target_os = "linux")]

mod left_out;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use left_out::left_out;

const STORIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../stories");

/// A story: what it needs, and its commands with their answers.
struct Story {
    name: String,
    needs: Vec<String>,
    told: Vec<(String, String)>,
}

fn stories() -> Vec<Story> {
    let entries = fs::read_dir(STORIES).unwrap().flatten().map(|entry| entry.path());
    let is_story = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "md") && !path.ends_with("README.md")
    };
    let mut found: Vec<Story> = entries.filter(is_story).map(|path| read(&path)).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

fn read(path: &Path) -> Story {
    let text = fs::read_to_string(path).unwrap();
    let first = text.lines().next().unwrap_or_default();
    let needs = first.strip_prefix("<!-- needs: ").and_then(|rest| rest.strip_suffix(" -->"));
    let needs = needs.unwrap_or_else(|| panic!("{}: expected <!-- needs: … -->", path.display()));
    let (commands, answers) = (blocks(&text, "sh"), blocks(&text, "text"));
    assert_eq!(commands.len(), answers.len(), "{}: each command has its answer", path.display());
    let told = commands.into_iter().zip(answers).collect();
    Story {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        needs: needs.split(", ").map(str::to_owned).collect(),
        told,
    }
}

/// The contents of the fenced blocks of a kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let fence = format!("\n```{kind}\n");
    let opened = text.split(&fence).skip(1);
    opened.map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

/// Seconds and processes differ from run to run.
fn steady(line: &str) -> String {
    let words = line.trim().split(' ').filter(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_digit());
        let is_seconds = bare.contains('.') && word.trim_start_matches('(').starts_with(char::is_numeric);
        !(is_seconds && line.contains(" s)"))
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_story_is_whole() {
    let all = stories();
    assert!(all.len() >= 10, "{} stories", all.len());
    for story in all {
        let name = &story.name;
        assert!(!story.told.is_empty(), "{name}: no command with its answer");
        for (command, answer) in &story.told {
            assert!(command.contains("brimful rehearse "), "{name}: {command}");
            assert!(!answer.trim().is_empty(), "{name}: {command}");
            for script in command.split_whitespace().filter(|word| word.starts_with("scripts/")) {
                assert!(Path::new(STORIES).join(script).is_file(), "{name}: {script}");
            }
        }
    }
}

#[test]
fn commands_answer_as_the_stories_tell() {
    let only = std::env::var("BRIMFUL_STORY").ok();
    for story in stories().iter().filter(|story| only.as_ref().is_none_or(|only| *only == story.name)) {
        match story.needs.iter().find(|name| std::env::var_os(name).is_none()) {
            Some(missing) => left_out(&format!("story {}", story.name), &format!("{missing} is not set")),
            None => check(story),
        }
    }
}

fn check(story: &Story) {
    let folder = tempfile::tempdir().unwrap();
    let python = PathBuf::from(std::env::var_os(&story.needs[0]).unwrap());
    let python = std::path::absolute(python).unwrap();
    let inputs =
        Command::new(&python).arg(format!("{STORIES}/scripts/inputs.py")).arg(folder.path()).status();
    assert!(inputs.unwrap().success(), "{}: inputs.py", story.name);
    for (from, name) in [("scripts", "scripts"), ("../fixtures/serving/models", "models")] {
        std::os::unix::fs::symlink(format!("{STORIES}/{from}"), folder.path().join(name)).unwrap();
    }
    let brimful = Path::new(env!("CARGO_BIN_EXE_brimful")).parent().unwrap();
    let mut path = vec![brimful.to_owned(), python.parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    for (command, answer) in &story.told {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(folder.path());
        shell.env("PATH", std::env::join_paths(&path).unwrap());
        // Answers are compared line by line, as a wide terminal shows them.
        shell.env("COLUMNS", "500").env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
        let output = shell.output().unwrap();
        let said =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
        let lines: Vec<String> = said.lines().map(steady).collect();
        let is_said = |line: &&str| lines.iter().any(|said| said.contains(&steady(line)));
        let stale: Vec<&str> = answer.lines().filter(|line| !is_said(line)).collect();
        if std::env::var_os("BRIMFUL_UPDATE").is_some() {
            update(story, &stale, &said);
        } else {
            assert!(stale.is_empty(), "{}: $ {command}\nno lines {stale:#?} in\n{said}", story.name);
        }
    }
}

/// Puts in the place of each stale line of a story the line of the answer that has most of its words.
fn update(story: &Story, stale: &[&str], said: &str) {
    let path = Path::new(STORIES).join(&story.name).with_extension("md");
    let mut text = fs::read_to_string(&path).unwrap();
    for line in stale {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
        let told = words(line);
        let nearest = said.lines().max_by_key(|said| told.intersection(&words(said)).count()).unwrap();
        text = text.replacen(&format!("\n{line}\n"), &format!("\n{nearest}\n"), 1);
    }
    fs::write(path, text).unwrap();
}
