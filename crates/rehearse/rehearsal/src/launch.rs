//! Starts commands, waits for them, and sees to it that none of their processes outlives the rehearsal.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Read};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, set_child_subreaper, wait,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use crate::ended::{Cut, Ended};
use crate::environment::Environment;
use crate::error::at;
use crate::{RehearsalError, tree};

/// A command that was asked to end has so long to do it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Processes that a command left behind have so long to end.
const LEFT_BEHIND: Duration = Duration::from_secs(8);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(50);

/// A command and what it starts with beside the environment.
pub(crate) struct Program<'a> {
    pub words: &'a [OsString],
    /// Variables of its own, such as its rank.
    pub own: Vec<(String, String)>,
}

/// How the commands run.
pub(crate) struct Rules<'a> {
    pub environment: &'a Environment,
    /// Whether the commands' standard output goes to the standard error.
    pub talk_only: bool,
    pub time_limit: Option<Duration>,
    /// Called every few hundredths of a second while the commands run.
    pub watch: &'a dyn Fn(Duration),
}

/// Runs the commands at the same time, until all have ended or the first has failed.
///
/// # Errors
/// A command that cannot be started.
pub(crate) fn launch(programs: &[Program<'_>], rules: &Rules<'_>) -> Result<Ended, RehearsalError> {
    let bell = Armed::new().map_err(at("signals"))?;
    set_child_subreaper(Some(getpid())).map_err(|error| at("prctl")(error.into()))?;
    let started = Instant::now();
    let mut open = HashMap::new();
    for program in programs {
        match start(program, rules) {
            Ok(process) => open.insert(process, ()),
            Err(error) => {
                end_all(&bell);
                return Err(error);
            }
        };
    }
    let mut ended = Ended::default();
    while !open.is_empty() {
        bell.wait();
        (rules.watch)(started.elapsed());
        for (process, status) in reaped() {
            if open.remove(&process).is_some() {
                ended.add(status.exit_status(), status.terminating_signal());
            }
        }
        if let Some(cut) = bell.asked_to_end().or_else(|| too_long(started, rules)) {
            ended.cut = Some(cut);
            let patient = if cut == Cut::Interrupted { Signal::INT } else { Signal::TERM };
            for process in open.keys() {
                // One that has just ended needs no signal.
                let _ = kill_process_group(*process, patient);
            }
            wait_for(&mut open, &mut ended, &bell);
            break;
        }
        if !ended.is_success() {
            break;
        }
    }
    end_all(&bell);
    ended.seconds = started.elapsed().as_secs_f64();
    Ok(ended)
}

fn start(program: &Program<'_>, rules: &Rules<'_>) -> Result<Pid, RehearsalError> {
    let Some((first, rest)) = program.words.split_first() else {
        let source = std::io::Error::new(ErrorKind::InvalidInput, "no command");
        return Err(RehearsalError::Command { command: String::new(), source });
    };
    let mut command = Command::new(first);
    command.args(rest).envs(rules.environment.set.iter().map(|(name, value)| (name, value)));
    for name in &rules.environment.remove {
        command.env_remove(name);
    }
    command.envs(program.own.iter().map(|(name, value)| (name, value)));
    // A group of its own, so that Ctrl-C comes to this program, which passes it on once. Such a group may not read
    // the terminal.
    command.process_group(0);
    if std::io::stdin().is_terminal() {
        command.stdin(Stdio::null());
    }
    if rules.talk_only {
        command.stdout(std::io::stderr());
    }
    let child = command.spawn().map_err(|source| RehearsalError::Command {
        command: first.to_string_lossy().into_owned(),
        source,
    })?;
    Ok(Pid::from_child(&child))
}

fn too_long(started: Instant, rules: &Rules<'_>) -> Option<Cut> {
    rules.time_limit.filter(|limit| started.elapsed() >= *limit).map(|_| Cut::TimeLimit)
}

/// Every process that has ended and was not waited for yet.
fn reaped() -> Vec<(Pid, WaitStatus)> {
    std::iter::from_fn(|| wait(WaitOptions::NOHANG).ok().flatten()).collect()
}

/// Waits for the commands that were asked to end.
fn wait_for(open: &mut HashMap<Pid, ()>, ended: &mut Ended, bell: &Bell) {
    let asked = Instant::now();
    while !open.is_empty() && asked.elapsed() < PATIENCE {
        bell.wait();
        for (process, status) in reaped() {
            if open.remove(&process).is_some() {
                ended.add(status.exit_status(), status.terminating_signal());
            }
        }
        if bell.asked_to_end().is_some() {
            break;
        }
    }
}

/// Ends whatever is left: asks first, then does not ask.
fn end_all(bell: &Bell) {
    for signal in [Signal::TERM, Signal::KILL] {
        if tree::descendants().is_empty() {
            return;
        }
        tree::signal_all(signal);
        let asked = Instant::now();
        while asked.elapsed() < LEFT_BEHIND {
            reaped();
            if tree::descendants().is_empty() {
                return;
            }
            bell.wait();
        }
    }
}

/// Rings when a process ends, and when this program is asked to end.
struct Bell {
    ring: UnixStream,
    end: [(Arc<AtomicBool>, Cut); 3],
    /// Nothing runs: a signal then does what it does to any program.
    idle: Arc<AtomicBool>,
}

/// There is one for the whole program, since handlers of signals are.
static BELL: OnceLock<Bell> = OnceLock::new();

/// The bell while commands run.
struct Armed(&'static Bell);

impl Armed {
    fn new() -> std::io::Result<Armed> {
        let bell = match BELL.get() {
            Some(bell) => bell,
            None => {
                let bell = Bell::new()?;
                BELL.get_or_init(|| bell)
            }
        };
        bell.idle.store(false, Ordering::Relaxed);
        Ok(Armed(bell))
    }
}

impl Deref for Armed {
    type Target = Bell;

    fn deref(&self) -> &Bell {
        self.0
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.0.idle.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    fn new() -> std::io::Result<Bell> {
        let (ring, rope) = UnixStream::pair()?;
        ring.set_read_timeout(Some(TICK))?;
        rope.set_nonblocking(true)?;
        let flag = || Arc::new(AtomicBool::new(false));
        let idle = flag();
        let end = [(flag(), Cut::Interrupted), (flag(), Cut::Terminated), (flag(), Cut::Terminated)];
        for ((flag, _), signal) in end.iter().zip([SIGINT, SIGTERM, SIGHUP]) {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&idle))?;
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, rope.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(SIGCHLD, rope)?;
        Ok(Bell { ring, end, idle })
    }

    /// Until it rings, or a tick has passed.
    fn wait(&self) {
        let mut rung = [0; 64];
        // A timeout is the tick.
        let _ = (&self.ring).read(&mut rung);
    }

    fn asked_to_end(&self) -> Option<Cut> {
        self.end.iter().find(|(flag, _)| flag.swap(false, Ordering::Relaxed)).map(|(_, cut)| *cut)
    }
}
