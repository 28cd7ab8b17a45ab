//! Writes ACCURACY.md: predicted against real over the recorded runs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use brimful_truth::{Case, Figure, figures, fixtures};

/// Compares every recorded run and writes the tables.
pub fn run(root: &Path) -> Result<()> {
    let text = accuracy(root)?;
    let path = root.join("ACCURACY.md");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(())
}

const HEAD: &str = "# Accuracy

Predicted against real: `brimful fit` beside PyTorch's own statistics over the runs of `fixtures/step`, whose README says
how they were recorded. Training and generation; fp32, fp16, bf16 and autocast; eager and sdpa attention; both kinds of
checkpointing; every optimizer that `fit` knows; LoRA. Written by `cargo xtask accuracy`.

*Equal* is to the byte, and to the name. `cargo test` fails where a figure differs. Beyond these tables, the complete
sequences of allocations and frees are compared one by one (`crates/sources/step/tests/events.rs`).
";

/// The text of ACCURACY.md.
pub fn accuracy(root: &Path) -> Result<String> {
    let mut text = HEAD.to_owned();
    for name in fixtures::names(root)? {
        let family = fixtures::read(root, &name)?;
        let versions: Vec<String> =
            family.header.versions.iter().map(|(name, v)| format!("{name} {v}")).collect();
        let sequences = family.cases.iter().filter(|case| case.events.is_some()).count();
        let with_figures: Vec<Case> = family.cases.into_iter().filter(|case| case.expect.is_some()).collect();
        write!(
            text,
            "\n## {name}\n\n{} runs with figures, {sequences} sequences of events; {}.\n\n{}",
            with_figures.len(),
            versions.join(", "),
            tables(&with_figures)?
        )?;
    }
    Ok(text)
}

/// How often a figure was equal.
#[derive(Default)]
struct Score {
    equal: usize,
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
                    if !figure.is_equal() {
                        misses.entry(&case.id).or_default().push_str(&format!("{}; ", figure.what));
                    }
                }
            }
            Err(error) => {
                misses.insert(&case.id, format!("refused: {error}; "));
            }
        }
    }
    let mut text = "| figure | equal | of | most off |\n|---|---|---|---|\n".to_owned();
    for (what, score) in scores {
        writeln!(text, "| {what} | {} | {} | {:.3} % |", score.equal, score.all, score.most_off * 100.0)?;
    }
    if !misses.is_empty() {
        text += "\nNot equal:\n\n";
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
    score.equal += usize::from(figure.is_equal());
    score.most_off = score.most_off.max(figure.off().unwrap_or(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_tables_are_current() {
        let committed = fs::read_to_string(crate::root().join("ACCURACY.md")).unwrap();
        assert_eq!(committed, accuracy(&crate::root()).unwrap(), "run `cargo xtask accuracy`");
    }
}
