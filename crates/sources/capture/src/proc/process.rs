//! The process behind a process ID.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::owner::Owner;

/// The process namespace of a host (`PROC_PID_INIT_INO` in include/linux/proc_ns.h).
const HOST_NAMESPACE: &str = "pid:[4026531836]";
/// Characters of a command line that are kept.
const LONGEST_COMMAND: usize = 1024;

/// Who and what a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Whether the process can be seen from here. In a container, the driver also lists those of other containers, by process
    /// IDs that mean nothing here.
    pub is_seen: bool,
    /// The name of its user, or the number of one without a name.
    pub user: Option<String>,
    /// Its command line.
    pub command: Option<String>,
    /// Its process ID within its own container, if that is another one.
    pub inner_pid: Option<u32>,
    /// What its control group says.
    pub owner: Owner,
    /// When it started, in ticks since the machine did: with the process ID it names one process for all times.
    pub start: u64,
}

/// The processes of a machine by their IDs. What was read once about a process is kept as long as it is asked for.
#[derive(Debug)]
pub struct Processes {
    root: PathBuf,
    sees_host: bool,
    users: HashMap<u32, String>,
    known: HashMap<u32, ProcessFacts>,
    unseen: ProcessFacts,
}

impl Processes {
    /// `root` is `/proc`, or the host's in a container that mounts it.
    pub fn new(root: &Path) -> Processes {
        let sees_host = sees_host(root);
        let users = fs::read_to_string("/etc/passwd").map(|text| users(&text)).unwrap_or_default();
        let (known, unseen) = (HashMap::new(), ProcessFacts::default());
        Processes { root: root.to_owned(), sees_host, users, known, unseen }
    }

    /// Whether every process of the machine can be seen.
    pub fn sees_host(&self) -> bool {
        self.sees_host
    }

    /// What is known about a process.
    pub fn get(&mut self, pid: u32) -> &ProcessFacts {
        let folder = self.root.join(pid.to_string());
        let Some(start) = fs::read_to_string(folder.join("stat")).ok().and_then(|stat| start(&stat)) else {
            self.known.remove(&pid);
            return &self.unseen;
        };
        if self.known.get(&pid).is_none_or(|known| known.start != start) {
            let facts = self.read(&folder, start);
            self.known.insert(pid, facts);
        }
        &self.known[&pid]
    }

    /// The processes that have a GPU of NVIDIA open, but for this one. A user sees the own ones only, root sees all.
    pub fn with_device(&self) -> Vec<u32> {
        let own = fs::read_link(self.root.join("self")).ok().and_then(|link| link.to_str()?.parse().ok());
        let own: u32 = own.unwrap_or_else(std::process::id);
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let has_device = |pid: &u32| {
            let files = fs::read_dir(self.root.join(pid.to_string()).join("fd")).into_iter().flatten();
            files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| is_gpu(&link)))
        };
        let mut pids: Vec<u32> = pids.filter(|pid| *pid != own).filter(has_device).collect();
        pids.sort_unstable();
        pids
    }

    /// Forgets the processes for which `is_live` is false.
    pub fn retain(&mut self, is_live: impl Fn(u32) -> bool) {
        self.known.retain(|pid, _| is_live(*pid));
    }

    fn read(&self, folder: &Path, start: u64) -> ProcessFacts {
        // In a container, a process of it can have the ID that the driver means for one outside.
        if !self.sees_host && uses_gpu(folder) == Some(false) {
            return ProcessFacts { start, ..ProcessFacts::default() };
        }
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
        let uid = line("Uid:").and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
        let pids = pids_by_namespace(&status);
        let cgroup = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        ProcessFacts {
            is_seen: true,
            user: uid.map(|uid| self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())),
            command: command(folder).or_else(|| line("Name:").map(|name| format!("[{}]", name.trim()))),
            inner_pid: pids.last().copied().filter(|_| pids.len() > 1),
            owner: Owner::of(&cgroup),
            start,
        }
    }
}

/// Whether the processes of the whole machine are in this folder.
fn sees_host(root: &Path) -> bool {
    let Ok(namespace) = fs::read_link(root.join("self/ns/pid")) else {
        return root != Path::new("/proc");
    };
    let status = fs::read_to_string(root.join("self/status")).unwrap_or_default();
    // The host's folder in a container shows the caller's own namespace, too; but it has the caller's process ID on the host
    // before the one in the container.
    namespace.as_os_str() == HOST_NAMESPACE || pids_by_namespace(&status).len() > 1
}

/// The IDs of a process, from the namespace of the folder inwards (`NSpid` of `/proc/PID/status`).
fn pids_by_namespace(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The names of users by their numbers, from `/etc/passwd`.
fn users(passwd: &str) -> HashMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    passwd.lines().filter_map(user).collect()
}

/// The field `starttime` of `/proc/PID/stat`, the twenty-second. The name before it may hold blanks and brackets.
fn start(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn command(folder: &Path) -> Option<String> {
    let bytes = fs::read(folder.join("cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let words: Vec<&str> = text.split('\0').filter(|word| !word.is_empty()).collect();
    let command: String = words.join(" ").chars().take(LONGEST_COMMAND).collect();
    (!command.is_empty()).then_some(command)
}

/// Whether this is `/dev/nvidia0` or another GPU. `/dev/nvidiactl` alone gives no memory.
fn is_gpu(link: &Path) -> bool {
    let number = link.to_str().and_then(|link| link.strip_prefix("/dev/nvidia"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a process has a device of a GPU open or CUDA's library loaded; `None` if that may not be read.
fn uses_gpu(folder: &Path) -> Option<bool> {
    let is_device = |link: PathBuf| {
        let link = link.to_string_lossy();
        link.starts_with("/dev/nvidia") || link.starts_with("/dev/dxg") || link.starts_with("/dev/nvhost")
    };
    let files = fs::read_dir(folder.join("fd")).ok()?;
    let has_device = files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(is_device));
    Some(has_device || fs::read_to_string(folder.join("maps")).ok()?.contains("/libcuda.so"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_a_name_with_blanks_and_brackets() {
        let fields: Vec<String> = (3..=30).map(|field| field.to_string()).collect();
        assert_eq!(start(&format!("7 (a) (b c) {}", fields.join(" "))), Some(22));
        assert_eq!(start("7 (cut off"), None);
        assert_eq!(start(""), None);
    }

    #[test]
    fn a_process_is_read_from_its_folder_and_forgotten_when_another_takes_its_number() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.path().join("7")).unwrap();
            fs::write(root.path().join("7").join(name), text).unwrap();
        };
        let stat = |start: u64| format!("7 (python) S {} {start} 0", "0 ".repeat(18).trim());
        write("stat", &stat(5));
        write("cmdline", "python\0train.py\0--bs\x004\0");
        write("status", "Name:\tpython\nUid:\t0\t0\t0\t0\nNSpid:\t7\t1\n");
        write("cgroup", "0::/system.slice/slurmstepd.scope/job_12/step_0\n");
        let mut processes = Processes::new(root.path());
        let facts = processes.get(7).clone();
        assert_eq!(facts.command.as_deref(), Some("python train.py --bs 4"));
        assert_eq!((facts.user.as_deref(), facts.inner_pid), (Some("root"), Some(1)));
        assert_eq!(facts.owner.slurm_job.as_deref(), Some("12"));
        write("cmdline", "other\0");
        assert_eq!(processes.get(7).command.as_deref(), Some("python train.py --bs 4"), "read once");
        write("stat", &stat(6));
        assert_eq!(processes.get(7).command.as_deref(), Some("other"));
        fs::remove_dir_all(root.path().join("7")).unwrap();
        assert!(!processes.get(7).is_seen);
    }

    #[test]
    fn lines_of_passwd_that_are_cut_off_name_nobody() {
        let users = users("root:x:0:0::/root:/bin/sh\nbroken\nada:x:1000:1000::/:/bin/sh\nx:y:z:0\n");
        assert_eq!(users.len(), 2);
        assert_eq!(users[&1000], "ada");
    }
}
