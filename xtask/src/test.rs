//! `cargo xtask test [--torch] [--left-out FILE]` runs every test. With `--torch` it also runs those that rehearse with real
//! PyTorch. FILE lists the reasons for which a test may leave itself out, one a line; another reason is then a failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The packages that are installed, without dependencies and so without NVIDIA's packages.
const REQUIREMENTS: &str = "fixtures/rehearsal/requirements.txt";
/// The variable that names the file to which tests append that they are left out: a name, a tab and the reason a line
/// (`crates/faces/cli/tests/left_out`).
const LEFT_OUT: &str = "BRIMFUL_LEFT_OUT";

/// Runs the tests, and prints which were left out, by name and with the reason.
///
/// # Errors
/// An argument that is not known, or tests that fail.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let asked = Asked::parse(arguments)?;
    let allowed = asked.left_out.as_deref().map(|file| read(&root.join(file))).transpose()?;
    let torch = asked.torch.then(|| torch_in(root));
    let list = root.join("target/left-out.txt");
    std::fs::create_dir_all(root.join("target"))?;
    std::fs::write(&list, "").with_context(|| list.display().to_string())?;
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--workspace"]).current_dir(root).env(LEFT_OUT, &list);
    if let Some(Ok(python)) = &torch {
        tests.env("BRIMFUL_TORCH_PYTHON", python);
    }
    let status = tests.status().context("cargo")?;
    if let Some(Err(why)) = &torch {
        eprintln!("PyTorch cannot be installed: {why:#}");
    }
    let text = read(&list)?;
    eprint!("{}", summary(&text));
    ensure!(status.success(), "tests failed");
    // Where PyTorch cannot be had, which was said above, what needs it is left out for that reason.
    if let (Some(allowed), None | Some(Ok(_))) = (allowed, &torch) {
        let missing = unexpected(&text, &allowed);
        ensure!(missing.is_empty(), "these tests are meant to run here:\n{}", missing.join("\n"));
    }
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    torch: bool,
    /// The file that lists the reasons which are no failure.
    left_out: Option<String>,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Asked> {
        let mut asked = Asked::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match (argument.as_str(), &mut rest) {
                ("--torch", _) => asked.torch = true,
                ("--left-out", rest) => {
                    asked.left_out = Some(rest.next().context("--left-out takes a file of reasons")?.clone());
                }
                (other, _) => {
                    bail!("{other} is not known; usage: cargo xtask test [--torch] [--left-out FILE]")
                }
            }
        }
        Ok(asked)
    }
}

/// The lines of `list` whose reason is none of those allowed; a line that begins with `#` is a comment there.
fn unexpected<'a>(list: &'a str, allowed: &str) -> Vec<&'a str> {
    let allowed: Vec<&str> = allowed.lines().filter(|line| !line.starts_with('#')).collect();
    let reason = |line: &&str| line.split_once('\t').is_none_or(|(_, why)| !allowed.contains(&why));
    list.lines().filter(reason).collect()
}

/// What was left out, by reason and then by name.
fn summary(list: &str) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, why) in list.lines().filter_map(|line| line.split_once('\t')) {
        by_reason.entry(why).or_default().push(name);
    }
    let count: usize = by_reason.values().map(Vec::len).sum();
    let mut text = format!("{count} tests and stories were left out\n");
    for (why, mut names) in by_reason {
        names.sort_unstable();
        text += &format!("  {why}: {}\n", names.join(", "));
    }
    text
}

/// The interpreter of an environment with PyTorch: the one that `BRIMFUL_TORCH_PYTHON` names, else that of `target/torch`. It
/// is made if there is none that was installed from these requirements.
pub fn torch_in(root: &Path) -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("BRIMFUL_TORCH_PYTHON") {
        return Ok(python.into());
    }
    let wanted = std::fs::read_to_string(root.join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let folder = root.join("target/torch");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    // Through a link, `--clear` would empty an environment that others use.
    let folder_is = folder.display();
    ensure!(
        !folder.is_symlink(),
        "{folder_is} is a link to an environment with other packages; remove the link"
    );
    call(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install =
        ["-m", "pip", "install", "--quiet", "--retries", "2", "--no-deps", "--requirement", REQUIREMENTS];
    call(Command::new(&python).args(install).current_dir(root))?;
    // Written last: an installation that was interrupted is made again.
    std::fs::write(installed, wanted)?;
    Ok(python)
}

fn call(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_named_with_its_reason() {
        let list = "story qlora\tA is not set\nvllm_starts\tB is not set\nstory fsdp2\tA is not set\n";
        let expected = "3 tests and stories were left out\n  A is not set: story fsdp2, story qlora\n  \
            B is not set: vllm_starts\n";
        assert_eq!(summary(list), expected);
    }

    #[test]
    fn a_reason_that_is_not_allowed_is_a_failure() {
        let list = "story qlora\tA is not set\nvllm_starts\tB is not set\n";
        assert_eq!(unexpected(list, "# Not here.\nA is not set\n"), ["vllm_starts\tB is not set"]);
        assert!(unexpected(list, "A is not set\nB is not set\n").is_empty());
        assert!(unexpected("", "").is_empty());
    }

    #[test]
    fn arguments_are_named_where_they_are_wrong() {
        let parse = |text: &str| Asked::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let asked = Asked { torch: true, left_out: Some("f".to_owned()) };
        assert_eq!(parse("--left-out f --torch").unwrap(), asked);
        assert!(parse("--left-out").unwrap_err().to_string().contains("file of reasons"));
        assert!(parse("--all").unwrap_err().to_string().contains("--all is not known"));
    }

    #[test]
    fn a_complete_run_says_that_nothing_was_left_out() {
        assert_eq!(summary(""), "0 tests and stories were left out\n");
    }
}
