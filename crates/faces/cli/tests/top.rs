//! `brimful top` on the virtual GPU, whose own counters are the truth.

#![cfg(target_os = "linux")]

mod seen;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use brimful_virtual_gpu::{LIBRARY, SETTINGS_VARIABLE, STATE_VARIABLE, Settings, State};
use seen::{assert_follows_schema, stdout};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const GPUS: u32 = 8;
/// Set in the processes that hold memory: the GPU and the bytes.
const HOLD: &str = "BRIMFUL_TEST_HOLD";

/// A machine with virtual GPUs.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libcuda.so.1"), LIBRARY).unwrap();
        std::fs::write(folder.path().join("state"), []).unwrap();
        Machine { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let settings = Settings {
            devices: GPUS,
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            total: 81_559 * MIB,
            context: 486 * MIB,
            ..Settings::default()
        };
        let mut command = Command::new(program);
        command.env(SETTINGS_VARIABLE, settings.to_string()).env(STATE_VARIABLE, self.path("state"));
        command.env("BRIMFUL_NVML", self.path("libcuda.so.1")).env("COLUMNS", "80").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Starts a process that holds memory until it reads a line.
    fn hold(&self, gpu: u32, bytes: u64) -> Child {
        let mut command = self.command(&std::env::current_exe().unwrap());
        command.args(["--exact", "a_process_that_holds_memory", "--nocapture"]);
        command.env(HOLD, format!("{gpu} {bytes} {}", self.path("libcuda.so.1").display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("holding")), "GPU {gpu}: {bytes} bytes");
        child
    }

    fn top(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_brimful")));
        let output = command.arg("top").args(arguments).output().unwrap();
        assert_follows_schema(&output.stdout);
        output
    }

    fn look(&self) -> Value {
        let output = self.top(&["--once", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the virtual GPU itself counts of live processes: bytes by GPU and process ID.
    fn truth(&self, live: &[u32]) -> BTreeMap<(u64, u64), u64> {
        let state = State::read(&std::fs::read(self.path("state")).unwrap()).unwrap();
        let of_process = |process: &brimful_virtual_gpu::ProcessUse| {
            let pid = process.pid;
            let held = process.devices.iter().map(|device| device.used + device.context).enumerate();
            held.map(move |(gpu, held)| ((gpu as u64, pid), held)).collect::<Vec<_>>()
        };
        let all = state.processes.iter().flat_map(of_process);
        all.filter(|((_, pid), held)| *held > 0 && live.contains(&(*pid as u32))).collect()
    }
}

/// No test by itself: other tests start it as a process of its own.
#[test]
fn a_process_that_holds_memory() {
    let Ok(asked) = std::env::var(HOLD) else { return };
    let words: Vec<&str> = asked.splitn(3, ' ').collect();
    let (gpu, bytes): (i32, usize) = (words[0].parse().unwrap(), words[1].parse().unwrap());
    // SAFETY: the virtual GPU's library, and the types of CUDA's headers.
    unsafe {
        let library = libloading::Library::new(words[2]).unwrap();
        let set = library.get::<unsafe extern "C" fn(i32) -> i32>(b"cudaSetDevice").unwrap();
        let allocate = library.get::<unsafe extern "C" fn(&mut usize, usize) -> i32>(b"cudaMalloc").unwrap();
        let mut address = 0;
        assert_eq!((set(gpu), allocate(&mut address, bytes)), (0, 0));
        println!("holding");
        std::io::stdout().flush().unwrap();
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
    }
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// The figures of `top` by GPU and process ID; each ledger closes to the byte.
fn reported(look: &Value) -> BTreeMap<(u64, u64), u64> {
    let gpus = look["gpus"].as_array().unwrap();
    for gpu in gpus {
        let ledger = &gpu["ledger"];
        let part = |name: &str| ledger[name].as_i64().unwrap_or(0);
        let parts = part("processes") + part("reserved") + part("contexts") + part("unaccounted");
        assert_eq!(part("used"), parts, "{gpu}");
        assert_eq!(part("used") + gpu["free"].as_i64().unwrap(), gpu["total"].as_i64().unwrap(), "{gpu}");
    }
    let number = |uuid: &Value| gpus.iter().position(|gpu| gpu["uuid"] == *uuid).unwrap() as u64;
    let processes = look["processes"].as_array().unwrap().iter();
    let figure = |process: &Value| {
        let key = (number(&process["gpu"]), process["pid"].as_u64().unwrap());
        (key, process["used"].as_u64().unwrap())
    };
    processes.map(figure).collect()
}

#[test]
fn eight_gpus_and_64_processes_are_reported_to_the_byte_while_processes_start_and_end() {
    let machine = Machine::new();
    assert_eq!(reported(&machine.look()), BTreeMap::new());
    // Sizes that are multiples of 2 MiB and sizes that are not.
    let mut held: Vec<Child> = (0..64)
        .map(|at| machine.hold(at % GPUS, (u64::from(at) + 1) * 3 * MIB + u64::from(at % 3)))
        .collect();
    let live = |held: &[Child]| held.iter().map(Child::id).collect::<Vec<u32>>();
    for round in 0..3 {
        let look = machine.look();
        let truth = machine.truth(&live(&held));
        assert_eq!(truth.len(), 64);
        assert_eq!(reported(&look), truth, "round {round}");
        for (at, gpu) in look["gpus"].as_array().unwrap().iter().enumerate() {
            let sum: u64 = truth.iter().filter(|((gpu, _), _)| *gpu == at as u64).map(|(_, held)| held).sum();
            assert_eq!(gpu["ledger"]["used"], sum);
            assert_eq!(gpu["ledger"]["unaccounted"], 0);
        }
        for at in 0..8_u32 {
            end(held.remove(0));
            held.push(machine.hold((at + round) % GPUS, u64::from(100 + round) * MIB));
        }
    }
    held.into_iter().for_each(end);
    assert_eq!(reported(&machine.look()), BTreeMap::new());
}

#[test]
fn people_see_each_gpu_its_ledger_and_each_process_within_80_columns() {
    let machine = Machine::new();
    let child = machine.hold(1, 100 * MIB);
    let shown = stdout(&machine.top(&[]));
    assert!(shown.contains("1 NVIDIA H100 80GB HBM3: 586.00 MiB of 79.65 GiB"), "{shown}");
    assert!(shown.contains("processes 586.00 MiB"), "{shown}");
    let row = shown.lines().find(|line| line.contains(&child.id().to_string())).unwrap();
    assert!(row.contains("586.00 MiB  586.00 MiB     C  top-"), "{row}");
    for line in shown.lines() {
        assert!(line.chars().count() <= 80 || !line.trim().contains(' '), "{line}");
    }
    assert!(!shown.contains("note:"), "nothing changes the figures here: {shown}");
    assert!(!shown.contains('\u{1b}'), "no terminal, no colours: {shown:?}");
    end(child);
}

#[test]
fn a_peak_stays_while_the_command_watches() {
    let machine = Machine::new();
    let child = machine.hold(0, 100 * MIB);
    let shown = stdout(&machine.top(&["--watch", "0.1", "--count", "3", "--json"]));
    let looks: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 3);
    assert!(looks.iter().all(|look| look["processes"][0]["peak"] == 586 * MIB), "{shown}");
    let lines = stdout(&machine.top(&["--watch", "0.1", "--count", "2"]));
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("0 586.00 MiB of 79.65 GiB") && lines.contains("1 process\n"), "{lines}");
    end(child);
}

#[test]
fn without_a_gpu_it_says_where_it_looked_and_ends_with_status_2() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    let output = command.args(["top", "--once"]).env("BRIMFUL_NVML", "/no/such/library").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let shown = stdout(&output);
    assert!(shown.starts_with("no GPU was found\n"), "{shown}");
    assert!(shown.contains("/no/such/library: there is no such file"), "{shown}");
    assert!(shown.contains("host: "), "{shown}");
}

#[test]
fn the_doctor_says_which_functions_answer_and_what_they_cost() {
    let machine = Machine::new();
    let mut command = machine.command(Path::new(env!("CARGO_BIN_EXE_brimful")));
    let output = command.args(["doctor", "--json"]).output().unwrap();
    assert_follows_schema(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["nvml"]["gpus"], GPUS);
    assert_eq!(found["nvml"]["memory"], "nvmlDeviceGetMemoryInfo_v2");
    assert_eq!(found["nvml"]["lists"][0]["function"], "nvmlDeviceGetComputeRunningProcesses_v3");
    assert_eq!(found["nvml"]["lists"][0]["entry_bytes"], 24);
    let costs = found["nvml"]["costs"].as_array().unwrap();
    let memory = costs.iter().find(|cost| cost["function"] == "nvmlDeviceGetMemoryInfo_v2").unwrap();
    assert_eq!((&memory["calls"], &memory["status"]), (&GPUS.into(), &Value::Null));
    let shown = machine.command(Path::new(env!("CARGO_BIN_EXE_brimful"))).arg("doctor").output().unwrap();
    let shown = stdout(&shown);
    assert!(shown.contains("libcuda.so.1: loaded") && shown.contains("driver 595.45.04"), "{shown}");
}
