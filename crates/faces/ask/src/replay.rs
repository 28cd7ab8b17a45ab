//! Would other allocator settings, or another GPU, have held it?

use anyhow::{Result, ensure};
use brimful_devices::Gpu;
use brimful_explain::snapshot::stack_text;
use brimful_plan::{FitVerdict, on_gpu};
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
    /// The GPU whose capacity it is, if one was named.
    gpu: Option<Gpu>,
    device: Option<usize>,
    compare: bool,
    ties: Option<Ties>,
}

impl ReplayRequest {
    /// Checks the conditions: `conf` is a `PYTORCH_CUDA_ALLOC_CONF`, that of the recording or of the job by default; `capacity` is what
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
        // A capacity is what PyTorch can have; a GPU also holds the CUDA context.
        let gpu = gpu.map(Gpu::find).transpose()?.filter(|_| capacity.is_none());
        let total = capacity.or(gpu.as_ref().map(|gpu| gpu.total));
        let taken = gpu.as_ref().map_or(Bytes::ZERO, |gpu| gpu.context);
        let capacity = Capacity { total, taken };
        Ok(ReplayRequest { conf: conf.map(str::to_owned), capacity, gpu, device, compare, ties: None })
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
    verdict: Option<FitVerdict>,
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
    let own = recorded.map_or(&trace.conf, |recording| &recording.conf);
    let conf = request.conf.clone().unwrap_or_else(|| own.clone());
    let config: AllocatorConfig = conf.parse()?;
    // The placements are those of the recorded settings, whichever are asked about.
    let as_recorded = AllocatorConfig { ties: request.ties, ..recorded_config(trace) };
    let AllocatorConfig { ties, driver, .. } = settled(trace, &as_recorded);
    let config = AllocatorConfig { ties, driver, ..config };
    let replayed = host.during(content.len(), "replaying", || replayed(trace, &config, request));
    let compare = request.compare && trace.origin == Origin::Recorded;
    let followed = compare.then(|| follow(trace, &as_recorded));
    let faithful = followed.as_ref().is_none_or(|followed| followed.checked == 0 || followed.is_faithful());
    let mut notes = opened.unread.clone();
    let Replayed { timeline, capacity, note, verdict } = replayed;
    notes.extend(note);
    notes.extend(doubts(recorded.is_some_and(|recording| recording.begins_late), faithful));
    Ok(ReplayReply {
        input: input.to_owned(),
        device: opened.device,
        conf,
        capacity,
        stack: timeline.oom.map_or_else(Vec::new, |oom| stack_at(trace, oom.event)),
        timeline,
        verdict,
        recorded: followed.map(|followed| followed.peak),
        notes,
    })
}

/// What becomes of a trace.
struct Replayed {
    timeline: Timeline,
    capacity: Option<Bytes>,
    /// Says so where the capacity is the recording's.
    note: Option<String>,
    /// The verdict that `fit` would give, where a GPU was named.
    verdict: Option<FitVerdict>,
}

/// Replays on the GPU or within the capacity that was named, else on the device that the recording shows: one that was full
/// has an end.
fn replayed(trace: &Trace, config: &AllocatorConfig, request: &ReplayRequest) -> Replayed {
    let capacity = request.capacity.total;
    if let Some(gpu) = &request.gpu {
        let unlimited = replay_trace(trace, config, &Capacity::unlimited());
        let judged = on_gpu(trace, config, &unlimited, gpu);
        let timeline = judged.within.unwrap_or(unlimited);
        return Replayed { timeline, capacity, note: None, verdict: Some(judged.verdict) };
    }
    if let Some(total) = recorded_capacity(trace).filter(|_| capacity.is_none()) {
        let timeline = replay_trace(trace, config, &Capacity { total: Some(total), taken: Bytes::ZERO });
        // The recorded settings served every request: if these do not, the recording shows less than it takes.
        if timeline.oom.is_none() || request.conf.is_some() {
            let note = format!(
                "the GPU was full in the recording: PyTorch gave cached memory back to go on, and could have at most {total}"
            );
            return Replayed { timeline, capacity: Some(total), note: Some(note), verdict: None };
        }
    }
    let timeline = replay_trace(trace, config, &request.capacity);
    Replayed { timeline, capacity, note: None, verdict: None }
}

/// Why the answer may differ from what the GPU would have done.
fn doubts(begins_late: bool, faithful: bool) -> impl Iterator<Item = String> {
    let late =
        "memory was there before the first event; it is taken over as it was, and peaks before it are lost";
    let unfaithful = "the replay does not place every block where the recording has it, so a real run can differ from this answer; brimful \
         explain says where";
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
            verdict: self.verdict,
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
        match self.verdict {
            Some(FitVerdict::TooClose) => Outcome::Well,
            _ if self.timeline.oom.is_some() => Outcome::Found,
            _ => Outcome::Well,
        }
    }
}
