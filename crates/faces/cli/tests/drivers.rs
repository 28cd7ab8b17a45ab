//! `brimful top` and `brimful doctor` with NVIDIA's drivers of many versions and platforms: a fake NVML that has the symbols
//! and the layouts of each fixture in `fixtures/nvml`.

#![cfg(target_os = "linux")]

mod seen;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use seen::{assert_follows_schema, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A machine with the driver of a fixture, and with a `/proc` of its own.
struct Machine {
    folder: TempDir,
    library: PathBuf,
}

impl Machine {
    fn of(fixture: &Value) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let library = brimful_fake_nvml::install(fixture, folder.path());
        let machine = Machine { folder, library };
        let kilobytes = fixture["host_total"].as_u64().unwrap() / 1024;
        machine.write("meminfo", &format!("MemTotal: {kilobytes} kB\nMemAvailable: {kilobytes} kB\n"));
        machine
    }

    fn proc(&self) -> PathBuf {
        self.folder.path().join("proc")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.proc().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Which namespaces the caller has, seen from this `/proc`: one number for each, the outermost first.
    fn write_self(&self, namespace: &str, pids: &str) {
        self.write("self/status", &format!("Name:\tbrimful\nNSpid:\t{pids}\n"));
        fs::create_dir_all(self.proc().join("self/ns")).unwrap();
        let link = self.proc().join("self/ns/pid");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(namespace, link).unwrap();
    }

    /// A process in this `/proc`. `maps` are the libraries that it has loaded.
    fn write_process(&self, pid: u32, command: &str, maps: &str) {
        self.write(&format!("{pid}/stat"), &format!("{pid} (python) S {} 77 0", "0 ".repeat(18).trim()));
        self.write(&format!("{pid}/cmdline"), &command.replace(' ', "\0"));
        self.write(&format!("{pid}/status"), "Name:\tpython\nUid:\t0\t0\t0\t0\n");
        self.write(&format!("{pid}/maps"), maps);
        fs::create_dir_all(self.proc().join(format!("{pid}/fd"))).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
        command.env("BRIMFUL_NVML", &self.library).env("COLUMNS", "100").env("LC_ALL", "C.UTF-8");
        let output = command.args(arguments).arg("--proc").arg(self.proc()).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn look(&self) -> Value {
        let output = self.command(&["top", "--once", "--json"]);
        assert_follows_schema(&output.stdout);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn fixtures() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/nvml");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let fixtures = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let named = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    };
    let fixtures: Vec<(String, Value)> = fixtures.map(named).collect();
    assert!(fixtures.len() >= 20, "{} fixtures", fixtures.len());
    fixtures
}

fn fixture(name: &str) -> Value {
    fixtures().into_iter().find(|(found, _)| found == name).unwrap().1
}

/// The table of a look in the form of a fixture's `expected`: each GPU with its memory and its processes.
fn table(look: &Value) -> Value {
    let gpus = look["gpus"].as_array().unwrap().iter();
    let row = |gpu: &Value| {
        let processes = look["processes"].as_array().unwrap().iter();
        let processes = processes.filter(|process| process["gpu"] == gpu["uuid"]);
        let processes: Vec<Value> =
            processes.map(|process| json!([process["pid"], process["used"]])).collect();
        let mut row = json!({ "processes": processes, "memory": gpu["memory"] });
        if gpu["memory"] == "own" {
            let ledger = &gpu["ledger"];
            row["total"] = gpu["total"].clone();
            row["reserved"] = ledger["reserved"].clone();
            // The ledger's figure has what the driver reserves in it, the fixture's does not.
            let reserved = ledger["reserved"].as_u64().unwrap_or(0);
            row["used"] = (ledger["used"].as_u64().unwrap() - reserved).into();
        }
        if gpu["memory"] == "hidden" {
            row["memory"] = format!("hidden {}", gpu["why"].as_str().unwrap()).into();
        }
        row
    };
    gpus.map(row).collect()
}

/// What `top` must show: the fixture's `expected`, with the largest process of a GPU first.
fn expected(fixture: &Value) -> Value {
    let mut expected = fixture["expected"].clone();
    for gpu in expected.as_array_mut().into_iter().flatten() {
        gpu.as_object_mut().unwrap().remove("has_garbage");
        let processes = gpu["processes"].as_array_mut().unwrap();
        processes.sort_by_key(|row| (std::cmp::Reverse(row[1].as_u64()), row[0].as_u64()));
    }
    expected
}

#[test]
fn every_driver_has_the_table_of_its_fixture() {
    for (name, fixture) in fixtures() {
        let machine = Machine::of(&fixture);
        let look = machine.look();
        if let Some(refusal) = fixture["expected"].as_str() {
            let searched = look["searched"].as_array().unwrap();
            assert!(searched.contains(&format!("NVIDIA's driver: {refusal}").into()), "{name}: {searched:?}");
            assert_eq!(look["gpus"], json!([]), "{name}");
            continue;
        }
        assert_eq!(table(&look), expected(&fixture), "{name}");
        let has_garbage =
            fixture["expected"].as_array().unwrap().iter().any(|gpu| gpu["has_garbage"] == true);
        let note = "The driver's list of processes has entries that make no sense. They are left out.";
        assert_eq!(look["notes"].as_array().unwrap().contains(&note.into()), has_garbage, "{name}");
        assert_eq!(look["driver"]["version"], fixture["calls"]["nvmlSystemGetDriverVersion"], "{name}");
    }
}

/// Foreign process IDs: of a container's own processes, none may be taken for one of them.
#[test]
fn a_process_outside_of_the_container_has_no_user_and_no_command() {
    let fixture = fixture("foreign-pids");
    let rows = fixture["expected"][0]["processes"].as_array().unwrap();
    let pids: Vec<u32> = rows.iter().map(|row| row[0].as_u64().unwrap() as u32).collect();
    let machine = Machine::of(&fixture);
    machine.write_self("pid:[4026532771]", "7");
    // The container has a process with the same number that has nothing to do with a GPU.
    machine.write_process(pids[0], "sleep 100", "/usr/lib/libc.so.6\n");
    let look = machine.look();
    assert_eq!(look["processes"].as_array().unwrap().len(), pids.len());
    for process in look["processes"].as_array().unwrap() {
        assert_eq!((&process["outside"], &process["command"]), (&true.into(), &Value::Null), "{process}");
        assert_eq!(process["user"], Value::Null, "{process}");
        assert!(process["used"].is_u64(), "the driver's figure stays: {process}");
    }
    let shown = stdout(&machine.command(&["top"]));
    assert_eq!(shown.matches("(outside this container)").count(), pids.len(), "{shown}");
    assert!(!shown.contains("sleep"), "{shown}");
    // The same process with CUDA's library is the one that the driver means.
    machine.write_process(pids[0], "python train.py", "/usr/lib/libcuda.so.1\n");
    let look = machine.look();
    let process = look["processes"].as_array().unwrap().iter().find(|process| process["pid"] == pids[0]);
    assert_eq!(process.unwrap()["command"], "python train.py");
}

#[test]
fn the_hosts_proc_gives_foreign_processes_their_user_and_command() {
    let fixture = fixture("foreign-pids");
    let rows = fixture["expected"][0]["processes"].as_array().unwrap();
    let machine = Machine::of(&fixture);
    // The host's /proc, mounted into a container, has the caller under a number of the host and one of the container.
    machine.write_self("pid:[4026532771]", "90210\t7");
    for row in rows {
        machine.write_process(row[0].as_u64().unwrap() as u32, "python train.py", "");
    }
    for process in machine.look()["processes"].as_array().unwrap() {
        assert_eq!(process["outside"], false, "{process}");
        assert_eq!((&process["user"], &process["command"]), (&"root".into(), &"python train.py".into()));
    }
    let shown = stdout(&machine.command(&["top"]));
    assert!(!shown.contains("outside this container"), "{shown}");
    // A number that is not in the host's /proc has ended.
    fs::remove_dir_all(machine.proc().join(rows[0][0].to_string())).unwrap();
    assert!(stdout(&machine.command(&["top"])).contains("(ended, or hidden from this user)"));
}

#[test]
fn unaccounted_memory_names_the_processes_that_have_a_gpu_open_and_are_in_no_list() {
    let fixture = fixture("r570");
    let machine = Machine::of(&fixture);
    let listed = fixture["expected"][0]["processes"][0][0].as_u64().unwrap() as u32;
    let opens = |pid: u32, file: &str| {
        machine.write_process(pid, "python ghost.py", "");
        std::os::unix::fs::symlink(file, machine.proc().join(format!("{pid}/fd/3"))).unwrap();
    };
    opens(listed, "/dev/nvidia0");
    opens(77, "/dev/nvidia0");
    opens(78, "/dev/nvidiactl");
    opens(79, "/dev/null");
    let look = machine.look();
    assert!(look["gpus"][0]["ledger"]["unaccounted"].as_i64().unwrap() > 0, "{look}");
    assert_eq!(look["holders"], json!([{ "pid": 77, "user": "root", "command": "python ghost.py" }]));
    let shown = stdout(&machine.command(&["top"]));
    assert!(shown.contains("perhaps pid 77 python ghost.py: it has a GPU open and is in no list"), "{shown}");
    assert_eq!(shown.matches("perhaps pid").count(), 1, "{shown}");
    // Where all is accounted for, nobody is suspected.
    let memory = &fixture["gpus"][0]["nvmlDeviceGetMemoryInfo_v2"];
    let mut closed = fixture.clone();
    let unaccounted = look["gpus"][0]["ledger"]["unaccounted"].as_u64().unwrap();
    closed["gpus"][0]["nvmlDeviceGetMemoryInfo_v2"]["used"] =
        (memory["used"].as_u64().unwrap() - unaccounted).into();
    let machine = Machine::of(&closed);
    machine.write_process(77, "python ghost.py", "");
    std::os::unix::fs::symlink("/dev/nvidia0", machine.proc().join("77/fd/3")).unwrap();
    let look = machine.look();
    assert_eq!((&look["gpus"][0]["ledger"]["unaccounted"], &look["holders"]), (&0.into(), &Value::Null));
}

/// Looks at a recording of this machine through the fake driver that it makes.
fn replayed(machine: &Machine) -> (Value, Value) {
    let file = machine.folder.path().join("recorded.json");
    let output = machine.command(&["doctor", "--json", "--record", file.to_str().unwrap()]);
    assert_follows_schema(&output.stdout);
    let recorded: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let look = Machine::of(&recorded).look();
    (recorded, look)
}

/// The table with the process IDs as numbers from one, in their order.
fn renumbered(mut table: Value) -> Value {
    let gpus = table.as_array_mut().unwrap();
    let all = gpus.iter().flat_map(|gpu| gpu["processes"].as_array().unwrap());
    let pids: std::collections::BTreeSet<u64> = all.map(|row| row[0].as_u64().unwrap()).collect();
    for row in gpus.iter_mut().flat_map(|gpu| gpu["processes"].as_array_mut().unwrap()) {
        let pid = row[0].as_u64().unwrap();
        row[0] = (1 + pids.range(..pid).count()).into();
    }
    table
}

#[test]
fn a_recording_of_every_driver_replays_to_the_same_table() {
    for (name, fixture) in fixtures() {
        let (recorded, look) = replayed(&Machine::of(&fixture));
        let sorted = |value: &Value| {
            let mut symbols = value["symbols"].as_array().unwrap().clone();
            symbols.sort_by_key(|symbol| symbol.as_str().unwrap().to_owned());
            symbols
        };
        assert_eq!(sorted(&recorded), sorted(&fixture), "{name}");
        assert_eq!(recorded["host_total"], fixture["host_total"], "{name}");
        if fixture["expected"].is_string() {
            assert_eq!(recorded["expected"], fixture["expected"], "{name}");
            let refusal = format!("NVIDIA's driver: {}", fixture["expected"].as_str().unwrap());
            assert!(look["searched"].as_array().unwrap().contains(&refusal.into()), "{name}: {look}");
            continue;
        }
        assert_eq!(recorded["entry_bytes"][2], fixture["entry_bytes"][2], "{name}");
        assert_eq!(table(&look), expected(&recorded), "{name}");
        assert_eq!(table(&look), renumbered(expected(&fixture)), "{name}");
        assert_eq!(look["driver"]["version"], fixture["calls"]["nvmlSystemGetDriverVersion"], "{name}");
    }
}

#[test]
fn a_recording_holds_no_user_no_command_and_no_process_id() {
    let machine = Machine::of(&fixture("r535"));
    for pid in [4242, 4243, 5000] {
        machine.write_process(pid, "python secret.py --token abc", "");
    }
    let shown = stdout(&machine.command(&["top"]));
    assert!(
        shown.contains("secret.py") && shown.contains("4242"),
        "there is something to leave out: {shown}"
    );
    let text = stdout(&machine.command(&["doctor", "--record", "-"]));
    for word in ["secret", "token", "root", "4242", "4243", "[5000,"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let recorded: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(recorded["gpus"][0]["compute"][0][0], 1);
}

#[test]
fn without_a_driver_there_is_nothing_to_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    command.arg("doctor").arg("--record").arg(&file).env("BRIMFUL_NVML", "/no/such/library");
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("there is nothing to record"), "{error}");
    assert!(!file.exists());
}
