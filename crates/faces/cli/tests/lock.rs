//! `--lock` and `--check`: a change that raises a phase's requested peak fails, and the place that added most is named.

use std::fs;
use std::path::Path;
use std::process::Command;

const JOB: &str = "model = \"gpt2\"\n[train]\nbatch = 1\nsequence = 256\nprecision = \"fp32\"\n";

/// Exit status and standard error of a call in a folder.
fn call(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_brimful")).args(arguments).current_dir(folder).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn folder_with_job() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("job.toml"), JOB).unwrap();
    folder
}

#[test]
fn a_lock_is_written_once_holds_and_fails_a_larger_sequence_with_the_module_that_added_most() {
    let folder = folder_with_job();
    let lock = folder.path().join("brimful.lock");
    let written = call(folder.path(), &["fit", "job.toml", "--lock", "brimful.lock"]);
    assert_eq!(written, (Some(0), "brimful: job.toml: added to brimful.lock\n".to_owned()));
    let text = fs::read_to_string(&lock).unwrap();
    assert_eq!(call(folder.path(), &["fit", "job.toml", "--check"]), (Some(0), String::new()));

    fs::write(folder.path().join("job.toml"), JOB.replace("256", "320")).unwrap();
    let (status, complaint) = call(folder.path(), &["fit", "job.toml", "--check"]);
    assert_eq!(status, Some(1), "{complaint}");
    assert!(complaint.contains("job.toml: forward asks for"), "{complaint}");
    // 64 more tokens of 3072 fp32 values in 12 layers, which two multiplications of gelu_new save: 2 × 9 MiB.
    let most = " % more; mul in transformer.h.*.mlp.act added most, 18.00 MiB";
    assert!(complaint.contains(most), "{complaint}");
    let allowed = call(folder.path(), &["fit", "job.toml", "--check", "--allow", "60%"]);
    assert_eq!(allowed, (Some(0), String::new()));
    assert_eq!(call(folder.path(), &["fit", "job.toml", "--lock", "brimful.lock"]).0, Some(1));
    assert_eq!(fs::read_to_string(&lock).unwrap(), text, "a raise never changes the lock file");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn the_locked_peaks_are_those_of_the_answer() {
    let folder = folder_with_job();
    call(folder.path(), &["fit", "job.toml", "--lock", "brimful.lock"]);
    let lock = fs::read_to_string(folder.path().join("brimful.lock")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .args(["fit", "job.toml", "--json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let phases = json["phases"].as_array().unwrap();
    assert!(phases.len() >= 4);
    for phase in phases {
        let (name, requested) = (phase["phase"].as_str().unwrap(), &phase["requested"]);
        assert!(lock.contains(&format!("name = \"{name}\"\nrequested = {requested}\n")), "{name} in {lock}");
    }
}

#[test]
fn a_check_writes_nothing_and_says_what_would() {
    let folder = folder_with_job();
    let (status, complaint) = call(folder.path(), &["fit", "job.toml", "--check"]);
    assert_eq!(status, Some(2));
    assert!(complaint.contains("write it: brimful fit job.toml --lock brimful.lock"), "{complaint}");
    assert!(!folder.path().join("brimful.lock").exists());
    call(folder.path(), &["fit", "job.toml", "--lock", "brimful.lock"]);
    let (status, complaint) = call(folder.path(), &["fit", "job.toml", "--batch", "2", "--check"]);
    assert_eq!(status, Some(2));
    assert!(complaint.contains("job.toml --batch 2: is not in brimful.lock"), "{complaint}");
}

#[test]
fn a_file_that_is_no_lock_is_not_overwritten() {
    let folder = folder_with_job();
    let (status, complaint) = call(folder.path(), &["fit", "job.toml", "--lock", "job.toml"]);
    assert_eq!(status, Some(2));
    assert!(complaint.starts_with("error: job.toml:1: is no lock file ("), "{complaint}");
    assert_eq!(fs::read_to_string(folder.path().join("job.toml")).unwrap(), JOB);
}

/// Needs PyTorch: `cargo xtask test --torch`.
#[cfg(target_os = "linux")]
#[test]
fn a_rehearsal_names_the_line_that_added_most_although_lines_moved() {
    let Some(python) = std::env::var_os("BRIMFUL_TORCH_PYTHON") else {
        eprintln!("BRIMFUL_TORCH_PYTHON is not set: left out");
        return;
    };
    let python = python.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = |text: &str| fs::write(folder.path().join("train.py"), text).unwrap();
    let rehearse = || call(folder.path(), &["rehearse", "--lock", "brimful.lock", "--", python, "train.py"]);
    script("import torch\na = torch.empty(2**28, device='cuda')\nb = torch.empty(2**27, device='cuda')\n");
    let (status, complaint) = rehearse();
    assert_eq!(status, Some(0), "{complaint}");
    assert!(complaint.contains("added to brimful.lock"), "{complaint}");
    assert_eq!(rehearse().0, Some(0));
    script(
        "import torch\n# A line moves the others.\na = torch.empty(2**28, device='cuda')\nb = torch.empty(2**28, device='cuda')\n",
    );
    let (status, complaint) = rehearse();
    assert_eq!(status, Some(1), "{complaint}");
    assert!(complaint.contains("train.py:4 <module> added most, 512.00 MiB"), "{complaint}");
}
