//! `cargo xtask truth`: records runs of real PyTorch, and compares them with what brimful simulates.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use brimful_truth::{
    Case, Figure, Recorded, Recorder, difference, draw, draw_peft, draw_quantized, figures, fixtures,
    record_all, spread,
};

use crate::test::torch_in;

mod models;

const USAGE: &str = "usage: cargo xtask truth list [CASE…] | diff CASE… | record CASE|JOB… | \
                     draw --seed N --count K [--family FAMILY,…] [--task TASK] [--gpu GPU] \
                     [--quantized | --peft] [--shard ddp|fsdp2] [--keep | --print] | \
                     configs --seed N --count K [--keep] | catalogue
A CASE is a part of a name as `list` prints it, FAMILY/CASE; a JOB is a job file in JSON or TOML, which becomes a new case.
Each of several families is drawn K times; all jobs on one GPU are recorded by one process. With --print the jobs are printed
and not run. With --shard only the training runs among them are taken, each on several GPUs.";

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
        Some((command, flags)) if command == "configs" => models::configs(root, &Draw::parse(flags)?),
        Some((command, [])) if command == "catalogue" => models::catalogue(root),
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

/// Compares cases, and prints those that differ and how many of each family are equal.
fn report(cases: &[Case]) -> Result<()> {
    let mut families: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for case in cases {
        let (equal, all) = families.entry(case.family()).or_default();
        *all += 1;
        match compare(case) {
            None => *equal += 1,
            Some(text) => println!("{}/{text}", case.family()),
        }
    }
    if families.len() > 1 {
        families.iter().for_each(|(family, (equal, all))| println!("{family}: {equal} of {all} equal"));
    }
    let equal: usize = families.values().map(|counts| counts.0).sum();
    println!("{equal} of {} equal", cases.len());
    ensure!(equal == cases.len(), "{} of {} differ", cases.len() - equal, cases.len());
    Ok(())
}

/// The first difference between a record and the simulation, in events or else in a figure.
fn compare(case: &Case) -> Option<String> {
    if let Some(error) = &case.error {
        // Both refuse it, or brimful answers for a run that cannot be.
        return refusal(case).is_none().then(|| format!("{}: PyTorch refuses it: {error}", case.id));
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

fn recorder(root: &Path, observe: bool) -> Result<Recorder> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "brimful"]).current_dir(root);
    ensure!(build.status().context("cargo")?.success(), "brimful could not be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let python = torch_in(root).context("no PyTorch can be had here")?;
    Ok(Recorder { brimful: target.join("debug/brimful"), python, observe })
}

/// Records cases again, and job files as new cases, into the fixtures.
fn record(root: &Path, names: &[String]) -> Result<()> {
    let mut cases = Vec::new();
    for name in names {
        if name.ends_with(".json") || name.ends_with(".toml") {
            cases.push(job_file(name)?);
        } else {
            cases.extend(fixtures::select(root, std::slice::from_ref(name))?);
        }
    }
    let recorded = record_all(&recorder(root, true)?, &cases)?;
    print_refusals(&recorded.cases);
    keep(root, &recorded)?;
    report(&recorded.cases)
}

/// A job file as a case that is named after the file.
fn job_file(name: &str) -> Result<Case> {
    let text = fs::read_to_string(name).with_context(|| name.to_owned())?;
    let id = Path::new(name).file_stem().map_or(name.into(), |stem| stem.to_string_lossy());
    let job = if name.ends_with(".toml") {
        toml::from_str(&text).with_context(|| name.to_owned())?
    } else {
        serde_json::from_str(&text).with_context(|| name.to_owned())?
    };
    Ok(Case::unrecorded(id.into_owned(), job))
}

/// What `draw` was called with.
struct Draw {
    seed: u64,
    count: usize,
    families: Vec<String>,
    task: String,
    gpu: Option<String>,
    quantized: bool,
    shard: Option<String>,
    peft: bool,
    keep: bool,
    print: bool,
}

impl Draw {
    fn parse(flags: &[String]) -> Result<Draw> {
        let mut draw = Draw {
            seed: 0,
            count: 20,
            families: Vec::new(),
            task: "causal-lm".to_owned(),
            gpu: None,
            quantized: false,
            shard: None,
            peft: false,
            keep: false,
            print: false,
        };
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            let mut value = || flags.next().with_context(|| format!("{flag} needs a value\n{USAGE}"));
            match flag.as_str() {
                "--seed" => draw.seed = value()?.parse().context("--seed: expected a whole number")?,
                "--count" => draw.count = value()?.parse().context("--count: expected a whole number")?,
                "--family" => draw.families = value()?.split(',').map(str::to_owned).collect(),
                "--task" => draw.task.clone_from(value()?),
                "--gpu" => draw.gpu = Some(value()?.clone()),
                "--quantized" => draw.quantized = true,
                "--shard" => draw.shard = Some(value()?.clone()),
                "--peft" => draw.peft = true,
                "--keep" => draw.keep = true,
                "--print" => draw.print = true,
                _ => bail!("{flag} is not known\n{USAGE}"),
            }
        }
        let known = brimful_truth::drawable();
        let task = draw.task.as_str();
        if let Some(family) = draw.families.iter().find(|family| !known.contains(&(family.as_str(), task))) {
            let known: Vec<String> = known.iter().map(|(family, task)| format!("{family} {task}")).collect();
            bail!("--family {family} --task {task} cannot be drawn; expected one of {}", known.join(", "));
        }
        Ok(draw)
    }
}

fn drawn(root: &Path, asked: &Draw) -> Result<()> {
    let draw = match (asked.quantized, asked.peft) {
        (true, true) => bail!("--quantized and --peft draw different jobs; write one of them\n{USAGE}"),
        (true, false) => draw_quantized,
        (false, true) => draw_peft,
        (false, false) => draw,
    };
    let of = |family: Option<(&str, &str)>| draw(asked.seed, asked.count, family, asked.gpu.as_deref());
    let cases: Vec<Case> = match asked.families.as_slice() {
        [] => of(None),
        families => families.iter().flat_map(|family| of(Some((family, &asked.task)))).collect(),
    };
    let cases = match &asked.shard {
        Some(shard) => spread(asked.seed, cases, shard),
        None => cases,
    };
    if asked.print {
        cases.iter().for_each(|case| println!("{}", case.job));
        return Ok(());
    }
    // Events tell all that the figures of an observed second run do.
    let recorded = record_all(&recorder(root, false)?, &cases)?;
    let (run, not_run): (Vec<Case>, Vec<Case>) =
        recorded.cases.into_iter().partition(|case| case.error.is_none());
    print_refusals(&not_run);
    // A job that brimful refuses has no prediction that could be wrong, but the reader should know how many there are.
    let (refused, answered): (Vec<Case>, Vec<Case>) =
        run.into_iter().partition(|case| refusal(case).is_some());
    for case in &refused {
        let (family, why) = (case.family(), refusal(case).unwrap_or_default());
        println!("{family}/{}: brimful refuses what PyTorch runs: {why}", case.id);
    }
    let (drawn, neither) = (cases.len(), not_run.iter().filter(|case| refusal(case).is_some()).count());
    println!(
        "{drawn} drawn; PyTorch refuses {}, {neither} of them as brimful does; brimful refuses {} more",
        not_run.len(),
        refused.len()
    );
    // What PyTorch refuses and brimful answers is a difference, too.
    let compared: Vec<Case> =
        answered.iter().cloned().chain(not_run.into_iter().filter(|case| refusal(case).is_none())).collect();
    if asked.keep {
        keep(root, &Recorded { cases: answered, ..recorded })?;
    }
    report(&compared)
}

/// Why brimful refuses a job, if it does.
fn refusal(case: &Case) -> Option<String> {
    match case.job().and_then(|job| Ok(brimful_plan::fit(&job)?)) {
        Ok(_) => None,
        Err(error) => Some(format!("{error:#}")),
    }
}

/// Prints the cases that PyTorch or a library refused, which no file keeps.
fn print_refusals(cases: &[Case]) {
    for case in cases {
        if let Some(error) = &case.error {
            println!("{}/{}: PyTorch refuses it: {error}", case.family(), case.id);
        }
    }
}

/// Puts cases into the files of their families; a case of the same name is replaced.
///
/// # Errors
/// Versions that are not those of the file's other cases, or a file that cannot be written.
fn keep(root: &Path, recorded: &Recorded) -> Result<()> {
    let mut by_family: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in recorded.cases.iter().filter(|case| case.error.is_none()) {
        by_family.entry(case.family()).or_default().push(case.clone());
    }
    let today = today()?;
    let known = fixtures::names(root)?;
    for (name, cases) in by_family {
        // A file that is there and cannot be read is an error: a new one would lose its cases.
        let mut family = if known.contains(&name) {
            fixtures::read(root, &name)?
        } else {
            fixtures::Family { header: header(&name, &today, recorded), cases: Vec::new() }
        };
        agree(&family.header, recorded)?;
        for device in &recorded.devices {
            if !family.header.devices.contains(device) {
                family.header.devices.push(device.clone());
            }
        }
        for case in cases {
            let date = (today != family.header.date).then(|| today.clone());
            let case = Case { date, ..case };
            match family.cases.iter_mut().find(|known| known.id == case.id) {
                Some(known) => *known = Case { not_compared: known.not_compared.clone(), ..case },
                None => family.cases.push(case),
            }
        }
        family.header.devices.sort();
        fixtures::write(root, &family)?;
        println!("fixtures/step/{name}.jsonl.gz: {} cases", family.cases.len());
    }
    Ok(())
}

fn header(family: &str, date: &str, recorded: &Recorded) -> fixtures::Header {
    fixtures::Header {
        family: family.to_owned(),
        cases: 0,
        date: date.to_owned(),
        versions: recorded.versions.clone(),
        devices: recorded.devices.clone(),
    }
}

/// One header speaks for all cases of a file, so their versions are the same. Python's version is only noted.
fn agree(header: &fixtures::Header, recorded: &Recorded) -> Result<()> {
    for (library, version) in recorded.versions.iter().filter(|(library, _)| *library != "python") {
        let known = header.versions.get(library);
        ensure!(
            known == Some(version),
            "fixtures/step/{}.jsonl.gz was recorded with {library} {}; this is {version}; record the whole family again",
            header.family,
            known.map_or("of an unknown version", String::as_str)
        );
    }
    Ok(())
}

/// The day in the calendar, as in the headers.
fn today() -> Result<String> {
    let output = Command::new("date").arg("+%F").output().context("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
