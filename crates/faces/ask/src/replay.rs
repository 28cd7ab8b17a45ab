//! Would other allocator settings, or another GPU, have held it?

use anyhow::{Result, ensure};
use brimful_devices::Gpu;
use brimful_explain::snapshot::stack_text;
use brimful_replay::{
    AllocatorConfig, Capacity, Ledger, Ties, Timeline, follow, recorded_capacity, recorded_config,
    replay as replay_trace, settled,
};
use brimful_report::{ReplayAnswer, replay_json, replay_text};
use brimful_trace::{Event, Origin, Trace};
use brimful_units::Bytes;

use crate::recording::{content, need_history, open};
use crate::{Answer, Host, Outcome};

/// The conditions that a recording is replayed under.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    conf: Option<String>,
    capacity: Capacity,
    device: Option<usize>,
    compare: bool,
    ties: Option<Ties>,
}

impl ReplayRequest {
    /// Checks the conditions: `conf` is a `PYTORCH_CUDA_ALLOC_CONF`, the recorded one by default; `capacity` is what
    /// PyTorch may take, `gpu` a GPU by name, whose CUDA context is set aside; without either the device has no end.
    /// `device` is the GPU of a snapshot. With `compare`, the answer has the recorded peaks as well.
    ///
    /// # Errors
    /// A setting that PyTorch refuses, or a GPU that is not known.
    pub fn new(
        conf: Option<&str>,
        capacity: Option<Bytes>,
        gpu: Option<&str>,
        device: Option<usize>,
        compare: bool,
    ) -> Result<ReplayRequest> {
        if let Some(conf) = conf {
            conf.parse::<AllocatorConfig>()?;
        }
        let gpu = gpu.map(Gpu::find).transpose()?;
        let total = capacity.or(gpu.as_ref().map(|gpu| gpu.total));
        // A capacity is what PyTorch can have; a GPU also holds the CUDA context.
        let taken = gpu.filter(|_| capacity.is_none()).map_or(Bytes::ZERO, |gpu| gpu.context);
        let capacity = Capacity { total, taken };
        Ok(ReplayRequest { conf: conf.map(str::to_owned), capacity, device, compare, ties: None })
    }

    /// The version of torch that recorded, whose order among free blocks of equal size is followed. Without it, the order
    /// is the one that the recording's placements show.
    pub fn with_torch(self, version: Option<&str>) -> ReplayRequest {
        ReplayRequest { ties: version.map(Ties::of_torch), ..self }
    }
}

/// What a trace became under the conditions.
pub struct ReplayReply {
    input: String,
    device: Option<usize>,
    conf: String,
    capacity: Option<Bytes>,
    timeline: Timeline,
    recorded: Option<Ledger>,
    stack: Vec<String>,
    notes: Vec<String>,
}

/// Replays a snapshot or a predicted trace.
///
/// # Errors
/// An input that cannot be read, or has no history; with its name.
pub fn replay(host: Host<'_>, input: &str, request: &ReplayRequest) -> Result<ReplayReply> {
    let content = content(host.files, input)?;
    let opened = open(host, input, &content, request.device)?;
    let trace = &opened.trace;
    need_history(input, trace)?;
    ensure!(!trace.is_empty(), "{input}: the trace holds no events");
    let recorded = trace.recording.as_ref();
    let conf = request.conf.clone().or(recorded.map(|recording| recording.conf.clone())).unwrap_or_default();
    let config: AllocatorConfig = conf.parse()?;
    // The placements are those of the recorded settings, whichever are asked about.
    let as_recorded = AllocatorConfig { ties: request.ties, ..recorded_config(trace) };
    let AllocatorConfig { ties, driver, .. } = settled(trace, &as_recorded);
    let config = AllocatorConfig { ties, driver, ..config };
    let work = || replay_within(trace, &config, request);
    let (timeline, capacity, full) = host.during(content.len(), "replaying", work);
    let compare = request.compare && trace.origin == Origin::Recorded;
    let followed = compare.then(|| follow(trace, &as_recorded));
    let faithful = followed.as_ref().is_none_or(|followed| followed.checked == 0 || followed.is_faithful());
    let mut notes = opened.unread.clone();
    notes.extend(full);
    notes.extend(doubts(recorded.is_some_and(|recording| recording.begins_late), faithful));
    Ok(ReplayReply {
        input: input.to_owned(),
        device: opened.device,
        conf,
        capacity,
        stack: timeline.oom.map_or_else(Vec::new, |oom| stack_at(trace, oom.event)),
        timeline,
        recorded: followed.map(|followed| followed.peak),
        notes,
    })
}

/// Replays on the device that was named, or else on the one that the recording shows: one that was full has an end.
///
/// Returns the capacity, and a note if it is the recording's.
fn replay_within(
    trace: &Trace,
    config: &AllocatorConfig,
    request: &ReplayRequest,
) -> (Timeline, Option<Bytes>, Option<String>) {
    let shown = recorded_capacity(trace).filter(|_| request.capacity.total.is_none());
    if let Some(total) = shown {
        let timeline = replay_trace(trace, config, &Capacity { total: Some(total), taken: Bytes::ZERO });
        // The recorded settings served every request: if these do not, the recording shows less than it takes.
        if timeline.oom.is_none() || request.conf.is_some() {
            let note = format!(
                "the GPU was full in the recording: PyTorch gave cached memory back to go on, and could have at most {total}"
            );
            return (timeline, shown, Some(note));
        }
    }
    (replay_trace(trace, config, &request.capacity), request.capacity.total, None)
}

/// Why the answer may differ from what the GPU would have done.
fn doubts(begins_late: bool, faithful: bool) -> impl Iterator<Item = String> {
    let late =
        "memory was there before the first event; it is taken over as it was, and peaks before it are lost";
    let unfaithful = "the recording is not as the rules say, so this can differ, too: see brimful explain";
    let late = begins_late.then(|| late.to_owned());
    late.into_iter().chain((!faithful).then(|| unfaithful.to_owned()))
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

impl ReplayReply {
    fn view(&self) -> ReplayAnswer<'_> {
        ReplayAnswer {
            input: &self.input,
            device: self.device,
            conf: &self.conf,
            capacity: self.capacity,
            timeline: &self.timeline,
            recorded: self.recorded,
            stack: &self.stack,
            notes: &self.notes,
        }
    }
}

impl Answer for ReplayReply {
    fn text(&self) -> String {
        replay_text(&self.view())
    }

    fn json(&self) -> String {
        replay_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        if self.timeline.oom.is_some() { Outcome::Found } else { Outcome::Well }
    }
}
