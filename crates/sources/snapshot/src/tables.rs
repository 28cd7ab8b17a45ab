//! Where the contents of dicts and lists go: rows of tables, one kind for each thing in a snapshot.

use std::collections::BTreeMap;

use brimful_trace::{BlockState, Context, ContextId, ContextTable, Frame, FrameId, Lane, StackId, StrId};
use rustc_hash::FxHashMap;

use crate::columns::{Columns, Entry};
use crate::settings::Settings;
use crate::value::Value;
use crate::words::{KEYS, Word};

/// Devices in one file; PyTorch is compiled for at most 120.
pub(crate) const MOST_DEVICES: usize = 128;
/// Frames that are kept of a stack, from the innermost on.
const DEEPEST_STACK: usize = 1024;
/// Unknown keys whose names are kept.
const MOST_UNKNOWN_KEYS: usize = 64;

/// A segment as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRow {
    pub device: u64,
    pub address: u64,
    pub total: u64,
    pub lane: Lane,
    pub small: bool,
    pub expandable: bool,
    pub blocks: (u32, u32),
    pub site: ContextId,
}

/// A block as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRow {
    /// Absent before PyTorch 2.1.
    pub address: Option<u64>,
    pub size: u64,
    pub requested: u64,
    pub state: BlockState,
    pub site: ContextId,
}

/// A named range's begin or end as it was read.
#[derive(Clone, Debug)]
pub(crate) struct AnnotationRow {
    pub name: String,
    pub begins: bool,
    pub device: u64,
    pub time: u64,
}

/// What the outermost dict said.
#[derive(Debug, Default)]
pub(crate) struct Top {
    pub keys: Vec<Word>,
    pub traces: Option<u32>,
    pub host_traces: Option<u32>,
}

/// Text outside of the pickle: JSON's strings, unescaped.
pub(crate) const IN_ARENA: u64 = 1 << 63;

/// Everything that was read so far.
pub(crate) struct Tables<'a> {
    data: &'a [u8],
    pub arena: Vec<u8>,
    pub contexts: ContextTable,
    /// Contexts by stack.
    sites: Vec<ContextId>,
    /// Sites within a module.
    within: FxHashMap<(ContextId, StrId), ContextId>,
    pairs: Vec<(u64, u64)>,
    pair_numbers: FxHashMap<(u64, u64), u32>,
    entries: Vec<Entry>,
    pub devices: Vec<Columns>,
    pub device_lists: Vec<Vec<Option<u32>>>,
    pub segments: Vec<SegmentRow>,
    pub blocks: Vec<BlockRow>,
    histories: Vec<(u64, ContextId)>,
    pub annotations: Vec<AnnotationRow>,
    pub settings: Option<Settings>,
    divisions: Vec<[u64; 16]>,
    pub top: Option<Top>,
    pub unknown_keys: BTreeMap<String, u64>,
    /// Dicts and lists that are nothing the reader knows.
    pub unknown_values: u64,
    /// Keys of trace entries and of blocks, by bit: they tell the version.
    pub entry_keys: u64,
    pub block_keys: u64,
    fields: [Value; KEYS],
    frames: Vec<FrameId>,
}

impl<'a> Tables<'a> {
    /// Empty tables for the texts of this file.
    pub fn new(data: &'a [u8]) -> Tables<'a> {
        Tables {
            data,
            arena: Vec::new(),
            contexts: ContextTable::default(),
            sites: vec![ContextId::default()],
            within: FxHashMap::default(),
            pairs: Vec::new(),
            pair_numbers: FxHashMap::default(),
            entries: Vec::new(),
            devices: Vec::new(),
            device_lists: Vec::new(),
            segments: Vec::new(),
            blocks: Vec::new(),
            histories: Vec::new(),
            annotations: Vec::new(),
            settings: None,
            divisions: Vec::new(),
            top: None,
            unknown_keys: BTreeMap::new(),
            unknown_values: 0,
            entry_keys: 0,
            block_keys: 0,
            fields: [Value::None; KEYS],
            frames: Vec::new(),
        }
    }

    /// The text of a value; `None` where it is none.
    pub fn text(&self, value: Value) -> Option<String> {
        match value {
            Value::Word(word) => Some(String::from_utf8_lossy(word.text()).into_owned()),
            Value::Text { at, len } => Some(String::from_utf8_lossy(self.bytes(at, len)).into_owned()),
            _ => None,
        }
    }

    fn bytes(&self, at: u64, len: u32) -> &[u8] {
        let (source, at) =
            if at & IN_ARENA == 0 { (self.data, at) } else { (&self.arena[..], at ^ IN_ARENA) };
        source.get(at as usize..at as usize + len as usize).unwrap_or(&[])
    }

    /// A tuple's value: a pair of integers, or nothing of interest.
    pub fn tuple(&mut self, items: &[Value]) -> Value {
        let [a, b] = items else { return Value::Other };
        let (Some(a), Some(b)) = (a.as_u64(), b.as_u64()) else { return Value::Other };
        if self.pairs.first() == Some(&(a, b)) {
            return Value::Pair(0);
        }
        let pairs = &mut self.pairs;
        let number = *self.pair_numbers.entry((a, b)).or_insert_with(|| {
            pairs.push((a, b));
            pairs.len() as u32 - 1
        });
        Value::Pair(number)
    }

    /// The stack of frames, innermost first.
    pub fn stack(&mut self, frames: impl Iterator<Item = u32>) -> u32 {
        self.frames.clear();
        self.frames.extend(frames.take(DEEPEST_STACK).map(FrameId));
        let stack = self.contexts.stack(&self.frames);
        if stack.0 as usize == self.sites.len() {
            self.sites.push(self.contexts.context(Context { stack, ..Context::default() }));
        }
        stack.0
    }

    /// What a dict of these keys and values is.
    ///
    /// # Errors
    /// What is impossible in it.
    pub fn dict(&mut self, items: &[Value]) -> Result<Value, String> {
        let mut mask = 0u64;
        for pair in items.chunks_exact(2) {
            match pair[0] {
                Value::Word(word) if word.bit().is_some() => {
                    mask |= word.bit().unwrap_or(0);
                    self.fields[word as usize] = pair[1];
                }
                key => self.unknown_key(key),
            }
        }
        self.known_dict(mask, items)
    }

    /// The value of a key, for the dict that is added next.
    #[inline]
    pub fn set_field(&mut self, word: Word, value: Value) {
        self.fields[word as usize] = value;
    }

    /// What a dict of these fields is; `items` are those that may have unknown keys.
    ///
    /// # Errors
    /// What is impossible in it.
    pub fn known_dict(&mut self, mask: u64, items: &[Value]) -> Result<Value, String> {
        let has = |word: Word| mask & word.bit().unwrap_or(0) != 0;
        if Tables::is_entry(mask) {
            let entry = self.entry(mask)?;
            self.entries.push(entry);
            Ok(Value::Entry(self.entries.len() as u32 - 1))
        } else if has(Word::Filename) {
            Ok(self.frame(mask))
        } else if has(Word::State) {
            self.block(mask)
        } else if has(Word::TotalSize) {
            self.segment(mask)
        } else if has(Word::Segments) || has(Word::DeviceTraces) {
            Ok(self.top(mask))
        } else if has(Word::Stage) || (has(Word::Name) && has(Word::TimeUs)) {
            Ok(self.annotation(mask))
        } else if has(Word::MaxSplitSize) || has(Word::AllocConf) {
            Ok(self.settings(mask))
        } else if has(Word::RealSize) {
            Ok(self.history(mask))
        } else {
            Ok(self.divisions(items))
        }
    }

    /// Numbers are the keys of `roundup_power2_divisions`.
    fn unknown_key(&mut self, key: Value) {
        let Some(name) = self.text(key).filter(|name| name.parse::<u64>().is_err()) else { return };
        if self.unknown_keys.len() < MOST_UNKNOWN_KEYS || self.unknown_keys.contains_key(&name) {
            *self.unknown_keys.entry(name.chars().take(80).collect()).or_default() += 1;
        }
    }

    /// The value of a key that was set for the next dict; `None` if the mask lacks it.
    #[inline]
    pub fn field(&self, mask: u64, word: Word) -> Value {
        if mask & word.bit().unwrap_or(0) == 0 { Value::None } else { self.fields[word as usize] }
    }

    fn number(&self, mask: u64, word: Word) -> Option<u64> {
        self.field(mask, word).as_u64()
    }

    fn site(&self, mask: u64) -> ContextId {
        match self.field(mask, Word::Frames) {
            Value::Stack { stack, .. } => self.sites.get(stack as usize).copied().unwrap_or_default(),
            _ => ContextId::default(),
        }
    }

    /// What a program says of its allocations (`torch.cuda.memory._set_memory_metadata`) is taken for a module's path.
    fn site_of_entry(&mut self, mask: u64) -> ContextId {
        let site = self.site(mask);
        let metadata = self.field(mask, Word::UserMetadata);
        if !matches!(metadata, Value::Text { .. } | Value::Word(_)) || metadata == Value::Word(Word::Nothing)
        {
            return site;
        }
        let module = self.intern(metadata);
        let contexts = &mut self.contexts;
        let within = self.within.entry((site, module));
        *within.or_insert_with(|| contexts.context(Context { module, ..contexts.get(site) }))
    }

    fn lane(&self, mask: u64, pool: Word) -> Lane {
        let pool = match self.field(mask, pool) {
            Value::Pair(number) => self.pairs.get(number as usize).copied().unwrap_or_default(),
            _ => (0, 0),
        };
        Lane { stream: self.field(mask, Word::Stream).as_i64().unwrap_or(0), pool }
    }

    /// Whether a dict of these fields is a trace entry.
    #[inline]
    pub fn is_entry(mask: u64) -> bool {
        mask & Word::Action.bit().unwrap_or(0) != 0
    }

    /// Appends the entry of these fields to a device's list.
    ///
    /// # Errors
    /// What is impossible in it.
    pub fn entry_of(&mut self, device: u32, mask: u64) -> Result<(), String> {
        let entry = self.entry(mask)?;
        self.devices[device as usize].push(&entry)
    }

    #[inline]
    fn entry(&mut self, mask: u64) -> Result<Entry, String> {
        self.entry_keys |= mask;
        let address = match self.field(mask, Word::DeviceFree) {
            Value::None => self.number(mask, Word::Addr).ok_or("an event without an address in `addr`"),
            free => free.as_u64().ok_or("an event whose `device_free` is no number"),
        }?;
        let action = match self.field(mask, Word::Action) {
            Value::Word(word) => word,
            Value::Text { .. } => Word::UserDefined,
            _ => return Err("an event whose `action` is no text".to_owned()),
        };
        Ok(Entry {
            action,
            address,
            size: self.number(mask, Word::Size).ok_or("an event without a number of bytes in `size`")?,
            lane: self.lane(mask, Word::PoolId),
            time: self.number(mask, Word::TimeUs).unwrap_or(0),
            site: self.site_of_entry(mask),
        })
    }

    fn intern(&mut self, value: Value) -> StrId {
        match value {
            Value::Text { at, len } if at & IN_ARENA == 0 => {
                let bytes = self.data.get(at as usize..at as usize + len as usize).unwrap_or(&[]);
                self.contexts.intern(&String::from_utf8_lossy(bytes))
            }
            other => {
                let text = self.text(other).unwrap_or_default();
                self.contexts.intern(&text)
            }
        }
    }

    fn frame(&mut self, mask: u64) -> Value {
        let function = self.intern(self.field(mask, Word::Name));
        let file = self.intern(self.field(mask, Word::Filename));
        let line = self.number(mask, Word::Line).and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
        Value::Frame(self.contexts.frame(Frame { file, function, line }).0)
    }

    fn block(&mut self, mask: u64) -> Result<Value, String> {
        self.block_keys |= mask;
        let history = match self.field(mask, Word::History) {
            Value::History(row) => self.histories.get(row as usize).copied(),
            _ => None,
        };
        let size = self.number(mask, Word::Size).ok_or("a block without a number of bytes in `size`")?;
        let state = match self.field(mask, Word::State) {
            Value::Word(Word::ActiveAllocated) => BlockState::Allocated,
            Value::Word(Word::ActivePendingFree | Word::ActiveAwaitingFree) => BlockState::PendingFree,
            Value::Word(Word::Inactive) => BlockState::Inactive,
            _ => return Err("a block whose `state` is unknown".to_owned()),
        };
        let requested = self.number(mask, Word::RequestedSize).or(history.map(|row| row.0));
        let site = self.site(mask);
        self.blocks.push(BlockRow {
            address: self.number(mask, Word::Address),
            size,
            requested: requested.unwrap_or(size),
            state,
            site: if site == ContextId::default() { history.map_or(site, |row| row.1) } else { site },
        });
        Ok(Value::Block(self.blocks.len() as u32 - 1))
    }

    fn segment(&mut self, mask: u64) -> Result<Value, String> {
        let blocks = match self.field(mask, Word::Blocks) {
            Value::Blocks { start, len } => (start, len),
            _ => (0, 0),
        };
        self.segments.push(SegmentRow {
            device: self.number(mask, Word::Device).unwrap_or(0),
            address: self.number(mask, Word::Address).ok_or("a segment without an address in `address`")?,
            total: self
                .number(mask, Word::TotalSize)
                .ok_or("a segment without a number of bytes in `total_size`")?,
            lane: self.lane(mask, Word::SegmentPoolId),
            small: self.field(mask, Word::SegmentType) == Value::Word(Word::Small),
            expandable: self.field(mask, Word::IsExpandable) == Value::Bool(true),
            blocks,
            site: self.site(mask),
        });
        Ok(Value::Segment(self.segments.len() as u32 - 1))
    }

    fn annotation(&mut self, mask: u64) -> Value {
        let row = AnnotationRow {
            name: self.text(self.field(mask, Word::Name)).unwrap_or_default(),
            begins: self.field(mask, Word::Stage) != Value::Word(Word::End),
            device: self.number(mask, Word::Device).unwrap_or(0),
            time: self.number(mask, Word::TimeUs).unwrap_or(0),
        };
        self.annotations.push(row);
        Value::Annotation
    }

    fn settings(&mut self, mask: u64) -> Value {
        let divisions = match self.field(mask, Word::Divisions) {
            Value::Divisions(number) => self.divisions.get(number as usize).copied(),
            _ => None,
        };
        self.settings = Some(Settings {
            conf: self.text(self.field(mask, Word::AllocConf)).unwrap_or_default(),
            max_split_size: self.number(mask, Word::MaxSplitSize),
            garbage_collection_threshold: match self.field(mask, Word::GcThreshold) {
                Value::Float(share) => share,
                _ => 0.0,
            },
            expandable_segments: self.field(mask, Word::ExpandableSegments) == Value::Bool(true),
            roundup_power2_divisions: divisions.unwrap_or_default(),
            trace_overflowed: match self.field(mask, Word::TraceOverflowed) {
                Value::Bool(overflowed) => Some(overflowed),
                _ => None,
            },
        });
        Value::Settings
    }

    fn history(&mut self, mask: u64) -> Value {
        self.histories.push((self.number(mask, Word::RealSize).unwrap_or(0), self.site(mask)));
        Value::History(self.histories.len() as u32 - 1)
    }

    /// `roundup_power2_divisions`: sixteen intervals by their lower bound in MiB.
    fn divisions(&mut self, items: &[Value]) -> Value {
        let mut all = [0; 16];
        for pair in items.chunks_exact(2) {
            let interval = self.text(pair[0]).and_then(|text| text.parse::<u64>().ok());
            let (Some(mebibytes @ 1..), Some(divisions)) = (interval, pair[1].as_u64()) else {
                self.unknown_values += 1;
                return Value::Other;
            };
            all[(mebibytes.ilog2() as usize).min(15)] = divisions;
        }
        self.divisions.push(all);
        Value::Divisions(self.divisions.len() as u32 - 1)
    }

    fn top(&mut self, mask: u64) -> Value {
        let list = |value| match value {
            Value::Devices { number } => Some(number),
            _ => None,
        };
        let words = (0..KEYS as u32).filter_map(Word::from_number);
        self.top = Some(Top {
            keys: words.filter(|word| mask & word.bit().unwrap_or(0) != 0).collect(),
            traces: list(self.field(mask, Word::DeviceTraces)),
            host_traces: list(self.field(mask, Word::HostTraces)),
        });
        Value::Other
    }

    /// What a list is after these items were appended to it.
    ///
    /// # Errors
    /// What is impossible in them.
    pub fn extend(&mut self, list: Value, items: &[Value]) -> Result<Value, String> {
        let slot = list.slot();
        let mut list = list;
        if let Some(Value::Frame(_)) = items.first()
            && matches!(list, Value::List { .. } | Value::Stack { .. })
        {
            return Ok(self.longer_stack(list, items, slot));
        }
        for item in items {
            list = self.append(list, *item)?;
        }
        let from = match items.first() {
            Some(Value::Entry(row)) => *row as usize,
            _ => self.entries.len(),
        };
        self.entries.truncate(from);
        Ok(list)
    }

    fn longer_stack(&mut self, list: Value, items: &[Value], slot: u32) -> Value {
        let before: Vec<FrameId> = match list {
            Value::Stack { stack, .. } => self.contexts.frames_of(StackId(stack)).to_vec(),
            _ => Vec::new(),
        };
        let frame = |item: &Value| match item {
            Value::Frame(frame) => Some(*frame),
            _ => None,
        };
        let frames = before.iter().map(|frame| frame.0).chain(items.iter().filter_map(frame));
        Value::Stack { stack: self.stack(frames), slot }
    }

    /// What a list is after an item was appended to it.
    pub fn append(&mut self, list: Value, item: Value) -> Result<Value, String> {
        Ok(match (list, item) {
            (Value::List { .. }, Value::Entry(_)) => {
                if self.devices.len() >= 2 * MOST_DEVICES {
                    return Err(format!("traces of more than {MOST_DEVICES} devices"));
                }
                // The first is the only one in most files; an entry takes some 100 bytes or more.
                let expected = if self.devices.is_empty() { self.data.len() / 96 } else { 0 };
                self.devices.push(Columns::for_entries(expected));
                self.append(Value::Device { number: self.devices.len() as u32 - 1 }, item)?
            }
            (Value::Device { number }, Value::Entry(row)) => {
                let entry = self.entries[row as usize];
                self.devices[number as usize].push(&entry)?;
                list
            }
            (Value::List { .. }, Value::Device { .. } | Value::List { .. }) => {
                self.device_lists.push(Vec::new());
                self.append(Value::Devices { number: self.device_lists.len() as u32 - 1 }, item)?
            }
            (Value::Devices { number }, Value::Device { .. } | Value::List { .. }) => {
                let devices = &mut self.device_lists[number as usize];
                if devices.len() >= MOST_DEVICES {
                    return Err(format!("traces of more than {MOST_DEVICES} devices"));
                }
                devices.push(if let Value::Device { number } = item { Some(number) } else { None });
                list
            }
            (Value::List { .. }, Value::Block(start)) => Value::Blocks { start, len: 1 },
            (Value::Blocks { start, len }, Value::Block(row)) if row == start + len => {
                Value::Blocks { start, len: len + 1 }
            }
            (Value::List { .. }, Value::Segment(start)) => Value::Segments { start, len: 1 },
            (Value::Segments { start, len }, Value::Segment(row)) if row == start + len => {
                Value::Segments { start, len: len + 1 }
            }
            (Value::List { .. } | Value::Annotations, Value::Annotation) => Value::Annotations,
            (Value::List { .. }, Value::History(_)) => item,
            (Value::History(_), Value::History(_)) => list,
            (Value::List { .. } | Value::Other, Value::Word(_) | Value::Text { .. }) => Value::Other,
            (Value::List { .. } | Value::Stack { .. }, Value::Frame(_)) => {
                self.longer_stack(list, &[item], list.slot())
            }
            _ => {
                self.unknown_values += 1;
                if matches!(list, Value::List { .. }) { Value::Other } else { list }
            }
        })
    }
}
