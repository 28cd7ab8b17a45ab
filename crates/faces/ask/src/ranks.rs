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

/// The ranks, fullest first.
pub struct RanksReply {
    ranks: Vec<(String, Rank)>,
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
    let read: Vec<(String, Result<Rank>)> =
        files.into_par_iter().map(|input| (input.clone(), rank_of(host, &input, device))).collect();
    let (mut ranks, mut errors) = (Vec::new(), Vec::new());
    for (input, rank) in read {
        match rank {
            Ok(rank) => ranks.push((input, rank)),
            Err(error) => errors.push(error),
        }
    }
    ranks.sort_by_key(|(input, rank)| (Reverse(rank.peak.reserved), input.clone()));
    let outliers = outliers(&ranks.iter().map(|(_, rank)| *rank).collect::<Vec<_>>());
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

fn rank_of(host: Host<'_>, input: &str, device: Option<usize>) -> Result<Rank> {
    let opened = open(host, input, &content(host.files, input)?, device)?;
    ensure!(opened.trace.origin == Origin::Recorded, "{input}: is a prediction, and no rank's snapshot");
    Ok(rank(&opened.trace))
}

impl RanksReply {
    fn view(&self) -> Vec<RankAnswer<'_>> {
        let with_outlier = self.ranks.iter().zip(&self.outliers);
        with_outlier
            .map(|((input, rank), outlier)| RankAnswer { input, rank: *rank, outlier: *outlier })
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
