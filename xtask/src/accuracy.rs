//! Writes ACCURACY.md: predicted against real over the recorded runs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::truth::{Case, Figure, cases, figures};

/// The sets of recorded runs: file, heading.
const SETS: [(&str, &str); 2] = [
    ("published.jsonl.gz", "Models as they are published, and small ones of the same families"),
    ("made.jsonl.gz", "Random models, sizes and settings of the same families"),
];

/// Compares every recorded run and writes the tables.
pub fn run(root: &Path) -> Result<()> {
    let text = accuracy(root)?;
    let path = root.join("ACCURACY.md");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(())
}

const HEAD: &str = "# Accuracy

Predicted against real: `brimful fit` beside PyTorch's own statistics (torch 2.15.0, transformers 5.23.0,
bitsandbytes 0.50.2) over the runs of `fixtures/step`, whose README says how they were recorded. Llama,
Mistral, Qwen2, Qwen3 and GPT-2; training and generation; fp32, fp16, bf16 and autocast; eager and sdpa
attention; both kinds of checkpointing; every optimizer that `fit` knows. Written by `cargo xtask accuracy`.

*Met* is equality: to the byte, to the name. `cargo test` fails where a figure is no longer met. Beyond these
tables, the complete sequences of allocations and frees of the runs in `events.jsonl.gz` are compared one by one
(`crates/sources/step/tests/events.rs`).
";

/// The text of ACCURACY.md.
pub fn accuracy(root: &Path) -> Result<String> {
    let mut text = HEAD.to_owned();
    for (file, heading) in SETS {
        let cases = cases(root, file)?;
        write!(text, "\n## {heading}\n\n{} runs.\n\n{}", cases.len(), tables(&cases)?)?;
    }
    Ok(text)
}

/// How often a figure was met.
#[derive(Default)]
struct Score {
    met: usize,
    all: usize,
    most_off: f64,
}

fn tables(cases: &[Case]) -> Result<String> {
    let mut scores: Vec<(&'static str, Score)> = Vec::new();
    let mut misses: BTreeMap<&str, String> = BTreeMap::new();
    for case in cases {
        match figures(case) {
            Ok(figures) => {
                for figure in &figures {
                    count(&mut scores, figure);
                    if !figure.met() {
                        misses.entry(&case.id).or_default().push_str(&format!("{}; ", figure.what));
                    }
                }
            }
            Err(error) => {
                misses.insert(&case.id, format!("refused: {error}; "));
            }
        }
    }
    let mut text = "| figure | met | of | most off |\n|---|---|---|---|\n".to_owned();
    for (what, score) in scores {
        writeln!(text, "| {what} | {} | {} | {:.3} % |", score.met, score.all, score.most_off * 100.0)?;
    }
    if !misses.is_empty() {
        text += "\nNot met:\n\n";
    }
    for (id, what) in misses {
        writeln!(text, "- `{id}`: {}", what.trim_end_matches("; "))?;
    }
    Ok(text)
}

fn count(scores: &mut Vec<(&'static str, Score)>, figure: &Figure) {
    let at = scores.iter().position(|row| row.0 == figure.what).unwrap_or_else(|| {
        scores.push((figure.what, Score::default()));
        scores.len() - 1
    });
    let score = &mut scores[at].1;
    score.all += 1;
    score.met += usize::from(figure.met());
    score.most_off = score.most_off.max(figure.off().unwrap_or(0.0));
}
