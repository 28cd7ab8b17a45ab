//! Many ranks of one job: the fullest, and those that are unlike the others.

use std::cmp::Reverse;

use anyhow::{Error, Result, ensure};
use brimful_explain::{Rank, outliers, rank};
use brimful_models::Kind;
use brimful_report::{RankAnswer, ranks_json, ranks_text};
use brimful_trace::Origin;
use rayon::prelude::*;

use crate::explain::files_of;
use crate::recording::{content, open, ranks_of};
use crate::{Answer, Host, Outcome};

/// Endings of the files of a folder that are read.
const ENDINGS: [&str; 4] = ["pickle", "pkl", "json", "gz"];

/// A rank that was read.
struct RankRead {
    input: String,
    rank: Rank,
    /// Whether the file was cut off.
    partial: bool,
}

/// The ranks, fullest first.
pub struct RanksReply {
    ranks: Vec<RankRead>,
    outliers: Vec<bool>,
    /// Why ranks could not be read, in the order of the call.
    pub errors: Vec<Error>,
}

/// Reads every rank of the inputs (snapshots, folders, run files) in parallel. A rank that cannot be read is an error of
/// the reply, and the others are still compared.
///
/// # Errors
/// A folder without snapshots, or a run file without ranks.
pub fn ranks(host: Host<'_>, inputs: &[String], device: Option<usize>) -> Result<RanksReply> {
    let mut files = Vec::new();
    for input in inputs {
        files.extend(inputs_of(host, input)?);
    }
    let read: Vec<Result<RankRead>> =
        files.into_par_iter().map(|input| rank_of(host, input, device)).collect();
    let (mut ranks, mut errors) = (Vec::new(), Vec::new());
    for rank in read {
        match rank {
            Ok(rank) => ranks.push(rank),
            Err(error) => errors.push(error),
        }
    }
    ranks.sort_by_key(|read| (Reverse(read.rank.peak.reserved), read.input.clone()));
    // A part of a recording is unlike the others because it is a part.
    let whole: Vec<Rank> = ranks.iter().filter(|read| !read.partial).map(|read| read.rank).collect();
    let mut of_whole = outliers(&whole).into_iter();
    let outliers = ranks.iter().map(|read| !read.partial && of_whole.next().unwrap_or_default()).collect();
    Ok(RanksReply { ranks, outliers, errors })
}

/// The snapshots of a folder, the ranks of a run file, or the input itself.
fn inputs_of(host: Host<'_>, input: &str) -> Result<Vec<String>> {
    match host.files.kind(input) {
        Kind::Folder => {
            let found = files_of(host.files, input, &ENDINGS);
            let endings = ENDINGS.join(", .");
            ensure!(!found.is_empty(), "{input}: no snapshots; expected files that end in .{endings}");
            Ok(found)
        }
        Kind::File => Ok(ranks_of(host.files, input)?.unwrap_or_else(|| vec![input.to_owned()])),
        Kind::Missing => Ok(vec![input.to_owned()]),
    }
}

fn rank_of(host: Host<'_>, input: String, device: Option<usize>) -> Result<RankRead> {
    let opened = open(host, &input, &content(host.files, &input)?, device)?;
    ensure!(opened.trace.origin == Origin::Recorded, "{input}: is a prediction, and no rank's snapshot");
    Ok(RankRead { rank: rank(&opened.trace), partial: opened.partial, input })
}

impl RanksReply {
    fn view(&self) -> Vec<RankAnswer<'_>> {
        let with_outlier = self.ranks.iter().zip(&self.outliers);
        with_outlier
            .map(|(RankRead { input, rank, partial }, outlier)| RankAnswer {
                input,
                rank: *rank,
                partial: *partial,
                outlier: *outlier,
            })
            .collect()
    }
}

impl Answer for RanksReply {
    fn text(&self) -> String {
        ranks_text(&self.view())
    }

    fn json(&self) -> String {
        ranks_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        match self.view().iter().any(|answer| answer.rank.failed || answer.outlier) {
            _ if !self.errors.is_empty() => Outcome::Wrong,
            true => Outcome::Found,
            false => Outcome::Well,
        }
    }
}
