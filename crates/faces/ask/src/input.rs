//! What a file is: its first bytes and its name decide. Every command asks here.

use brimful_rehearsal::MAGIC as ZIP;
use brimful_report::file_word;
use brimful_trace::BRIM_MAGIC;

/// Bytes of a file's beginning that are enough to recognise it.
pub(crate) const HEAD: usize = 4096;

/// Endings of the names of snapshots.
const SNAPSHOT_ENDINGS: [&str; 2] = [".pickle", ".pkl"];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A run file of `brimful rehearse`: a zip archive. Any other zip archive looks the same from its beginning.
    RunFile,
    /// A trace of `brimful fit --trace`.
    Trace,
    /// A PyTorch memory snapshot: a pickle, JSON, or either of them gzipped.
    Snapshot,
    /// PyTorch's statistics: `memory_summary()` alone in a file, or `memory_stats()` as JSON.
    Statistics,
    /// Anything else: a log, a job file, a model's config.
    Text,
}

impl Input {
    /// Recognises a file by its first bytes; 4096 are enough.
    ///
    /// ```
    /// use brimful_ask::Input;
    /// assert_eq!(Input::recognise(b"BRIM\x01"), Input::Trace);
    /// assert_eq!(Input::recognise(b"torch.OutOfMemoryError: CUDA out of memory."), Input::Text);
    /// ```
    pub fn recognise(head: &[u8]) -> Input {
        match () {
            () if head.starts_with(ZIP) => Input::RunFile,
            () if head.starts_with(BRIM_MAGIC) => Input::Trace,
            () if brimful_snapshot::looks_like_one(head) => Input::Snapshot,
            () if are_statistics(head) => Input::Statistics,
            () => Input::Text,
        }
    }

    /// Recognises a file by its name first: what is called a snapshot has to say why it is none.
    pub fn recognise_named(name: &str, head: &[u8]) -> Input {
        match Input::recognise(head) {
            Input::Text if is_named_snapshot(name) => Input::Snapshot,
            Input::Text if name.ends_with(".brim") => Input::Trace,
            input => input,
        }
    }

    /// Whether it holds allocations or figures of an allocator, and is no text.
    pub fn is_recording(self) -> bool {
        self != Input::Text
    }
}

/// What a file is that was given in place of a job, and the command that it belongs to; `None` for what may be a job.
pub(crate) fn belongs_elsewhere(name: &str, head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let word = file_word(name);
    let failed = ["OutOfMemoryError", "CUDA out of memory", "HIP out of memory"];
    Some(match Input::recognise_named(name, head) {
        Input::Snapshot => {
            format!(
                "is a PyTorch memory snapshot; expected a job file; brimful explain {word} says what fills it"
            )
        }
        Input::Statistics => {
            format!(
                "is PyTorch's statistics; expected a job file; brimful explain {word} says what they show"
            )
        }
        Input::Trace => {
            format!("is a trace of brimful fit; expected a job file; brimful replay {word} replays it")
        }
        // An archive of another kind looks the same from its beginning; explain says which it is.
        Input::RunFile => {
            format!(
                "is an archive; expected a job file; if it is of brimful rehearse: brimful explain {word}"
            )
        }
        // `brimful fit` reads a GGUF file by its name.
        Input::Text if head.starts_with(b"GGUF") && name.to_ascii_lowercase().ends_with(".gguf") => {
            return None;
        }
        Input::Text if head.starts_with(b"GGUF") => {
            format!("is a GGUF file whose name does not end in .gguf; rename it: mv {word} {word}.gguf")
        }
        Input::Text if name.ends_with(".py") => {
            format!(
                "is a Python script; expected a job file; brimful rehearse -- python {word} measures what it uses"
            )
        }
        Input::Text if name.ends_with(".sh") || head.starts_with(b"#!") => {
            format!(
                "is a script; expected a job file; brimful rehearse -- {} measures what it uses",
                run(name)
            )
        }
        Input::Text if name.ends_with(".ipynb") => format!(
            "is a notebook; expected a job file; save it as a script (jupyter nbconvert --to script {word}), then brimful rehearse -- \
             python SCRIPT"
        ),
        Input::Text if failed.iter().any(|words| text.contains(words)) => {
            format!(
                "is a log of a memory failure; expected a job file; brimful explain {word} says why it failed"
            )
        }
        Input::Text => return None,
    })
}

/// How a shell script is run.
fn run(name: &str) -> String {
    let is_bare = !name.contains('/');
    let word = file_word(name);
    if name.ends_with(".sh") {
        format!("bash {word}")
    } else if is_bare {
        format!("./{word}")
    } else {
        word
    }
}

/// Whether a file's name says that it is a snapshot.
pub(crate) fn is_named_snapshot(name: &str) -> bool {
    SNAPSHOT_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn are_statistics(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    let summary = text.starts_with("|==") && text.contains("PyTorch CUDA memory summary");
    summary || (text.starts_with('{') && text.contains("allocated_bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_by_its_beginning() {
        for (head, expected) in [
            (&b"PK\x03\x04"[..], Input::RunFile),
            (b"BRIM", Input::Trace),
            (b"|======\n| PyTorch CUDA memory summary, device ID 0", Input::Statistics),
            (br#"{"allocated_bytes.all.peak": 12}"#, Input::Statistics),
            (b"model = 'gpt2'", Input::Text),
            (b"", Input::Text),
        ] {
            assert_eq!(Input::recognise(head), expected, "{head:?}");
        }
    }

    #[test]
    fn what_is_no_job_names_the_command_that_it_belongs_to() {
        for (name, head, command) in [
            ("train.py", &b"import torch\n"[..], "brimful rehearse -- python train.py"),
            ("run.sh", b"#!/bin/bash\n", "brimful rehearse -- bash run.sh"),
            ("launch", b"#!/usr/bin/env python\n", "brimful rehearse -- ./launch"),
            ("a.ipynb", b"{\"cells\": []}", "jupyter nbconvert --to script a.ipynb"),
            ("s.pickle", b"\x80\x04", "brimful explain s.pickle"),
            ("a.brim", b"BRIM\x01", "brimful replay a.brim"),
            ("rehearsal.zip", b"PK\x03\x04", "brimful explain rehearsal.zip"),
            ("model", b"GGUF\x03\0\0\0", "mv model model.gguf"),
            ("out.txt", b"torch.OutOfMemoryError: CUDA out of memory.", "brimful explain out.txt"),
        ] {
            let said = belongs_elsewhere(name, head).unwrap_or_default();
            assert!(said.contains(command), "{name}: {said}");
        }
        for (name, head) in [
            ("job.toml", &b"model = 'gpt2'"[..]),
            ("job.yaml", b"model: gpt2"),
            ("job", b""),
            ("m.gguf", b"GGUF\x03\0\0\0"),
        ] {
            assert_eq!(belongs_elsewhere(name, head), None, "{name}");
        }
    }

    #[test]
    fn a_name_decides_only_where_the_bytes_do_not() {
        assert_eq!(Input::recognise_named("a.pickle", b"hello"), Input::Snapshot);
        assert_eq!(Input::recognise_named("a.brim", b"hello"), Input::Trace);
        assert_eq!(Input::recognise_named("a.pickle", b"BRIM"), Input::Trace);
        assert_eq!(Input::recognise_named("train.log", b"hello"), Input::Text);
    }
}
