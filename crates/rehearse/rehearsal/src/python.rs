//! The interpreter that a command will use, asked before anything is started.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::RehearsalError;

/// Finds torch without importing it, and reads its version file.
const ASK: &str = "
import importlib.util, json, os
found = importlib.util.find_spec('torch')
said = {}
if found and found.origin:
    text = open(os.path.join(os.path.dirname(found.origin), 'version.py')).read()
    exec(text, said)
print(json.dumps({'torch': said.get('__version__'), 'cuda': said.get('cuda'), 'hip': said.get('hip')}))
";

#[derive(Deserialize)]
struct Answer {
    torch: Option<String>,
    cuda: Option<String>,
    hip: Option<String>,
}

/// Whether the command's interpreter has a torch that can be rehearsed. Where nobody can tell which interpreter that is
/// (a shell script), the run itself will show.
///
/// # Errors
/// What is missing, and how to install it.
pub(crate) fn check(command: &[OsString]) -> Result<(), RehearsalError> {
    let Some(python) = interpreter(command) else { return Ok(()) };
    let asked = Command::new(&python).args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Some(answer) = asked.ok().and_then(|output| serde_json::from_slice::<Answer>(&output.stdout).ok())
    else {
        return Ok(());
    };
    let python = python.display().to_string();
    match answer {
        Answer { torch: None, .. } => Err(RehearsalError::NoTorch { python }),
        Answer { torch: Some(version), cuda: None, hip } => Err(not_for_cuda(python, version, hip.is_some())),
        _ => Ok(()),
    }
}

/// The error for a build for something else.
pub(crate) fn not_for_cuda(python: String, version: String, hip: bool) -> RehearsalError {
    RehearsalError::NotForCuda { python, version, built_for: if hip { "AMD GPUs" } else { "the CPU" } }
}

/// The Python that runs the command: itself, or the one that its first line names.
fn interpreter(command: &[OsString]) -> Option<PathBuf> {
    let program = in_path(command.first()?)?;
    if is_python(&program) {
        return Some(program);
    }
    let mut head = Vec::new();
    File::open(&program).ok()?.take(512).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let named = if first.ends_with("/env") { words.find(|word| !word.starts_with('-'))? } else { first };
    in_path(OsStr::new(named)).filter(|path| is_python(path))
}

fn is_python(program: &Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.strip_prefix("python")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// The program's file.
fn in_path(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pythons() {
        for name in ["python", "/usr/bin/python3", "python3.11", "venv/bin/python3.13"] {
            assert!(is_python(Path::new(name)), "{name}");
        }
        for name in ["pythonic", "ipython", "torchrun", "python-config"] {
            assert!(!is_python(Path::new(name)), "{name}");
        }
    }
}
