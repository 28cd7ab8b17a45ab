use std::collections::BTreeMap;

use brimful_trace::{
    AllocationId, Annotation, BlockState, ContextId, ContextTable, FinalBlock, FinalSegment, LaneId, Origin,
    Recording, Trace,
};
use brimful_units::Bytes;

use crate::columns::{ABSURD, Columns, Entry};
use crate::error::SnapshotError;
use crate::machine::End;
use crate::settings::Settings;
use crate::tables::{BlockRow, MOST_DEVICES, SegmentRow, Tables};
use crate::value::Value;
use crate::words::Word;

/// How a snapshot was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `pickle.dump` or PyTorch's own pickler.
    Pickle,
    /// A JSON dump of the same layout.
    Json,
}

/// What could not be read, or was not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Where the file was cut off; the answer is that of the readable part.
    pub cut_off_at: Option<u64>,
    /// Keys that no known version writes, and how often they occur.
    pub unknown_keys: BTreeMap<String, u64>,
    /// Values that are nothing the reader knows.
    pub unknown_values: u64,
    /// Frees that were not recorded, though the address was handed out again.
    pub implied_frees: u64,
}

/// One GPU of a snapshot.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number.
    pub index: usize,
    /// Its events and its memory at the end ([`Trace::recording`]), without the table of stacks.
    trace: Trace,
}

impl Device {
    /// The number of recorded events.
    pub fn events(&self) -> usize {
        self.trace.len()
    }

    /// Bytes in segments at the end (ledger: reserved).
    pub fn reserved(&self) -> Bytes {
        self.trace.recording.as_ref().map_or(Bytes::ZERO, Recording::reserved)
    }
}

/// A PyTorch memory snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The GPUs, by number; those without memory and without events are there too.
    pub devices: Vec<Device>,
    /// The allocator's settings; `None` before PyTorch 2.3.
    pub settings: Option<Settings>,
    /// How it was written.
    pub container: Container,
    /// The earliest PyTorch that writes all of these keys, such as "2.10".
    pub written_by: &'static str,
    /// What could not be read.
    pub unread: Unread,
    contexts: ContextTable,
}

impl Snapshot {
    /// The device with most memory at the end, or most events where none has memory.
    pub fn fullest(&self) -> Option<usize> {
        (0..self.devices.len())
            .rev()
            .max_by_key(|at| (self.devices[*at].reserved(), self.devices[*at].events()))
    }

    /// Takes a device's trace, with the table of stacks that all devices share; `None` where there
    /// is no such device.
    pub fn into_trace(mut self, device: usize) -> Option<Trace> {
        if device >= self.devices.len() {
            return None;
        }
        let mut trace = self.devices.swap_remove(device).trace;
        trace.contexts = self.contexts;
        Some(trace)
    }

    /// The traces of several devices, each with its own copy of the table of stacks that they share. Devices that the
    /// snapshot does not have are left out.
    pub fn into_traces(mut self, devices: &[usize]) -> Vec<(usize, Trace)> {
        let empty = || Trace::new(Origin::Recorded);
        let mut traces = Vec::new();
        for index in devices {
            let Some(device) = self.devices.get_mut(*index) else { continue };
            let mut trace = std::mem::replace(&mut device.trace, empty());
            trace.contexts = self.contexts.clone();
            traces.push((*index, trace));
        }
        traces
    }

    /// Whether any device has events.
    pub fn has_history(&self) -> bool {
        self.devices.iter().any(|device| device.events() > 0)
    }

    pub(crate) fn new(
        mut tables: Tables<'_>,
        root: Value,
        end: End,
        container: Container,
    ) -> Result<Snapshot, SnapshotError> {
        let cut_off_at = match end {
            End::Whole => None,
            End::Cut(at) => Some(at),
        };
        check_content(&tables, root, cut_off_at)?;
        let written_by = crate::version::written_by(&tables);
        let mut columns = columns_by_device(&mut tables);
        let segments = segments_by_device(&mut tables)?;
        columns.resize_with(columns.len().max(segments.len()), Columns::default);
        let unread = Unread {
            cut_off_at,
            unknown_keys: std::mem::take(&mut tables.unknown_keys),
            unknown_values: tables.unknown_values,
            implied_frees: columns.iter().map(|columns| columns.implied_frees).sum(),
        };
        let mut segments = segments.into_iter();
        let devices = columns.into_iter().enumerate().map(|(index, columns)| {
            let rows = segments.next().unwrap_or_default();
            let is_cut = cut_off_at.is_some();
            let (columns, rows) = if is_cut { of_a_part(columns, rows) } else { (columns, rows) };
            device(index, columns, rows, &tables, is_cut).map_err(|what| SnapshotError::Impossible { what })
        });
        let devices = devices.collect::<Result<_, _>>()?;
        let Tables { settings, contexts, .. } = tables;
        Ok(Snapshot { devices, settings, container, written_by, unread, contexts })
    }
}

/// What of a file that is cut off can be followed. PyTorch writes the segments of the end before the events, so that the
/// last events are missing, and the segments are not what the read events lead to. The start cannot be rebuilt from them
/// then. Events that begin with empty memory are followed without the end; any others are left out, and the end is kept.
/// Either way the peak is one that the whole file has, too, or a lower one.
fn of_a_part(columns: Columns, rows: Vec<SegmentRow>) -> (Columns, Vec<SegmentRow>) {
    match columns.trace.is_empty() {
        false if columns.begins_late => (Columns::default(), rows),
        false => (columns, Vec::new()),
        true => (columns, rows),
    }
}

/// Whether this is a snapshot at all, and something of it was read.
fn check_content(tables: &Tables<'_>, root: Value, cut: Option<u64>) -> Result<(), SnapshotError> {
    let nothing = tables.segments.is_empty() && tables.devices.is_empty();
    match (&tables.top, root, cut) {
        (_, _, Some(at)) if nothing => Err(SnapshotError::CutOff { at }),
        // A list of segments alone is `torch.cuda.memory_snapshot()`; an empty one is an unused device.
        (Some(_), ..) | (_, Value::Segments { .. } | Value::List { .. }, _) | (_, _, Some(_)) => Ok(()),
        _ => Err(SnapshotError::OtherContent { keys: tables.unknown_keys.keys().take(8).cloned().collect() }),
    }
}

fn columns_by_device(tables: &mut Tables<'_>) -> Vec<Columns> {
    let mut all: Vec<Option<Columns>> = std::mem::take(&mut tables.devices).into_iter().map(Some).collect();
    let top = tables.top.as_ref();
    let (traces, host) = (top.and_then(|top| top.traces), top.and_then(|top| top.host_traces));
    let order = order_of_devices(traces, host, &tables.device_lists, all.len());
    let mut take = |number: u32| all.get_mut(number as usize)?.take();
    order.into_iter().map(|number| number.and_then(&mut take).unwrap_or_default()).collect()
}

fn segments_by_device(tables: &mut Tables<'_>) -> Result<Vec<Vec<SegmentRow>>, SnapshotError> {
    let mut segments: Vec<Vec<SegmentRow>> = Vec::new();
    for row in std::mem::take(&mut tables.segments) {
        let device = usize::try_from(row.device).ok().filter(|device| *device < MOST_DEVICES);
        let what = || format!("a segment of device {}", row.device);
        let device = device.ok_or_else(|| SnapshotError::Impossible { what: what() })?;
        segments.resize_with(segments.len().max(device + 1), Vec::new);
        segments[device].push(row);
    }
    Ok(segments)
}

fn device(
    index: usize,
    mut columns: Columns,
    rows: Vec<SegmentRow>,
    tables: &Tables<'_>,
    is_cut: bool,
) -> Result<Device, String> {
    let mut recording = layout(&mut columns, rows, &tables.blocks, is_cut)?;
    let own = tables.annotations.iter().filter(|row| row.device == index as u64);
    let events = recording.events_at(own.clone().map(|row| row.time));
    recording.annotations = own
        .zip(events)
        .map(|(row, event)| Annotation { name: row.name.clone(), begins: row.begins, event })
        .collect();
    recording.conf = tables.settings.as_ref().map(|settings| settings.conf.clone()).unwrap_or_default();
    columns.trace.recording = Some(recording);
    Ok(Device { index, trace: columns.trace })
}

/// Which list of entries belongs to which device. In a file that is cut off nothing says so: the
/// lists then come in the order of the file.
fn order_of_devices(
    traces: Option<u32>,
    host: Option<u32>,
    lists: &[Vec<Option<u32>>],
    count: usize,
) -> Vec<Option<u32>> {
    let of = |number: Option<u32>| number.and_then(|number| lists.get(number as usize));
    match (of(traces), of(host)) {
        (Some(list), _) => list.clone(),
        (None, Some(_)) => Vec::new(),
        (None, None) => (0..count.min(MOST_DEVICES) as u32).map(Some).collect(),
    }
}

/// The memory at the end, and the blocks that were there all the time.
fn layout(
    columns: &mut Columns,
    mut rows: Vec<SegmentRow>,
    blocks: &[BlockRow],
    is_cut: bool,
) -> Result<Recording, String> {
    rows.sort_by_key(|row| row.address);
    let mut recording = Recording::default();
    for row in &rows {
        let lane = columns.lanes.number(row.lane).ok_or("more than 65,536 lanes")?;
        if row.total >= ABSURD || row.address > u64::MAX - 2 * ABSURD {
            return Err(format!("a segment of {} bytes at {:#x}", row.total, row.address));
        }
        columns.add(row.total)?;
        let start = recording.blocks.len() as u32;
        let own = blocks.get(row.blocks.0 as usize..).unwrap_or(&[]);
        let mut next = row.address;
        for block in own.iter().take(row.blocks.1 as usize) {
            let address = block.address.unwrap_or(next);
            next = address.saturating_add(block.size);
            recording.blocks.push(final_block(columns, block, address, row, lane)?);
        }
        recording.segments.push(FinalSegment {
            address: row.address,
            bytes: Bytes::new(row.total),
            lane,
            small: row.small,
            expandable: row.expandable,
            blocks: start..recording.blocks.len() as u32,
            context: row.site,
        });
    }
    recording.lanes = std::mem::take(&mut columns.lanes.all);
    recording.sites = std::mem::take(&mut columns.sites);
    recording.pauses = std::mem::take(&mut columns.pauses);
    recording.started = columns.started;
    // Without an end, which a file that is cut off does not have, nothing says that a segment was not seen.
    let has_end = !recording.segments.is_empty();
    recording.begins_late =
        columns.begins_late || (has_end || !is_cut) && unseen_segment(columns, &recording);
    Ok(recording)
}

fn final_block(
    columns: &mut Columns,
    block: &BlockRow,
    address: u64,
    segment: &SegmentRow,
    lane: LaneId,
) -> Result<FinalBlock, String> {
    let absurd_place = address > u64::MAX - 2 * ABSURD;
    if absurd_place
        || block.size >= ABSURD
        || (block.requested >= ABSURD && block.state != BlockState::Inactive)
    {
        return Err(format!("a block of {} bytes at {address:#x}", block.size));
    }
    columns.add(block.size)?;
    let allocation = match (block.state, columns.live.get(&address)) {
        (BlockState::Inactive, _) => None,
        (_, Some(id)) => Some(same_stack(columns, *id, block.site)),
        (_, None) => {
            let entry = Entry {
                action: Word::Alloc,
                address,
                size: block.requested,
                lane: segment.lane,
                time: 0,
                site: block.site,
            };
            Some(columns.resident(&entry, lane)?)
        }
    };
    Ok(FinalBlock {
        address,
        bytes: Bytes::new(block.size),
        requested: Bytes::new(block.requested),
        state: block.state,
        allocation,
    })
}

/// A block whose free was requested within the recording, but whose birth was before: its stack is known.
fn same_stack(columns: &mut Columns, id: AllocationId, site: ContextId) -> AllocationId {
    if columns.trace.allocations.get(id).context == ContextId::default() {
        columns.trace.allocations.set_context(id, site);
    }
    id
}

/// Whether there is memory at the end that no event took from the device.
fn unseen_segment(columns: &Columns, recording: &Recording) -> bool {
    use brimful_trace::Event;
    let trace = &columns.trace;
    let mut reserved = 0i128;
    for event in trace.events() {
        let (id, sign) = match event {
            Event::SegmentAlloc(id) | Event::SegmentMap(id) => (id, 1),
            Event::SegmentFree(id) | Event::SegmentUnmap(id) => (id, -1),
            _ => continue,
        };
        reserved += sign * i128::from(trace.segments.get(id).bytes.get());
    }
    reserved != recording.segments.iter().map(|segment| i128::from(segment.bytes.get())).sum::<i128>()
}
