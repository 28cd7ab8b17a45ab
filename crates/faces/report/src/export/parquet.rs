use std::io::Write;
use std::sync::Arc;

use brimful_explain::snapshot::stack_text;
use brimful_trace::{AllocationId, Category, ContextId, Event, Trace};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// One row for each event, in order. Absent values are null.
const SCHEMA: &str = "message events {
    required int64 event;
    required binary kind (UTF8);
    optional int64 bytes;
    optional int64 address;
    optional int64 block;
    optional binary category (UTF8);
    optional binary op (UTF8);
    optional binary module (UTF8);
    optional binary stack (UTF8);
    optional int64 stream;
}";

/// Rows that are written at once.
const ROWS: usize = 100_000;

/// The events as rows of a Parquet file, for DuckDB, Spark and Ray. `purposes` is by block.
///
/// # Errors
/// As the writer's.
pub fn parquet(trace: &Trace, purposes: &[Category], file: impl Write + Send) -> Result<(), ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    let events: Vec<Event> = trace.events().collect();
    for (group, events) in events.chunks(ROWS).enumerate() {
        let rows = Rows::of(trace, purposes, group * ROWS, events);
        let mut group = writer.next_row_group()?;
        rows.write(&mut group)?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// The columns of some events.
#[derive(Default)]
struct Rows {
    event: Vec<Option<i64>>,
    kind: Vec<Option<ByteArray>>,
    bytes: Vec<Option<i64>>,
    address: Vec<Option<i64>>,
    block: Vec<Option<i64>>,
    category: Vec<Option<ByteArray>>,
    op: Vec<Option<ByteArray>>,
    module: Vec<Option<ByteArray>>,
    stack: Vec<Option<ByteArray>>,
    stream: Vec<Option<i64>>,
}

impl Rows {
    fn of(trace: &Trace, purposes: &[Category], first: usize, events: &[Event]) -> Rows {
        let mut rows = Rows::default();
        for (at, event) in events.iter().enumerate() {
            rows.event.push(Some((first + at) as i64));
            rows.kind.push(Some(kind(*event).into()));
            match *event {
                Event::Alloc(id) | Event::Free(id) | Event::FreeRequested(id) | Event::FreeCompleted(id) => {
                    rows.block_row(trace, purposes, id);
                }
                Event::SegmentAlloc(id)
                | Event::SegmentFree(id)
                | Event::SegmentMap(id)
                | Event::SegmentUnmap(id) => {
                    let row = trace.segments.get(id);
                    rows.values(trace, row.bytes.get(), Some(row.address), row.context, row.lane.0);
                    rows.block.push(None);
                    rows.category.push(None);
                }
                Event::Oom(id) => {
                    let row = trace.oom_row(id);
                    rows.values(trace, row.tried.get(), None, row.context, row.lane.0);
                    rows.block.push(None);
                    rows.category.push(None);
                }
                Event::EmptyCache | Event::Phase(_) | Event::Remark => rows.empty_row(),
            }
        }
        rows
    }

    fn block_row(&mut self, trace: &Trace, purposes: &[Category], id: AllocationId) {
        let row = trace.allocations.get(id);
        self.values(trace, row.bytes.get(), row.address, row.context, row.lane.0);
        self.block.push(Some(i64::from(id.0)));
        self.category.push(purposes.get(id.index()).map(|purpose| purpose.name().into()));
    }

    fn values(&mut self, trace: &Trace, bytes: u64, address: Option<u64>, context: ContextId, stream: u16) {
        let names = trace.contexts.get(context);
        let name = |id| Some(trace.contexts.str(id)).filter(|name| !name.is_empty()).map(ByteArray::from);
        let stack = stack_text(trace, context);
        // Parquet's integers are signed; sizes and addresses of a device are below 2^63.
        self.bytes.push(i64::try_from(bytes).ok());
        self.address.push(address.and_then(|address| i64::try_from(address).ok()));
        self.op.push(name(names.op));
        self.module.push(name(names.module));
        self.stack.push((!stack.is_empty()).then(|| stack.join("\n").as_str().into()));
        self.stream.push(Some(i64::from(stream)));
    }

    fn empty_row(&mut self) {
        for column in [&mut self.bytes, &mut self.address, &mut self.block, &mut self.stream] {
            column.push(None);
        }
        for column in [&mut self.category, &mut self.op, &mut self.module, &mut self.stack] {
            column.push(None);
        }
    }

    fn write<W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        numbers(group, &self.event, false)?;
        texts(group, &self.kind, false)?;
        numbers(group, &self.bytes, true)?;
        numbers(group, &self.address, true)?;
        numbers(group, &self.block, true)?;
        texts(group, &self.category, true)?;
        texts(group, &self.op, true)?;
        texts(group, &self.module, true)?;
        texts(group, &self.stack, true)?;
        numbers(group, &self.stream, true)
    }
}

/// Whether each value is there, as Parquet wants it of an optional column.
fn levels<T>(column: &[Option<T>], optional: bool) -> Option<Vec<i16>> {
    optional.then(|| column.iter().map(|value| i16::from(value.is_some())).collect())
}

fn numbers<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &[Option<i64>],
    optional: bool,
) -> Result<(), ParquetError> {
    let values: Vec<i64> = column.iter().copied().flatten().collect();
    let Some(mut writer) = group.next_column()? else { return Ok(()) };
    writer.typed::<Int64Type>().write_batch(&values, levels(column, optional).as_deref(), None)?;
    writer.close()
}

fn texts<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &[Option<ByteArray>],
    optional: bool,
) -> Result<(), ParquetError> {
    let values: Vec<ByteArray> = column.iter().flatten().cloned().collect();
    let Some(mut writer) = group.next_column()? else { return Ok(()) };
    writer.typed::<ByteArrayType>().write_batch(&values, levels(column, optional).as_deref(), None)?;
    writer.close()
}

const fn kind(event: Event) -> &'static str {
    match event {
        Event::Alloc(_) => "alloc",
        Event::Free(_) => "free",
        Event::FreeRequested(_) => "free_requested",
        Event::FreeCompleted(_) => "free_completed",
        Event::SegmentAlloc(_) => "segment_alloc",
        Event::SegmentFree(_) => "segment_free",
        Event::SegmentMap(_) => "segment_map",
        Event::SegmentUnmap(_) => "segment_unmap",
        Event::Oom(_) => "oom",
        Event::EmptyCache => "empty_cache",
        Event::Phase(_) => "phase",
        Event::Remark => "remark",
    }
}

#[cfg(test)]
mod tests {
    use brimful_trace::{Allocation, Origin};
    use brimful_units::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<(), Box<dyn std::error::Error>> {
        let mut trace = Trace::new(Origin::Predicted);
        trace.begin_phase(brimful_trace::PhaseKind::Forward, "forward");
        let block = trace.alloc(Allocation { bytes: Bytes::mib(3), ..Allocation::default() });
        trace.free(block);
        let mut file = Vec::new();
        parquet(&trace, &[Category::Activation], &mut file)?;
        let reader = SerializedFileReader::new(bytes::Bytes::from(file))?;
        let rows = reader.get_row_iter(None)?.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(rows.len(), 3);
        let kinds = rows.iter().map(|row| row.get_string(1)).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(kinds, ["phase", "alloc", "free"]);
        assert!(rows[0].get_long(2).is_err(), "a phase has no bytes");
        assert_eq!(rows[1].get_long(2)?, 3 << 20);
        assert_eq!(rows[2].get_string(5)?, "activation");
        Ok(())
    }
}
