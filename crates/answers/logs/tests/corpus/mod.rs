//! The records of `fixtures/logs/reports.jsonl.gz`, and noise to bury them in.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::Read;

use flate2::read::GzDecoder;

/// A labelled report.
#[derive(serde::Deserialize)]
pub struct Record {
    pub id: String,
    pub framework: String,
    pub format: String,
    pub text: String,
    pub text_fidelity: String,
    pub fields: serde_json::Map<String, serde_json::Value>,
    pub is_gpu_oom: bool,
    pub cause: String,
    pub cause_confidence: String,
    pub fix_that_worked: Option<String>,
}

pub fn records() -> Vec<Record> {
    read("reports.jsonl.gz")
}

/// The lines of a file of `fixtures/logs`.
pub fn read<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let path = format!("{}/../../../fixtures/logs/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub type Noise = fn(&str) -> String;

/// Ways in which real logs differ from a clean message.
pub const NOISES: [(&str, Noise); 7] = [
    ("traceback", traceback),
    ("rank prefixes", rank_prefixes),
    ("interleaved ranks", interleaved),
    ("colours", colours),
    ("progress bars", progress_bars),
    ("logger prefixes and CRLF", logger),
    ("all of a large log", large),
];

fn traceback(text: &str) -> String {
    let frames: String = (0..30)
        .map(|n| format!("  File \"/opt/conda/lib/python3.11/site-packages/pkg/module_{n}.py\", line {}, in call_{n}\n    return self.inner_{n}(*args, **kwargs)\n", 40 + n))
        .collect();
    format!(
        "loading the data\nTraceback (most recent call last):\n{frames}{text}\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n{frames}SystemExit: 1\n"
    )
}

fn rank_prefixes(text: &str) -> String {
    text.lines().map(|line| format!("[rank3]: {line}\n")).collect()
}

fn interleaved(text: &str) -> String {
    let other = |n: usize| {
        format!(
            "[rank{}]: {{'loss': 2.{n}, 'grad_norm': 0.71, 'learning_rate': 2e-05, 'epoch': 0.1}}\n",
            n % 3
        )
    };
    text.lines()
        .enumerate()
        .map(|(n, line)| format!("{}[rank3]: {line}\n{}", other(n), other(n + 1)))
        .collect()
}

fn colours(text: &str) -> String {
    text.lines()
        .map(|line| {
            line.split(' ').map(|word| format!("\x1b[1;31m{word}\x1b[0m")).collect::<Vec<_>>().join(" ")
                + "\n"
        })
        .collect()
}

fn progress_bars(text: &str) -> String {
    let bar = |n: usize| {
        format!(
            "\rTraining:  {n}%|███       | {n}00/10000 [01:{n:02}<04:12, 13.{n}it/s, loss=2.31, mem=71.2GiB]"
        )
    };
    let before: String = (10..60).map(bar).collect();
    format!(
        "{before}{}\n{}",
        text.replace('\n', "\n\r 61%|██████    | 61/100 [00:10<00:06, 5.1it/s]\r"),
        bar(62)
    )
}

fn logger(text: &str) -> String {
    text.lines()
        .map(|line| format!("(Worker pid=4711) 2026-11-24 10:31:07,123 - ERROR - {line}\r\n"))
        .collect()
}

fn large(text: &str) -> String {
    let step = |n: usize| {
        format!(
            "[rank{}]: 2026-11-24 10:00:00 INFO trainer.py:88] step={n} loss=2.31 max_memory_allocated=61.22GiB oom_count=0\n",
            n % 64
        )
    };
    let before: String = (0..1000).map(step).collect();
    let after: String = (1000..1100).map(step).collect();
    format!("{before}{}{after}", traceback(&colours(text)))
}
