//! `brimful replay`: would other settings or another GPU have held it?

use anyhow::{Result, ensure};
use brimful_devices::Gpu;
use brimful_explain::snapshot::stack_text;
use brimful_replay::{AllocatorConfig, Capacity, follow, recorded_config, replay};
use brimful_report::{ReplayAnswer, replay_json, replay_text};
use brimful_trace::{Event, Origin, Trace};
use brimful_units::Bytes;

use crate::args::ReplayArguments;
use crate::out::{Outcome, complain, print};
use crate::progress;
use crate::recordings::{content, need_history, open};

/// Replays every input; a bad one is reported, and the rest still answered.
///
/// # Errors
/// A call that is wrong as a whole, or a closed stream.
pub fn run(arguments: &ReplayArguments) -> Result<Outcome> {
    if let Some(conf) = &arguments.conf {
        conf.parse::<AllocatorConfig>()?;
    }
    let gpu = arguments.gpu.as_deref().map(Gpu::find).transpose()?;
    let total = arguments.capacity.or(gpu.as_ref().map(|gpu| gpu.total));
    // A capacity is what PyTorch can have; a GPU also holds the CUDA context.
    let taken = gpu.filter(|_| arguments.capacity.is_none()).map_or(Bytes::ZERO, |gpu| gpu.context);
    let capacity = Capacity { total, taken };
    let mut worst = Outcome::Well;
    for (at, input) in arguments.inputs.iter().enumerate() {
        worst = worst.max(match answer(input, arguments, &capacity) {
            Ok((text, outcome)) => {
                let between = if at > 0 && !arguments.json { "\n" } else { "" };
                print(&format!("{between}{text}"))?;
                outcome
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                Outcome::Wrong
            }
        });
    }
    Ok(worst)
}

fn answer(input: &str, arguments: &ReplayArguments, capacity: &Capacity) -> Result<(String, Outcome)> {
    let content = content(input)?;
    let opened = open(input, &content, arguments.device)?;
    let trace = &opened.trace;
    need_history(input, trace)?;
    ensure!(!trace.is_empty(), "{input}: the trace holds no events");
    let recorded = trace.recording.as_ref();
    let conf =
        arguments.conf.clone().or(recorded.map(|recording| recording.conf.clone())).unwrap_or_default();
    let config: AllocatorConfig = conf.parse()?;
    let timeline = progress::during(content.len(), "replaying", || replay(trace, &config, capacity));
    // People compare with the run as it was; programs ask `explain` for that.
    let compare = trace.origin == Origin::Recorded && !arguments.json;
    let followed = compare.then(|| follow(trace, &recorded_config(trace)));
    let stack = timeline.oom.map_or_else(Vec::new, |oom| stack_at(trace, oom.event));
    let mut notes = opened.unread.clone();
    if recorded.is_some_and(|recording| recording.begins_late) {
        notes.push(
            "memory was there before the first event; it is taken over as it was, and peaks before it are lost"
                .to_owned(),
        );
    }
    if followed.as_ref().is_some_and(|followed| !followed.is_faithful()) {
        notes.push(
            "the recording is not as the rules say, so this can differ, too: see brimful explain".to_owned(),
        );
    }
    let answer = ReplayAnswer {
        input,
        device: opened.device,
        conf: &conf,
        capacity: capacity.total,
        timeline: &timeline,
        recorded: followed.map(|followed| followed.peak),
        stack: &stack,
        notes: &notes,
    };
    let text = if arguments.json { replay_json(&answer) + "\n" } else { replay_text(&answer) };
    Ok((text, if timeline.oom.is_some() { Outcome::Found } else { Outcome::Well }))
}

/// The stack, or the op and module, of the request at an event.
fn stack_at(trace: &Trace, event: usize) -> Vec<String> {
    let context = match trace.event(event) {
        Event::Alloc(id) => trace.allocations.get(id).context,
        Event::Oom(id) => trace.oom_row(id).context,
        _ => return Vec::new(),
    };
    let stack = stack_text(trace, context);
    if !stack.is_empty() {
        return stack;
    }
    let owner = trace.contexts.get(context);
    let names = [owner.op, owner.node, owner.module].map(|name| trace.contexts.str(name).to_owned());
    names.into_iter().filter(|name| !name.is_empty()).collect()
}
