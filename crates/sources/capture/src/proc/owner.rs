//! Who started a process: a container, a pod, a job of Slurm.

/// What the path of a process's control group says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The ID of its container, 64 digits; `None` outside of containers.
    pub container: Option<String>,
    /// The UID of its Kubernetes pod.
    pub pod: Option<String>,
    /// The ID of its Slurm job.
    pub slurm_job: Option<String>,
}

/// Digits of a container's ID.
const CONTAINER: usize = 64;

impl Owner {
    /// Reads `/proc/PID/cgroup`. With version 1 of control groups it has a line for each controller, of which any may have
    /// the names.
    pub fn of(cgroup: &str) -> Owner {
        let mut owner = Owner::default();
        for part in
            cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(|path| path.split('/'))
        {
            owner.container = owner.container.or_else(|| container(part));
            owner.pod = owner.pod.or_else(|| pod(part));
            owner.slurm_job = owner.slurm_job.or_else(|| {
                let number = part.strip_prefix("job_")?;
                number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.to_owned())
            });
        }
        owner
    }
}

/// `docker-<ID>.scope`, `cri-containerd-<ID>.scope`, `crio-<ID>.scope`, `libpod-<ID>.scope`, `<ID>`.
fn container(part: &str) -> Option<String> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit('-').next().unwrap_or(part);
    let is_id = id.len() == CONTAINER && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// `kubepods-besteffort-pod<UID with underscores>.slice` or `pod<UID>`.
fn pod(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = part.strip_prefix("pod").or_else(|| part.rsplit_once("-pod").map(|(_, uid)| uid))?;
    let uid = uid.replace('_', "-");
    let is_uid = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_container_is_found_under_every_runtime() {
        for path in [
            format!("0::/system.slice/docker-{ID}.scope\n"),
            format!("12:memory:/docker/{ID}\n"),
            format!("0::/user.slice/libpod-{ID}.scope/container\n"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n"),
        ] {
            assert_eq!(Owner::of(&path).container.as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn a_pod_has_a_uid_with_hyphens() {
        let uid = "3c2b1a09-1111-2222-3333-444455556666";
        let slice = format!(
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{}.slice/crio-{ID}.scope\n",
            uid.replace('-', "_")
        );
        assert_eq!(Owner::of(&slice).pod.as_deref(), Some(uid));
        assert_eq!(Owner::of(&format!("4:memory:/kubepods/pod{uid}/{ID}\n")).pod.as_deref(), Some(uid));
    }

    #[test]
    fn a_slurm_job_is_its_number_and_a_plain_process_has_no_owner() {
        let path = "0::/system.slice/slurmstepd.scope/job_48151/step_0/user/task_3\n";
        assert_eq!(Owner::of(path).slurm_job.as_deref(), Some("48151"));
        assert_eq!(Owner::of("0::/user.slice/user-1000.slice/session-2.scope\n"), Owner::default());
        assert_eq!(Owner::of(""), Owner::default());
        assert_eq!(Owner::of("0::/job_x/podium\n"), Owner::default());
    }
}
