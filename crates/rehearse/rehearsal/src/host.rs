//! Host memory that runs out: the kernel then ends a process, and the process cannot say why.

use std::fs;

/// How many processes the kernel has ended so far for want of memory; `None` where it does not say.
pub(crate) fn killed() -> Option<u64> {
    counted(&fs::read_to_string("/proc/vmstat").ok()?)
}

fn counted(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// What to say of it, where the count has grown.
pub(crate) fn note(before: Option<u64>, after: Option<u64>) -> Option<String> {
    let killed = after?.checked_sub(before?).filter(|killed| *killed > 0)?;
    let processes = if killed == 1 { "a process".to_owned() } else { format!("{killed} processes") };
    Some(format!(
        "this machine ran out of host memory meanwhile, and the kernel ended {processes}: weights on the host are real here \
         (build the model on the GPU or on torch.device(\"meta\"), or rehearse on a machine with more memory)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_meanwhile_counts() {
        assert_eq!(counted("nr_free_pages 7\noom_kill 3\n"), Some(3));
        assert_eq!(note(Some(3), Some(3)), None);
        assert_eq!(note(None, Some(3)), None);
        assert!(note(Some(3), Some(4)).is_some_and(|text| text.contains("ended a process")));
    }
}
