use rustc_hash::FxHashMap;

/// An interned string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrId(pub u32);

impl StrId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An interned stack frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

impl FrameId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An interned stack; 0 is the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

impl StackId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A row of the context table; 0 is the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(pub u32);

impl ContextId {
    /// The position of the row in its table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who asked for a block: the owner in the model and the place in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// The module's path, such as `model.layers.3.mlp`; empty outside of modules.
    pub module: StrId,
    /// The ATen op, such as `mm`.
    pub op: StrId,
    /// The autograd node, such as `MmBackward0`; empty in the forward.
    pub node: StrId,
    /// The recorded call stack, where there is one.
    pub stack: StackId,
}

/// A frame of a recorded stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The source file.
    pub file: StrId,
    /// The function.
    pub function: StrId,
    /// The line, counted from 1; 0 where it is not known.
    pub line: u32,
}

/// The interned strings, frames, stacks and contexts of a trace.
#[derive(Clone, Debug)]
pub struct ContextTable {
    strings: Vec<Box<str>>,
    string_ids: FxHashMap<Box<str>, StrId>,
    frames: Vec<Frame>,
    frame_ids: FxHashMap<Frame, FrameId>,
    stacks: Vec<Box<[FrameId]>>,
    stack_ids: FxHashMap<Box<[FrameId]>, StackId>,
    contexts: Vec<Context>,
    context_ids: FxHashMap<Context, ContextId>,
}

impl Default for ContextTable {
    fn default() -> Self {
        let mut table = ContextTable {
            strings: Vec::new(),
            string_ids: FxHashMap::default(),
            frames: Vec::new(),
            frame_ids: FxHashMap::default(),
            stacks: Vec::new(),
            stack_ids: FxHashMap::default(),
            contexts: Vec::new(),
            context_ids: FxHashMap::default(),
        };
        table.intern("");
        table.stack(&[]);
        table.context(Context::default());
        table
    }
}

impl ContextTable {
    /// The id of a string.
    pub fn intern(&mut self, text: &str) -> StrId {
        if let Some(id) = self.string_ids.get(text) {
            return *id;
        }
        let id = StrId(self.strings.len() as u32);
        self.strings.push(text.into());
        self.string_ids.insert(text.into(), id);
        id
    }

    /// The id of a frame.
    pub fn frame(&mut self, frame: Frame) -> FrameId {
        let frames = &mut self.frames;
        *self.frame_ids.entry(frame).or_insert_with(|| {
            frames.push(frame);
            FrameId(frames.len() as u32 - 1)
        })
    }

    /// The id of a stack, innermost frame first.
    pub fn stack(&mut self, frames: &[FrameId]) -> StackId {
        if let Some(id) = self.stack_ids.get(frames) {
            return *id;
        }
        let id = StackId(self.stacks.len() as u32);
        self.stacks.push(frames.into());
        self.stack_ids.insert(frames.into(), id);
        id
    }

    /// The id of a context.
    pub fn context(&mut self, context: Context) -> ContextId {
        let contexts = &mut self.contexts;
        *self.context_ids.entry(context).or_insert_with(|| {
            contexts.push(context);
            ContextId(contexts.len() as u32 - 1)
        })
    }

    /// The text of a string.
    pub fn str(&self, id: StrId) -> &str {
        self.strings.get(id.index()).map_or("", |text| text)
    }

    /// Every string, in the order of their ids.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        self.strings.iter().map(|text| &**text)
    }

    /// The row of a context.
    pub fn get(&self, id: ContextId) -> Context {
        self.contexts.get(id.index()).copied().unwrap_or_default()
    }

    /// The frames of a stack, innermost first.
    pub fn frames_of(&self, id: StackId) -> &[FrameId] {
        self.stacks.get(id.index()).map_or(&[], |frames| frames)
    }

    /// A frame.
    ///
    /// # Panics
    /// Where the id is of another table.
    pub fn frame_of(&self, id: FrameId) -> Frame {
        self.frames[id.index()]
    }

    /// The number of contexts.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Whether only the empty context is there.
    pub fn is_empty(&self) -> bool {
        self.contexts.len() <= 1
    }
}
