//! `cargo xtask truth`: records runs of real PyTorch, and compares them with what brimful simulates.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use brimful_truth::{Case, Figure, Recorder, difference, draw, figures, fixtures, record_all};

use crate::test::torch_in;

const USAGE: &str = "usage: cargo xtask truth list [CASE…] | diff CASE… | record CASE|JOB.json… | \
                     draw --seed N --count K [--family FAMILY] [--keep]
A CASE is a part of a name as `list` prints it, FAMILY/CASE; a JOB.json is a job file, which becomes a new case.";

/// Runs one of the commands.
///
/// # Errors
/// A call that is wrong, or cases that differ.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((command, filters)) if command == "list" => list(root, filters),
        Some((command, filters)) if command == "diff" && !filters.is_empty() => diff(root, filters),
        Some((command, names)) if command == "record" && !names.is_empty() => record(root, names),
        Some((command, flags)) if command == "draw" => drawn(root, &Draw::parse(flags)?),
        _ => bail!("{USAGE}"),
    }
}

fn list(root: &Path, filters: &[String]) -> Result<()> {
    for case in fixtures::select(root, filters)? {
        let parts = [("figures", case.expect.is_some()), ("events", case.events.is_some())];
        let parts: Vec<&str> = parts.iter().filter(|part| part.1).map(|part| part.0).collect();
        println!("{}/{}  {}", case.family(), case.id, parts.join(", "));
    }
    Ok(())
}

fn diff(root: &Path, filters: &[String]) -> Result<()> {
    report(&fixtures::select(root, filters)?)
}

/// Compares cases and prints those that differ.
fn report(cases: &[Case]) -> Result<()> {
    let differing: Vec<String> = cases.iter().filter_map(compare).collect();
    differing.iter().for_each(|text| println!("{text}"));
    let (equal, all) = (cases.len() - differing.len(), cases.len());
    println!("{equal} of {all} equal");
    ensure!(differing.is_empty(), "{} of {all} differ", differing.len());
    Ok(())
}

/// The first difference between a record and the simulation, in events or else in a figure.
fn compare(case: &Case) -> Option<String> {
    if let Some(error) = &case.error {
        // Both refuse it, or brimful answers for a run that cannot be.
        let refused = case.job().and_then(|job| Ok(brimful_plan::fit(&job)?));
        return refused.is_ok().then(|| format!("{}: PyTorch refuses it: {error}", case.id));
    }
    if case.events.is_some()
        && let Some(text) = difference(case)
    {
        return Some(text);
    }
    match figures(case) {
        Ok(figures) => figures.into_iter().find(|figure| !figure.is_equal()).map(|figure| {
            let Figure { what, predicted, real } = figure;
            format!("{}: {what}\n  predicted {predicted}\n  real      {real}", case.id)
        }),
        Err(error) => Some(format!("{}: {error:#}", case.id)),
    }
}

fn recorder(root: &Path) -> Result<Recorder> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "brimful"]).current_dir(root);
    ensure!(build.status().context("cargo")?.success(), "brimful could not be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let python = torch_in(root).context("no PyTorch can be had here")?;
    Ok(Recorder { brimful: target.join("debug/brimful"), python })
}

/// Records cases again, and job files as new cases, into the fixtures.
fn record(root: &Path, names: &[String]) -> Result<()> {
    let mut cases = Vec::new();
    for name in names {
        if name.ends_with(".json") {
            let text = fs::read_to_string(name).with_context(|| name.clone())?;
            let id =
                Path::new(name).file_stem().map_or(name.clone(), |stem| stem.to_string_lossy().into_owned());
            cases.push(Case::unrecorded(id, serde_json::from_str(&text).with_context(|| name.clone())?));
        } else {
            cases.extend(fixtures::select(root, std::slice::from_ref(name))?);
        }
    }
    let recorded = record_all(&recorder(root)?, &cases)?;
    print_refusals(&recorded);
    keep(root, &recorded)?;
    report(&recorded)
}

/// What `draw` was called with.
struct Draw {
    seed: u64,
    count: usize,
    family: Option<String>,
    keep: bool,
}

impl Draw {
    fn parse(flags: &[String]) -> Result<Draw> {
        let mut draw = Draw { seed: 0, count: 20, family: None, keep: false };
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            let mut value = || flags.next().with_context(|| format!("{flag} needs a value\n{USAGE}"));
            match flag.as_str() {
                "--seed" => draw.seed = value()?.parse().context("--seed: expected a whole number")?,
                "--count" => draw.count = value()?.parse().context("--count: expected a whole number")?,
                "--family" => draw.family = Some(value()?.clone()),
                "--keep" => draw.keep = true,
                _ => bail!("{flag} is not known\n{USAGE}"),
            }
        }
        let known = brimful_truth::families();
        if let Some(family) = draw.family.as_deref().filter(|family| !known.contains(family)) {
            bail!("--family {family} cannot be drawn; expected one of {}", known.join(", "));
        }
        Ok(draw)
    }
}

fn drawn(root: &Path, asked: &Draw) -> Result<()> {
    let cases = draw(asked.seed, asked.count, asked.family.as_deref());
    // What brimful refuses by name is no prediction that could be wrong.
    let (jobs, refused): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| case.job().and_then(|job| Ok(brimful_plan::fit(&job)?)).is_ok());
    println!("{} drawn; brimful refuses {}", jobs.len() + refused.len(), refused.len());
    let recorded = record_all(&recorder(root)?, &jobs)?;
    let (run, not_run): (Vec<Case>, Vec<Case>) = recorded.into_iter().partition(|case| case.error.is_none());
    print_refusals(&not_run);
    if asked.keep {
        keep(root, &run)?;
    }
    report(&run)
}

/// Prints the cases that PyTorch or a library refused, which no file keeps.
fn print_refusals(cases: &[Case]) {
    for case in cases {
        if let Some(error) = &case.error {
            println!("{}: PyTorch refuses it: {error}", case.id);
        }
    }
}

/// Puts cases into the files of their families; a case of the same name is replaced.
fn keep(root: &Path, recorded: &[Case]) -> Result<()> {
    let mut by_family: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in recorded.iter().filter(|case| case.error.is_none()) {
        by_family.entry(case.family().to_owned()).or_default().push(case.clone());
    }
    let today = today()?;
    for (name, cases) in by_family {
        let mut family = match fixtures::read(root, &name) {
            Ok(family) => family,
            Err(_) => fixtures::Family { header: header(root, &name, &today)?, cases: Vec::new() },
        };
        for case in cases {
            let date = (today != family.header.date).then(|| today.clone());
            let case = Case { date, ..case };
            match family.cases.iter_mut().find(|known| known.id == case.id) {
                // What only the first recorder could see stays.
                Some(known) => *known = merged(known, case),
                None => family.cases.push(case),
            }
        }
        fixtures::write(root, &family)?;
        println!("fixtures/step/{name}.jsonl.gz: {} cases", family.cases.len());
    }
    Ok(())
}

fn merged(known: &Case, new: Case) -> Case {
    let mut merged = new;
    merged.not_compared = known.not_compared.clone();
    if let (Some(expect), Some(before)) = (&mut merged.expect, &known.expect) {
        expect.peak_at = before.peak_at.clone();
        expect.composition = before.composition.clone();
        expect.kept_per_block = before.kept_per_block.clone();
    }
    merged
}

fn header(root: &Path, family: &str, date: &str) -> Result<fixtures::Header> {
    let requirements = fs::read_to_string(root.join("fixtures/rehearsal/requirements.txt"))?;
    let pinned = requirements.lines().filter_map(|line| line.split_once("=="));
    let named = ["torch", "transformers", "peft", "bitsandbytes"];
    let versions =
        pinned.filter(|(name, _)| named.contains(name)).map(|(a, b)| (a.to_owned(), b.trim().to_owned()));
    Ok(fixtures::Header {
        family: family.to_owned(),
        cases: 0,
        date: date.to_owned(),
        versions: versions.collect(),
    })
}

/// The day in the calendar, as in the headers.
fn today() -> Result<String> {
    let output = Command::new("date").arg("+%F").output().context("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
