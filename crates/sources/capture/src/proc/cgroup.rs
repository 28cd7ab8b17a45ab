//! The memory that the process's control group may use.

use std::fs;
use std::path::{Path, PathBuf};

/// The limit that is reached first on the way from a process's control group to the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path below the controller's folder.
    pub path: String,
    /// `memory.max`, in bytes; `None` if there is no limit.
    pub limit: Option<u64>,
    /// `memory.current`, in bytes.
    pub current: Option<u64>,
    /// How many processes of it the kernel has killed for want of memory (`oom_kill` in `memory.events`).
    pub oom_kills: Option<u64>,
}

/// A limit of version 1 that is none: the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;

/// The names of version 2, or of version 1.
struct Names {
    limit: &'static str,
    current: &'static str,
    events: &'static str,
}

const V2: Names = Names { limit: "memory.max", current: "memory.current", events: "memory.events" };
const V1: Names =
    Names { limit: "memory.limit_in_bytes", current: "memory.usage_in_bytes", events: "memory.oom_control" };

impl Cgroup {
    /// Reads the control group of this process. `cgroup` is `/proc/self/cgroup`, and `mount` is `/sys/fs/cgroup`.
    pub fn read(cgroup: &str, mount: &Path) -> Option<Cgroup> {
        let lines = cgroup.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?))
        });
        let lines: Vec<(&str, &str)> = lines.collect();
        let path =
            |wanted: &dyn Fn(&str) -> bool| lines.iter().find(|line| wanted(line.0)).map(|line| line.1);
        let first = path(&|name| name.split(',').any(|part| part == "memory"));
        if let Some(found) = first.and_then(|path| tightest(&mount.join("memory"), path, &V1)) {
            return Some(found);
        }
        tightest(mount, path(&str::is_empty)?, &V2)
    }
}

/// The group with the smallest limit, or the process's own where none has one. Within a container the path can lie above the
/// mount: then the mount's root is the group.
fn tightest(mount: &Path, path: &str, names: &Names) -> Option<Cgroup> {
    let own = path.trim_start_matches('/');
    let groups = Path::new(own).ancestors().filter_map(|group| read(mount, group, names));
    groups.reduce(|best, next| {
        let smaller = next.limit.is_some_and(|limit| best.limit.is_none_or(|best| limit < best));
        if smaller { next } else { best }
    })
}

fn read(mount: &Path, group: &Path, names: &Names) -> Option<Cgroup> {
    let folder: PathBuf = mount.join(group);
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let current = number(names.current)?;
    let events = fs::read_to_string(folder.join(names.events)).unwrap_or_default();
    Some(Cgroup {
        path: format!("/{}", group.display()),
        // `max` is no number.
        limit: number(names.limit).filter(|limit| *limit < NO_LIMIT),
        current: Some(current),
        oom_kills: events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_counts() {
        let mount = tempfile::tempdir().unwrap();
        let write = |group: &str, limit: &str, current: &str| {
            let folder = mount.path().join(group);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), current).unwrap();
            fs::write(folder.join("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        };
        write("a/b/c", "max\n", "10\n");
        write("a/b", "4096\n", "30\n");
        write("a", "8192\n", "40\n");
        let found = Cgroup::read("0::/a/b/c\n", mount.path()).unwrap();
        let expected =
            Cgroup { path: "/a/b".into(), limit: Some(4096), current: Some(30), oom_kills: Some(2) };
        assert_eq!(found, expected);
        assert_eq!(Cgroup::read("0::/elsewhere\n", mount.path()), None);
        assert_eq!(Cgroup::read("", mount.path()), None);
    }

    #[test]
    fn version_1_has_its_memory_in_a_folder_of_its_own_and_a_limit_that_is_none() {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("memory/job");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        fs::write(folder.join("memory.usage_in_bytes"), "7\n").unwrap();
        let found = Cgroup::read("9:cpu:/x\n4:memory:/job\n0::/\n", mount.path()).unwrap();
        assert_eq!((found.path.as_str(), found.limit, found.current), ("/job", None, Some(7)));
    }
}
