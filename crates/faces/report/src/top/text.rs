use brimful_capture::{Gpu, GpuMemory, GpuProcess, Holder, Ledger};
use brimful_units::Bytes;

use super::answer::TopAnswer;
use super::wire::kind;
use crate::forms::bar::{bar, sign_in_turn};
use crate::forms::{Style, counted, hanging, table};

/// Characters of a container's ID that people use.
const SHORT_ID: usize = 12;
/// Characters of a command that are shown.
const LONGEST_COMMAND: usize = 120;

/// The look for people: each GPU with its bar and its ledger, then the processes, then the host.
pub fn top_text(answer: &TopAnswer<'_>) -> String {
    let sample = answer.sample;
    if sample.gpus.is_empty() {
        return without_gpu(answer);
    }
    let mut lines = Vec::new();
    for (at, gpu) in sample.gpus.iter().enumerate() {
        lines.extend(gpu_lines(answer, at, gpu));
    }
    lines.push(String::new());
    lines.extend(process_lines(answer));
    lines.push(String::new());
    lines.push(format!("  {}", host_line(answer)));
    for note in answer.notes() {
        lines.extend(hanging("  note: ", &note));
    }
    lines.join("\n") + "\n"
}

/// The look in one line, for `--watch`: the time, and used of total by GPU.
pub fn top_line(answer: &TopAnswer<'_>) -> String {
    let seconds = answer.sample.time / 1000 % 86_400;
    let gpus = answer.sample.gpus.iter().enumerate().map(|(at, gpu)| {
        let figure = match (&gpu.memory, answer.sample.ledger(at, None)) {
            (GpuMemory::Own(own), Some(ledger)) => format!("{} of {}", ledger.used, Bytes::new(own.total)),
            (GpuMemory::Shared, _) => format!("UMA, {} available", available(answer)),
            _ => "n/a".to_owned(),
        };
        format!("{} {figure}", label(gpu))
    });
    let gpus: Vec<String> = gpus.collect();
    format!(
        "{:02}:{:02}:{:02} UTC  {}  {}\n",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        if gpus.is_empty() { "no GPU".to_owned() } else { gpus.join("  ") },
        processes(answer.sample.processes.len()),
    )
}

fn without_gpu(answer: &TopAnswer<'_>) -> String {
    let mut lines = vec![Style::BAD.paint("no GPU was found"), "  looked for:".to_owned()];
    lines.extend(answer.searched().iter().flat_map(|line| hanging("    ", line)));
    lines.push(format!("  {}", host_line(answer)));
    lines.extend(answer.sample.troubles.iter().flat_map(|trouble| hanging("  note: ", trouble)));
    lines.extend(answer.hint().into_iter().flat_map(|hint| hanging("  hint: ", hint)));
    lines.join("\n") + "\n"
}

/// `0`, or `0.1` for the second partition of the first GPU.
fn label(gpu: &Gpu) -> String {
    match &gpu.partition {
        Some(partition) => format!("{}.{}", gpu.index, partition.number),
        None => gpu.index.to_string(),
    }
}

fn gpu_lines(answer: &TopAnswer<'_>, at: usize, gpu: &Gpu) -> Vec<String> {
    let busy = gpu.utilization.map_or(String::new(), |percent| format!(", busy {percent} %"));
    let name = format!("{} {}", label(gpu), gpu.name);
    let own = match &gpu.memory {
        GpuMemory::Own(own) => own,
        GpuMemory::Shared => {
            let memory = format!("shares the host's memory (UMA): {} available", available(answer));
            return vec![format!("{}{busy}", Style::STRONG.paint(&name)), format!("  {memory}")];
        }
        GpuMemory::Hidden(why) => {
            let reason = if gpu.is_partitioned {
                format!("divided into partitions; the whole is not shown here ({why})")
            } else {
                format!("the driver does not report its memory ({why})")
            };
            return vec![format!("{}{busy}", Style::STRONG.paint(&name)), format!("  {reason}")];
        }
    };
    let (total, free) = (Bytes::new(own.total), Bytes::new(own.free));
    let Some(ledger) = answer.sample.ledger(at, answer.context(gpu)) else { return vec![name] };
    let head = format!("{}: {} of {total}, {free} free{busy}", Style::STRONG.paint(&name), ledger.used);
    let parts = [ledger.processes, ledger.reserved.unwrap_or_default(), ledger.contexts, positive(&ledger)];
    let drawn = bar(parts.into_iter().enumerate().map(|(part, bytes)| (sign_in_turn(part), bytes)), total);
    let mut lines = vec![head, format!("  [{drawn}]")];
    lines.push(format!("  {}", ledger_line(&ledger, gpu)));
    if ledger.unaccounted > 0 && gpu.vendor == "nvidia" {
        lines.extend(answer.holders.iter().flat_map(holder_lines));
    }
    lines
}

/// A process to which unaccounted memory may belong.
fn holder_lines(holder: &Holder) -> Vec<String> {
    let command = holder
        .facts
        .command
        .as_deref()
        .map_or_else(String::new, |command| format!(" {}", shortened(command)));
    let sign = sign_in_turn(3);
    hanging(
        &format!("  {sign} "),
        &format!("perhaps pid {}{command}: it has a GPU open and is in no list", holder.pid),
    )
}

fn positive(ledger: &Ledger) -> Bytes {
    Bytes::new(u64::try_from(ledger.unaccounted).unwrap_or(0))
}

/// The parts with their signs in the bar. Parts of nothing are left out, the processes never.
fn ledger_line(ledger: &Ledger, gpu: &Gpu) -> String {
    let sign = |part| sign_in_turn(part);
    let listed = match &gpu.unlisted {
        Some(why) => format!("{} processes: the driver lists none ({why})", sign(0)),
        None => format!("{} processes {}", sign(0), ledger.processes),
    };
    let mut parts = vec![listed];
    match ledger.reserved {
        Some(reserved) if reserved > Bytes::ZERO => {
            parts.push(format!("{} reserved by the driver {reserved}", sign(1)));
        }
        _ => {}
    }
    if ledger.contexts > Bytes::ZERO {
        parts.push(format!("{} known contexts {}", sign(2), ledger.contexts));
    }
    match ledger.unaccounted {
        0 => {}
        less if less < 0 => parts.push(format!("counted twice {}", Bytes::new(less.unsigned_abs()))),
        _ => parts.push(format!("{} unaccounted {}", sign(3), positive(ledger))),
    }
    parts.join(" · ")
}

fn process_lines(answer: &TopAnswer<'_>) -> Vec<String> {
    let sample = answer.sample;
    if sample.processes.is_empty() {
        let all_unlisted = sample.gpus.iter().all(|gpu| gpu.unlisted.is_some());
        let none = if all_unlisted { "the driver lists no processes" } else { "no process is on a GPU" };
        return vec![format!("  {none}")];
    }
    let mut rows =
        vec![["  GPU", "pid", "user", "memory", "peak", "kind", "command"].map(str::to_owned).to_vec()];
    rows.extend(sample.processes.iter().map(|process| process_row(answer, process)));
    table(&rows)
}

fn process_row(answer: &TopAnswer<'_>, process: &GpuProcess) -> Vec<String> {
    let amount = |bytes: Option<Bytes>| bytes.map_or("n/a".to_owned(), |bytes| bytes.to_string());
    let gpu = answer.sample.gpus.get(process.gpu).map_or_else(String::new, label);
    vec![
        format!("  {gpu}"),
        process.pid.to_string(),
        process.facts.user.clone().unwrap_or_else(|| "?".to_owned()),
        amount(process.used),
        amount(process.peak),
        kind(process).to_owned(),
        described(answer, process),
    ]
}

/// The command, with what started it.
fn described(answer: &TopAnswer<'_>, process: &GpuProcess) -> String {
    let owner = &process.facts.owner;
    let short = |id: &String| id.chars().take(SHORT_ID).collect::<String>();
    let within = owner.slurm_job.as_ref().map(|job| format!("job {job}"));
    let within = within.or_else(|| owner.pod.as_ref().map(|pod| format!("pod {}", short(pod))));
    let within = within.or_else(|| owner.container.as_ref().map(|id| format!("container {}", short(id))));
    let command = match &process.facts.command {
        Some(command) => shortened(command),
        None if answer.is_outside(process) => "(outside this container)".to_owned(),
        None => "(ended, or hidden from this user)".to_owned(),
    };
    within.map_or(command.clone(), |within| format!("{command} ({within})"))
}

/// The command without the folder of its program, and without its end if it is long: the JSON has all of it.
fn shortened(command: &str) -> String {
    // `python -c` has lines.
    let command = command.split_whitespace().collect::<Vec<_>>().join(" ");
    let (program, rest) =
        command.split_once(' ').map_or((command.as_str(), None), |(program, rest)| (program, Some(rest)));
    let program = program.rsplit('/').next().unwrap_or(program);
    let whole = rest.map_or(program.to_owned(), |rest| format!("{program} {rest}"));
    match whole.char_indices().nth(LONGEST_COMMAND) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

fn available(answer: &TopAnswer<'_>) -> String {
    answer.sample.host.available.map_or("an unknown amount".to_owned(), |bytes| Bytes::new(bytes).to_string())
}

fn host_line(answer: &TopAnswer<'_>) -> String {
    let host = &answer.sample.host;
    let total = host.total.map_or(String::new(), |total| format!(" of {}", Bytes::new(total)));
    let mut parts = vec![format!("host: {} available{total}", available(answer))];
    if let Some(cgroup) = &host.cgroup
        && let (Some(limit), Some(current)) = (cgroup.limit, cgroup.current)
    {
        parts.push(format!("cgroup {} of {}", Bytes::new(current), Bytes::new(limit)));
    }
    let kills = host.cgroup.as_ref().and_then(|cgroup| cgroup.oom_kills).filter(|kills| *kills > 0);
    parts.extend(kills.map(|kills| counted(kills, "out-of-memory kill")));
    let waits = host.pressure.filter(|pressure| pressure.some > 0);
    parts.extend(
        waits.map(|waits| format!("waiting for memory {}.{:02} %", waits.some / 100, waits.some % 100)),
    );
    let shared = host.shared.filter(|shared| shared.total > 0);
    parts.extend(
        shared.map(|shared| format!("/dev/shm {} of {}", Bytes::new(shared.used), Bytes::new(shared.total))),
    );
    parts.join(" · ")
}

fn processes(number: usize) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_command_is_one_line_without_the_folder_of_its_program() {
        assert_eq!(shortened("/usr/bin/python3 -c import torch\n\tx = 1"), "python3 -c import torch x = 1");
        assert_eq!(shortened("/opt/server"), "server");
        assert_eq!(shortened(&"é".repeat(200)).chars().count(), 121);
    }
}
