//! `brimful ranks`: many snapshots of one job.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use brimful_explain::{Rank, outliers, rank};
use brimful_report::{RankAnswer, ranks_json, ranks_text};
use brimful_trace::Origin;
use rayon::prelude::*;

use crate::args::RanksArguments;
use crate::out::{Outcome, complain, print};
use crate::recordings::{content, open, ranks_of};

/// Endings of the files of a folder that are read.
const ENDINGS: [&str; 4] = ["pickle", "pkl", "json", "gz"];

/// Reads every rank, in parallel; a bad one is reported, and the rest still answered.
///
/// # Errors
/// A folder without snapshots, or a closed stream.
pub fn run(arguments: &RanksArguments) -> Result<Outcome> {
    let mut inputs = Vec::new();
    for input in &arguments.inputs {
        inputs.extend(files(input)?);
    }
    let read: Vec<(String, Result<Rank>)> =
        inputs.into_par_iter().map(|input| (input.clone(), rank_of(&input, arguments.device))).collect();
    let mut wrong = false;
    let mut ranks = Vec::new();
    for (input, rank) in read {
        match rank {
            Ok(rank) => ranks.push((input, rank)),
            Err(error) => {
                complain(&format!("{error:#}"));
                wrong = true;
            }
        }
    }
    ranks.sort_by_key(|(input, rank)| (Reverse(rank.peak.reserved), input.clone()));
    let unlike = outliers(&ranks.iter().map(|(_, rank)| *rank).collect::<Vec<_>>());
    let answers: Vec<RankAnswer<'_>> = ranks
        .iter()
        .zip(unlike)
        .map(|((input, rank), outlier)| RankAnswer { input, rank: *rank, outlier })
        .collect();
    print(&if arguments.json { ranks_json(&answers) + "\n" } else { ranks_text(&answers) })?;
    Ok(match answers.iter().any(|answer| answer.rank.failed || answer.outlier) {
        _ if wrong => Outcome::Wrong,
        true => Outcome::Found,
        false => Outcome::Well,
    })
}

/// The snapshots of a folder, or the file itself.
fn files(input: &str) -> Result<Vec<String>> {
    if !Path::new(input).is_dir() {
        let of_run = if Path::new(input).is_file() { ranks_of(input)? } else { None };
        return Ok(of_run.unwrap_or_else(|| vec![input.to_owned()]));
    }
    let is_read = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending))
    };
    let entries = fs::read_dir(input).with_context(|| input.to_owned())?;
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| is_read(path));
    let mut files: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    files.sort();
    ensure!(!files.is_empty(), "{input}: no snapshots; expected files that end in .{}", ENDINGS.join(", ."));
    Ok(files)
}

fn rank_of(input: &str, device: Option<usize>) -> Result<Rank> {
    let opened = open(input, &content(input)?, device)?;
    ensure!(opened.trace.origin == Origin::Recorded, "{input}: is a prediction, and no rank's snapshot");
    Ok(rank(&opened.trace))
}
