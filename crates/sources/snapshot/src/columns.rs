//! The events of one device, put into the columns of a trace as they are read.

use std::collections::hash_map::Entry as Slot;

use brimful_trace::{
    Allocation, AllocationId, ContextId, Event, Lane, LaneId, OomEvent, Origin, Segment, Trace,
};
use brimful_units::Bytes;
use rustc_hash::FxHashMap;

use crate::words::Word;

/// Sizes from here on are damage, not memory: 256 TiB.
pub(crate) const ABSURD: u64 = 1 << 48;
/// Requests from here on are damage, not an overflow in a program: 1 EiB.
const ABSURD_REQUEST: u64 = 1 << 60;
/// All sizes of a device together stay below this, so that no later sum overflows.
const ABSURD_TOTAL: u64 = 1 << 62;

/// A trace entry as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub action: Word,
    /// The address; for `oom` what the device had free.
    pub address: u64,
    pub size: u64,
    pub lane: Lane,
    pub time: u64,
    pub site: ContextId,
}

/// Lanes by number, in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub all: Vec<Lane>,
    numbers: FxHashMap<Lane, LaneId>,
    last: Option<(Lane, LaneId)>,
}

impl Lanes {
    /// The number of a lane; `None` where there are more than 65,536.
    pub fn number(&mut self, lane: Lane) -> Option<LaneId> {
        if let Some((_, number)) = self.last.filter(|last| last.0 == lane) {
            return Some(number);
        }
        let number = match self.numbers.entry(lane) {
            Slot::Occupied(known) => *known.get(),
            Slot::Vacant(new) => {
                let number = LaneId(u16::try_from(self.all.len()).ok()?);
                self.all.push(lane);
                *new.insert(number)
            }
        };
        self.last = Some((lane, number));
        Some(number)
    }
}

/// The events of one device.
#[derive(Debug)]
pub(crate) struct Columns {
    pub trace: Trace,
    pub lanes: Lanes,
    /// Blocks that are handed out or pending, by address.
    pub live: FxHashMap<u64, AllocationId>,
    pub sites: Vec<ContextId>,
    pub pauses: Vec<u32>,
    pub started: u64,
    /// A block died that was not seen being born.
    pub begins_late: bool,
    /// Frees that were not recorded but must have happened.
    pub implied_frees: u64,
    last_time: u64,
    timed: bool,
    total: u64,
}

impl Default for Columns {
    fn default() -> Self {
        Columns {
            trace: Trace::new(Origin::Recorded),
            lanes: Lanes::default(),
            live: FxHashMap::default(),
            sites: Vec::new(),
            pauses: Vec::new(),
            started: 0,
            begins_late: false,
            implied_frees: 0,
            last_time: 0,
            timed: false,
            total: 0,
        }
    }
}

impl Columns {
    /// Columns for about so many entries. They are not filled before they are needed, so a guess that is
    /// too large costs address space only, and growing by doubling would leave holes behind.
    pub fn for_entries(count: usize) -> Columns {
        let mut columns = Columns::default();
        columns.trace.reserve(count, count / 2);
        columns.sites.reserve(count);
        columns.pauses.reserve(count);
        columns
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// What is impossible about it.
    pub fn push(&mut self, entry: &Entry) -> Result<(), String> {
        let lane = self.lanes.number(entry.lane).ok_or("more than 65,536 lanes")?;
        match entry.action {
            Word::Alloc => self.alloc(entry, lane)?,
            Word::FreeRequested => {
                let id = self.freed(entry, lane)?;
                self.event(Event::FreeRequested(id), entry);
            }
            Word::FreeCompleted => {
                let id = self.freed(entry, lane)?;
                self.live.remove(&entry.address);
                self.event(Event::FreeCompleted(id), entry);
            }
            Word::SegmentAlloc | Word::SegmentFree | Word::SegmentMap | Word::SegmentUnmap => {
                self.segment(entry, lane)?;
            }
            Word::Oom => self.oom(entry, lane)?,
            _ => self.event(Event::Remark, entry),
        }
        Ok(())
    }

    fn alloc(&mut self, entry: &Entry, lane: LaneId) -> Result<(), String> {
        let row = self.row(entry, lane)?;
        let id = self.trace.allocations.push(row);
        if let Some(before) = self.live.insert(entry.address, id) {
            self.implied_frees += 1;
            self.event(Event::FreeCompleted(before), entry);
        }
        self.event(Event::Alloc(id), entry);
        Ok(())
    }

    /// The block at the address; one that was there before the first entry where none is known.
    fn freed(&mut self, entry: &Entry, lane: LaneId) -> Result<AllocationId, String> {
        if let Some(id) = self.live.get(&entry.address) {
            return Ok(*id);
        }
        let mut row = self.row(entry, lane)?;
        row.context = ContextId::default();
        let id = self.trace.allocations.push(row);
        self.live.insert(entry.address, id);
        self.begins_late = true;
        Ok(id)
    }

    /// A block that was there all the time.
    pub fn resident(&mut self, row: &Entry, lane: LaneId) -> Result<AllocationId, String> {
        let mut allocation = self.row(row, lane)?;
        allocation.context = row.site;
        self.begins_late = true;
        Ok(self.trace.allocations.push(allocation))
    }

    fn row(&mut self, entry: &Entry, lane: LaneId) -> Result<Allocation, String> {
        self.account(entry)?;
        Ok(Allocation {
            bytes: Bytes::new(entry.size),
            context: entry.site,
            lane,
            address: Some(entry.address),
            ..Allocation::default()
        })
    }

    fn segment(&mut self, entry: &Entry, lane: LaneId) -> Result<(), String> {
        self.account(entry)?;
        let bytes = Bytes::new(entry.size);
        let row = Segment { bytes, address: entry.address, lane, context: entry.site };
        let id = self.trace.segment(row);
        let event = match entry.action {
            Word::SegmentAlloc => Event::SegmentAlloc(id),
            Word::SegmentFree => Event::SegmentFree(id),
            Word::SegmentMap => Event::SegmentMap(id),
            _ => Event::SegmentUnmap(id),
        };
        self.event(event, entry);
        Ok(())
    }

    fn oom(&mut self, entry: &Entry, lane: LaneId) -> Result<(), String> {
        if entry.size >= ABSURD_REQUEST {
            return Err(format!("a failed request of {} bytes", entry.size));
        }
        self.add(entry.size)?;
        let free = Some(Bytes::new(entry.address));
        self.trace.oom(OomEvent { tried: Bytes::new(entry.size), free, context: entry.site, lane });
        self.mark(entry);
        Ok(())
    }

    /// Keeps the sum of all sizes, and every address with its size, within 64 bits.
    fn account(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.size >= ABSURD {
            return Err(format!("a block of {} bytes", entry.size));
        }
        if entry.address > u64::MAX - 2 * ABSURD {
            return Err(format!("a block at the address {:#x}", entry.address));
        }
        self.add(entry.size)
    }

    /// Counts a size below [`ABSURD`] towards the device's total.
    pub fn add(&mut self, size: u64) -> Result<(), String> {
        self.total += size;
        if self.total >= ABSURD_TOTAL || self.trace.allocations.len() >= u32::MAX as usize {
            return Err("more memory than 64 bits can count".to_owned());
        }
        Ok(())
    }

    fn event(&mut self, event: Event, entry: &Entry) {
        self.trace.push(event);
        self.mark(entry);
    }

    fn mark(&mut self, entry: &Entry) {
        if self.sites.is_empty() {
            (self.started, self.last_time, self.timed) = (entry.time, entry.time, entry.time != 0);
        }
        self.sites.push(entry.site);
        if self.timed {
            let pause = entry.time.saturating_sub(self.last_time);
            self.pauses.push(u32::try_from(pause).unwrap_or(u32::MAX));
            self.last_time = self.last_time.max(entry.time);
        }
    }
}
