//! Records jobs with real PyTorch on the project's own virtual GPU.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::fixtures::Device;
use crate::{Case, root};

/// The script that runs jobs one after the other.
const SCRIPT: &str = "fixtures/rehearsal/record.py";
/// More memory than any job asks for: nothing fails.
const TOTAL: &str = "16384 GiB";

/// The programs that a recording needs.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// `brimful` itself, for its `rehearse`.
    pub brimful: PathBuf,
    /// A Python with the packages of `fixtures/rehearsal/requirements.txt`.
    pub python: PathBuf,
    /// Runs each job a second time under an observer, which sees where the peak is and what is in memory there.
    pub observe: bool,
}

/// What was recorded, and on what.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The cases, each with what PyTorch did or why it refused.
    pub cases: Vec<Case>,
    /// The version of each library, as the library reports it.
    pub versions: BTreeMap<String, String>,
    /// The GPUs.
    pub devices: Vec<Device>,
}

/// The first line that the script writes.
#[derive(Deserialize)]
struct Setup {
    versions: BTreeMap<String, String>,
    device: Device,
}

/// What jobs in one process have in common: the GPU, cuDNN's version, whether masks made on the GPU are padded, and how many
/// ranks the job has where it has several, of which rank 0 runs: no rank holds more. A job of
/// diffusers has a process of its own, by its place: the library imports a class where it is asked for, under the context of
/// the device, and leaves tensors of its modules there. So has a job with adapters under FSDP2, whose hooks and graph can hold
/// each other, which Python's collector does not see.
type Machine = (String, String, bool, Option<u64>, Option<usize>);

/// Records the cases, and returns them in their order.
///
/// # Errors
/// Programs that do not run, or a run that ended before its jobs.
pub fn record_all(recorder: &Recorder, cases: &[Case]) -> Result<Recorded> {
    let mut by_machine: BTreeMap<Machine, Vec<usize>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        by_machine.entry(machine(case, at)).or_default().push(at);
    }
    let mut recorded: Vec<Option<Case>> = vec![None; cases.len()];
    let mut all = Recorded::default();
    for (machine, places) in by_machine {
        let jobs: Vec<&Case> = places.iter().map(|at| &cases[*at]).collect();
        let (setup, rows) = record(recorder, &machine, &jobs)?;
        for (at, case) in places.iter().zip(rows) {
            recorded[*at] = Some(case);
        }
        all.versions = setup.versions;
        if !all.devices.contains(&setup.device) {
            all.devices.push(setup.device);
        }
    }
    all.cases = recorded.into_iter().flatten().collect();
    Ok(all)
}

fn machine(case: &Case, at: usize) -> Machine {
    let text = |value: &serde_json::Value, otherwise: &str| value.as_str().unwrap_or(otherwise).to_owned();
    let gpu = text(&case.job["gpu"], "a100-sxm-80gb");
    let cudnn = text(&case.job["versions"]["cudnn"], "9.26.0");
    let padded = |section: &str| case.job[section]["attention_mask"] == "padded";
    let is_held = case.job["parallel"]["shard"] == "fsdp2" && case.job["train"].get("lora").is_some();
    let alone = (is_held || case.job["model"].get("_class_name").is_some()).then_some(at);
    let ranks = &case.job["parallel"];
    let ranks = ranks["shard"].as_str().is_some_and(|shard| shard != "none").then_some(&ranks["data"]);
    (gpu, cudnn, padded("train") || padded("infer"), ranks.and_then(serde_json::Value::as_u64), alone)
}

fn record(
    recorder: &Recorder,
    (gpu, cudnn, padded, ranks, alone): &Machine,
    cases: &[&Case],
) -> Result<(Setup, Vec<Case>)> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    // A second run of a job of diffusers would find the library's tensors of the first.
    let observe = recorder.observe && alone.is_none();
    let (jobs, rows) = (folder.path().join("jobs.jsonl"), folder.path().join("rows.jsonl"));
    let line = |case: &&Case| json!({"id": case.id, "job": case.job, "observe": observe}).to_string();
    fs::write(&jobs, cases.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    let mut command = Command::new(&recorder.brimful);
    command.args([
        "rehearse",
        "--json",
        "--history",
        "1",
        "--gpu",
        gpu,
        "--gpu-total",
        TOTAL,
        "--cudnn",
        cudnn,
    ]);
    if let Some(ranks) = ranks {
        command.args(["--world-size", &ranks.to_string(), "--ranks", "0"]);
    }
    command.args(padded.then_some("--padded")).arg("--output").arg(folder.path().join("run.zip"));
    command.arg("--").arg(&recorder.python).arg(root().join(SCRIPT)).arg(&jobs).arg(&rows).arg(gpu);
    let output = command.stdout(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let text = fs::read_to_string(&rows).unwrap_or_default();
    let mut lines = text.lines();
    let setup = lines.next().map(serde_json::from_str).transpose().context("what the recorder wrote")?;
    let recorded: Vec<Case> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>().context("what the recorder wrote")?;
    ensure!(
        recorded.len() == cases.len(),
        "{SCRIPT} ended after {} of {} jobs:\n{}",
        recorded.len(),
        cases.len(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((setup.context("the recorder wrote nothing")?, recorded))
}
