//! The activity of a program, derived from its stack.

use brimful_trace::{Context, ContextId, FrameId, PhaseKind, StackId, Trace};

/// The part of a training or inference step that a stack belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// Building or loading a model.
    Load,
    /// A module's forward.
    Forward,
    /// A forward that runs again inside the backward (gradient checkpointing).
    Recompute,
    /// The backward.
    Backward,
    /// The optimizer's step.
    Optimizer,
    /// Letting go of gradients.
    ZeroGrad,
    /// The training script itself.
    Script,
    /// No stack was recorded.
    #[default]
    Unknown,
}

impl Doing {
    /// The phase of a run that it is.
    pub fn phase(self) -> Option<PhaseKind> {
        match self {
            Doing::Load => Some(PhaseKind::Load),
            Doing::Forward => Some(PhaseKind::Forward),
            Doing::Recompute | Doing::Backward => Some(PhaseKind::Backward),
            Doing::Optimizer => Some(PhaseKind::Optimizer),
            Doing::ZeroGrad => Some(PhaseKind::ZeroGrad),
            Doing::Script | Doing::Unknown => None,
        }
    }
}

/// What a stack shows beside what the program was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// What the program was doing.
    pub doing: Doing,
    /// In a loss function, or in the output head: a linear layer called by the outermost module.
    pub logits: bool,
    /// In a cache of keys and values.
    pub kv_cache: bool,
    /// In the making of a buffer, such as the rotary embedding's frequencies.
    pub buffer: bool,
    /// At the end of an autocast range, where cast weights are dropped.
    pub autocast_end: bool,
}

/// The signs of every context of a trace.
pub struct Sites {
    signs: Vec<Signs>,
}

impl Sites {
    /// Reads every stack once. Where some have frames, an empty one is of the autograd engine's
    /// thread: Python frames are recorded of the thread that allocates.
    pub fn of(trace: &Trace) -> Sites {
        let read = |id: u32| signs(trace, trace.contexts.get(ContextId(id)));
        let mut all: Vec<Signs> = (0..trace.contexts.len() as u32).map(read).collect();
        // Recorded with `context="state"`, only blocks that are alive at the end have a stack.
        let of_events = trace.recording.as_ref().map_or(&[][..], |recording| &recording.sites);
        if of_events.iter().any(|site| *site != ContextId::default()) {
            for signs in all.iter_mut().filter(|signs| signs.doing == Doing::Unknown) {
                signs.doing = Doing::Backward;
            }
        }
        Sites { signs: all }
    }

    /// The signs of a context.
    pub fn get(&self, id: ContextId) -> Signs {
        self.signs.get(id.index()).copied().unwrap_or_default()
    }
}

fn signs(trace: &Trace, context: Context) -> Signs {
    let frames = trace.contexts.frames_of(context.stack);
    let mut signs = Signs { doing: Doing::Unknown, ..Signs::default() };
    let (mut forwards, mut linear, mut load, mut decided) = (0, false, false, false);
    for frame in frames {
        let frame = trace.contexts.frame_of(*frame);
        let (file, function) = (trace.contexts.str(frame.file), trace.contexts.str(frame.function));
        signs.kv_cache |= file.ends_with("cache_utils.py");
        signs.buffer |= function.contains("rope_parameters") || function == "register_buffer";
        signs.logits |= file.ends_with("loss_utils.py") || function == "cross_entropy";
        signs.autocast_end |= function == "__exit__" && file.ends_with("autocast_mode.py");
        if is_forward(file, function) {
            linear |= forwards == 0 && file.ends_with("nn/modules/linear.py");
            forwards += usize::from(function == "forward");
        }
        load |= is_load(file, function);
        if !decided && let Some(doing) = decide(file, function, forwards > 0) {
            (signs.doing, decided) = (doing, true);
        }
    }
    signs.logits |= linear && forwards == 2;
    if !decided && !frames.is_empty() {
        signs.doing = match (forwards > 0, load) {
            (true, _) => Doing::Forward,
            (_, true) => Doing::Load,
            _ => Doing::Script,
        };
    }
    signs
}

/// What a frame decides, where the frames inside it decided nothing.
fn decide(file: &str, function: &str, in_forward: bool) -> Option<Doing> {
    let optimizer = file.contains("/optim/") || (file.contains("optimizer") && function == "step");
    let engine = file.ends_with("torch/autograd/graph.py")
        || (function == "backward" && file.contains("torch/"))
        || function.contains("torch::autograd::Engine")
        || function.contains("Backward0");
    match () {
        () if function == "zero_grad" => Some(Doing::ZeroGrad),
        () if optimizer && !in_forward && function != "__init__" => Some(Doing::Optimizer),
        () if optimizer && in_forward => Some(Doing::Forward),
        () if engine && in_forward => Some(Doing::Recompute),
        () if engine => Some(Doing::Backward),
        () => None,
    }
}

fn is_forward(file: &str, function: &str) -> bool {
    function == "forward" || (function == "_call_impl" && file.ends_with("nn/modules/module.py"))
}

fn is_load(file: &str, function: &str) -> bool {
    let names =
        ["__init__", "_from_config", "from_config", "from_pretrained", "load_state_dict", "init_weights"];
    names.contains(&function)
        || function.starts_with("_load")
        || (matches!(function, "_apply" | "to" | "cuda") && file.ends_with("nn/modules/module.py"))
}

/// The frames of a context as text, innermost first: `file:line function`.
pub fn stack_text(trace: &Trace, context: ContextId) -> Vec<String> {
    frames_text(trace, trace.contexts.get(context).stack)
}

fn frames_text(trace: &Trace, stack: StackId) -> Vec<String> {
    trace.contexts.frames_of(stack).iter().map(|frame| frame_text(trace, *frame)).collect()
}

fn frame_text(trace: &Trace, frame: FrameId) -> String {
    let frame = trace.contexts.frame_of(frame);
    let (file, function) = (trace.contexts.str(frame.file), trace.contexts.str(frame.function));
    if frame.line == 0 { function.to_owned() } else { format!("{file}:{} {function}", frame.line) }
}

/// The path of the module that asked, such as `model.layers.3.mlp`; empty where the recording does not tell.
pub fn module(trace: &Trace, context: ContextId) -> &str {
    trace.contexts.str(trace.contexts.get(context).module)
}

/// What people know a block by: the module, any layer of it, and the line.
pub fn owner(trace: &Trace, context: ContextId) -> String {
    let (module, line) = (module(trace, context), line(trace, context));
    if module.is_empty() {
        return line;
    }
    let number = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let words: Vec<&str> = module.split('.').map(|word| if number(&word) { "*" } else { word }).collect();
    format!("{} {line}", words.join("."))
}

/// The innermost line outside of PyTorch, its file without the folders.
fn line(trace: &Trace, context: ContextId) -> String {
    let frames = trace.contexts.frames_of(trace.contexts.get(context).stack);
    let own = |frame: &&FrameId| {
        let file = trace.contexts.str(trace.contexts.frame_of(**frame).file);
        !file.contains("/torch/") && file != "??" && !file.is_empty()
    };
    let Some(frame) = frames.iter().find(own).or(frames.first()) else { return "(no stack)".to_owned() };
    let text = frame_text(trace, *frame);
    let (place, function) = text.rsplit_once(' ').unwrap_or((&text, ""));
    let short = place.rsplit(['/', '\\']).next().unwrap_or(place);
    format!("{short} {function}").trim_end().to_owned()
}
