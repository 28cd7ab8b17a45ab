//! `brimful rehearse` as a user meets it, with a stand-in for PyTorch in pure Python.

#![cfg(target_os = "linux")]

mod rehearsed;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rehearsed::{Rehearsed, brimful, call, is_left_out, rehearse, script};

const GIB: u64 = 1 << 30;

/// A run that fits, resets its peak, and steps.
const TRAINS: &str = "
import torch
print('hello from the script')
weights = torch.allocate(2 << 30)
activations = torch.allocate(1 << 30)
torch.free(activations)
torch.cuda.reset_peak_memory_stats()
optimizer = torch.optim.Optimizer()
for step in range(5):
    optimizer.step()
";

#[test]
fn a_run_that_fits() {
    let Some(run) = rehearse("fits", TRAINS, &["--capacity", "4GiB", "--json"], &[]) else { return };
    assert_eq!(run.code, 0, "{}", run.stderr);
    let json = run.json();
    assert_eq!(
        (json["schema"].as_str(), json["verdict"].as_str()),
        (Some("brimful.rehearse/1"), Some("fits"))
    );
    // Of the whole run, though the script has reset its peaks.
    assert_eq!(json["peak"]["requested"], 3 * GIB);
    assert_eq!(json["peak"]["reserved"], 3 * GIB);
    assert_eq!((json["steps"].as_u64(), json["device"]["headroom"].as_i64()), (Some(5), Some(GIB as i64)));
    assert_eq!(json["versions"]["torch"], "2.15.0");
    assert_eq!(json["exit"]["status"], 0);
    assert!(run.stderr.contains("hello from the script"), "{}", run.stderr);
}

#[test]
fn people_read_the_script_and_then_the_answer() {
    let Some(run) = rehearse("people", TRAINS, &["--gpu", "24 GiB"], &[]) else { return };
    assert!(run.stdout.starts_with("hello from the script\n✓ fits: "), "{}", run.stdout);
    assert!(run.stdout.contains("(5 optimizer steps, "), "{}", run.stdout);
    assert!(run.stdout.contains("next: brimful open "), "{}", run.stdout);
}

#[test]
fn a_run_that_dies_of_memory() {
    let capacity = ("STAND_IN_CAPACITY", "2500000000");
    let Some(run) = rehearse("oom", TRAINS, &["--capacity", "2500000000", "--json"], &[capacity]) else {
        return;
    };
    assert_eq!(run.code, 1, "{}", run.stderr);
    let json = run.json();
    assert_eq!(json["verdict"], "does-not-fit");
    assert_eq!(json["oom"]["tried_bytes"], GIB);
    assert_eq!(json["oom"]["free_bytes"], 2_500_000_000 - 2 * GIB);
    assert!(json["oom"]["message"].as_str().unwrap().starts_with("CUDA out of memory"), "{json}");
}

#[test]
fn a_failure_that_is_caught_is_no_verdict() {
    let text = "
import torch
size = 8
while True:
    try:
        torch.allocate(size << 30)
        break
    except torch.OutOfMemoryError:
        size //= 2
";
    let capacity = ("STAND_IN_CAPACITY", "4294967296");
    let Some(run) = rehearse("caught", text, &["--capacity", "4GiB", "--json"], &[capacity]) else { return };
    let json = run.json();
    assert_eq!(
        (run.code, json["verdict"].as_str(), json["survived_ooms"].as_u64()),
        (0, Some("fits"), Some(1))
    );
}

#[test]
fn a_script_that_fails_says_nothing_about_memory() {
    let text = "import torch\ntorch.allocate(1 << 30)\nraise ValueError('no such data set')\n";
    let Some(run) = rehearse("fails", text, &["--capacity", "4GiB", "--json"], &[]) else { return };
    let json = run.json();
    assert_eq!((run.code, json["verdict"].as_str()), (2, Some("failed")));
    assert!(json["reason"].as_str().unwrap().contains("ValueError: no such data set"), "{json}");
    assert_eq!(json["peak"]["requested"], GIB);
    assert!(run.stderr.contains("error: the command failed (exit status 1)"), "{}", run.stderr);
}

#[test]
fn the_run_file_is_a_recording() {
    let Some(run) = rehearse("file", TRAINS, &["--json"], &[]) else { return };
    let file = run.file.to_str().unwrap();
    let explained = call(&["explain", file, "--json"]);
    assert_eq!(explained.json()["peak"]["requested"], 3 * GIB, "{}", explained.stderr);
    let replayed = call(&["replay", file, "--json", "--capacity", "2 GiB"]);
    assert_eq!((replayed.code, replayed.json()["oom"]["tried_bytes"].as_u64()), (1, Some(GIB)));
    assert_eq!(call(&["diff", file, file]).code, 0);
    let ranks = call(&["ranks", file, "--json"]).json();
    assert_eq!(ranks["ranks"].as_array().unwrap().len(), 1);
    let page = run.folder.path().join("page.html");
    assert_eq!(call(&["open", file, "--output", page.to_str().unwrap()]).code, 0);
    let missing = call(&["explain", &format!("{file}#7")]);
    assert!(
        missing.stderr.contains("the run holds no snapshot of rank \"7\"; it holds pid"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_zip_archive_of_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.zip");
    std::fs::write(&path, b"PK\x03\x04 and then nothing").unwrap();
    let answer = call(&["explain", path.to_str().unwrap()]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("is no zip archive"), "{}", answer.stderr);
}

#[test]
fn steps_end_the_run() {
    let text = "
import torch
optimizer = torch.optim.Optimizer()
while True:
    torch.allocate(1 << 30)
    try:
        optimizer.step()
    except Exception:
        raise SystemError('a step that ends is no exception')
";
    let Some(run) = rehearse("steps", text, &["--steps", "3", "--json"], &[]) else { return };
    let json = run.json();
    assert_eq!((run.code, json["steps"].as_u64()), (0, Some(3)), "{}", run.stderr);
    assert_eq!(
        (json["verdict"].as_str(), json["peak"]["requested"].as_u64()),
        (Some("no-device"), Some(3 * GIB))
    );
}

/// DeepSpeed's engine makes a step of its optimizer for each group of parameters, and when it makes the states.
#[test]
fn a_step_of_an_engine_is_one() {
    let text = "
import os, sys
folder = os.path.join(os.path.dirname(__file__), 'deepspeed', 'runtime')
os.makedirs(folder)
with open(os.path.join(folder, 'engine.py'), 'w') as file:
    file.write('''
class DeepSpeedEngine:
    skipped_steps = 0
    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.optimizer.step()
    def _take_model_step(self, overflows):
        self.skipped_steps += overflows
        for group in range(0 if overflows else 3):
            self.optimizer.step()
''')
import torch
from deepspeed.runtime.engine import DeepSpeedEngine
engine = DeepSpeedEngine(torch.optim.Optimizer())
for step in range(9):
    torch.allocate(1 << 30)
    engine._take_model_step(step == 1)
";
    let Some(run) = rehearse("engine", text, &["--steps", "3", "--json"], &[]) else { return };
    let json = run.json();
    assert_eq!((run.code, json["steps"].as_u64()), (0, Some(3)), "{}", run.stderr);
    // The second is skipped.
    assert_eq!(json["peak"]["requested"].as_u64(), Some(4 * GIB));
}

#[test]
fn one_that_catches_everything_ends_too() {
    let text = "
import torch
optimizer = torch.optim.Optimizer()
torch.allocate(1 << 30)
while True:
    try:
        optimizer.step()
    except BaseException:
        pass
";
    let Some(run) = rehearse("stubborn", text, &["--steps", "2", "--json", "--time-limit", "60s"], &[])
    else {
        return;
    };
    assert_eq!((run.code, run.json()["exit"]["status"].as_i64()), (0, Some(0)), "{}", run.stderr);
}

#[test]
fn however_a_process_ends_it_is_seen() {
    let text = "
import os, signal, sys, torch
children = []
for how in range(3):
    child = os.fork()
    if child == 0:
        torch.allocate((how + 1) << 30)
        if how == 0: os._exit(0)
        if how == 1: sys.exit(0)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    os.waitpid(child, 0)
";
    let Some(run) = rehearse("ends", text, &["--json"], &[]) else { return };
    let json = run.json();
    let peaks: Vec<u64> = json["ranks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rank| rank["peak"]["requested"].as_u64().unwrap())
        .collect();
    assert_eq!(peaks, [3 * GIB, 2 * GIB, GIB], "{}", run.stderr);
}

#[test]
fn time_is_limited() {
    let text = "import time, torch\ntorch.allocate(1 << 30)\nwhile True: time.sleep(1)\n";
    let arguments = ["--capacity", "4GiB", "--time-limit", "6s", "--json"];
    let Some(run) = rehearse("limit", text, &arguments, &[]) else { return };
    let json = run.json();
    assert_eq!((run.code, json["verdict"].as_str()), (2, Some("unfinished")));
    assert_eq!(
        (json["exit"]["cut"].as_str(), json["peak"]["requested"].as_u64()),
        (Some("time-limit"), Some(GIB))
    );
}

/// Ctrl-C reaches the command, and whatever it started in sessions of their own; what was seen is the answer.
#[test]
fn interrupted_it_ends_everything() {
    if is_left_out() {
        return;
    }
    let text = "
import subprocess, sys, time, torch
torch.allocate(1 << 30)
child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
print('child', child.pid, flush=True)
while True: time.sleep(1)
";
    let (folder, path) = script(text);
    let mut command =
        brimful(&["rehearse", "--output", folder.path().join("run.zip").to_str().unwrap()], &[]);
    command.args(["--", "python3", path.to_str().unwrap()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let child: i32 = lines.next().unwrap().strip_prefix("child ").unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&running), rustix::process::Signal::INT)
        .unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(running.wait().unwrap().code(), Some(2));
    let rest = rest.join("\n");
    assert!(rest.contains("✗ unfinished") && rest.contains("ended by Ctrl-C"), "{rest}");
    assert!(rest.contains("had 1024.00 MiB until then"), "{rest}");
    assert!(!std::path::Path::new(&format!("/proc/{child}")).exists(), "the child lives on");
}

#[test]
fn the_largest_batch_is_searched() {
    let text = "import sys, torch\ntorch.allocate(int(sys.argv[sys.argv.index('--bs') + 1]) << 30)\n";
    let arguments = ["--capacity", "5GiB", "--search", "batch", "--with", "--bs {}", "--json"];
    let capacity = ("STAND_IN_CAPACITY", "5368709120");
    let Some(run) = rehearse("search", text, &arguments, &[capacity]) else { return };
    let json = run.json();
    assert_eq!((run.code, json["search"]["largest"].as_u64()), (0, Some(5)), "{}", run.stderr);
    let tried: Vec<u64> =
        json["search"]["runs"].as_array().unwrap().iter().map(|run| run["value"].as_u64().unwrap()).collect();
    assert_eq!(tried, [1, 2, 4, 8, 6, 5]);
    assert_eq!(json["peak"]["requested"], 5 * GIB);
}

#[test]
fn a_search_for_what_the_script_does_not_take() {
    let text = "import torch\ntorch.allocate(1 << 30)\n";
    let arguments = ["--capacity", "5GiB", "--search", "batch", "--with", "--bs {}"];
    let Some(run) = rehearse("ignored", text, &arguments, &[]) else { return };
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("with 2 the command asks for exactly as much memory as with 1"),
        "{}",
        run.stderr
    );
}

#[test]
fn ranks_are_imagined() {
    let text = "
import os, torch
torch.allocate((int(os.environ['RANK']) + 1) << 28)
assert os.environ['WORLD_SIZE'] == '64' and os.environ['MASTER_ADDR']
";
    let arguments = ["--gpus", "8", "--world-size", "64", "--ranks", "0,63,9", "--json"];
    let Some(run) = rehearse("imagined", text, &arguments, &[]) else { return };
    let json = run.json();
    let ranks: Vec<u64> =
        json["ranks"].as_array().unwrap().iter().map(|rank| rank["rank"].as_u64().unwrap()).collect();
    assert_eq!((run.code, ranks), (0, vec![63, 9, 0]), "{}", run.stderr);
    assert_eq!(json["peak"]["requested"], 16 * GIB);
}

#[test]
fn a_rank_that_is_not_in_the_world() {
    let answer = call(&["rehearse", "--world-size", "8", "--ranks", "8", "--", "true"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("--ranks 8: with --world-size 8 ranks are 0 to 7"), "{}", answer.stderr);
}

/// The environment's own start-up file runs as ever, and the hook leaves no trace in the module path.
#[test]
fn the_environment_is_as_ever() {
    let text = "
import os, sys, sitecustomize
assert sitecustomize.IS_THE_USERS
assert not any('brimful-rehearsal' in folder for folder in sys.path), sys.path
import torch
torch.allocate(1 << 30)
assert sys.stdin.read() == 'given', 'the standard input is the caller\\'s'
";
    let (folder, path) = script(text);
    std::fs::write(folder.path().join("sitecustomize.py"), "IS_THE_USERS = True\n").unwrap();
    if is_left_out() {
        return;
    }
    let output = folder.path().join("run.zip");
    let mut command = brimful(&["rehearse", "--json", "--output", output.to_str().unwrap()], &[]);
    let paths = format!("{}:{}", folder.path().display(), rehearsed::STAND_IN);
    let mut running = command
        .args(["--", "python3", path.to_str().unwrap()])
        .env("PYTHONPATH", paths)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut running.stdin.take().unwrap(), b"given").unwrap();
    let run = Rehearsed::of(running.wait_with_output().unwrap(), folder, output);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let place = ("TMPDIR", temporary.path().to_str().unwrap());
    if rehearse("clean", TRAINS, &["--json"], &[place]).is_some() {
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

/// What the command makes of its end is its own: a notebook reports a failed cell.
#[test]
fn a_program_that_fails_at_the_end_of_its_steps_has_made_them() {
    let text = "
import torch
optimizer = torch.optim.Optimizer()
torch.allocate(1 << 30)
try:
    while True:
        optimizer.step()
except BaseException as error:
    raise RuntimeError('training failed') from error
";
    let Some(run) = rehearse("turned", text, &["--capacity", "4GiB", "--steps", "2", "--json"], &[]) else {
        return;
    };
    let json = run.json();
    assert_eq!((run.code, json["verdict"].as_str()), (0, Some("fits")), "{}", run.stderr);
    assert_eq!((json["exit"]["status"].as_i64(), json["steps"].as_u64()), (Some(1), Some(2)));
}

#[test]
fn a_request_is_the_cause_only_if_nothing_was_allocated_after_it() {
    let text = "
import sys, torch
for size in SIZES:
    try:
        torch.allocate(size << 30)
        break
    except torch.OutOfMemoryError:
        pass
sys.exit(3)
";
    let capacity = ("STAND_IN_CAPACITY", "4294967296");
    for (sizes, code, verdict) in [("(9, 8, 2)", 2, "failed"), ("(9, 8)", 1, "does-not-fit")] {
        let text = text.replace("SIZES", sizes);
        let Some(run) = rehearse("cause", &text, &["--capacity", "4GiB", "--json"], &[capacity]) else {
            return;
        };
        let json = run.json();
        assert_eq!((run.code, json["verdict"].as_str()), (code, Some(verdict)), "{}", run.stderr);
        let reason = json["reason"].as_str();
        let expected = "the command failed (exit status 3); 2 failed requests were caught";
        assert_eq!(reason, (code == 2).then_some(expected));
    }
}

#[test]
fn a_run_without_gpu_memory_has_no_verdict() {
    let Some(run) = rehearse("cpu", "import torch\n", &["--capacity", "4GiB"], &[]) else { return };
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stdout.starts_with("no verdict: "), "{}", run.stdout);
    assert!(run.stdout.contains("no process took GPU memory through PyTorch"), "{}", run.stdout);
}
