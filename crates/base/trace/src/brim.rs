//! The `.brim` file: a trace on disk.
//!
//! Little-endian. `BRIM`, the version as u32, then blocks: each a length in bytes as u64 and so many
//! bytes. The blocks, in order: strings (each u32 length and UTF-8), contexts (three string ids),
//! phases (kind u8, string id), allocations (bytes u64, category u8, context u32, lane u16),
//! tensors (allocation u32, dtype u8, rank u8, dimensions u64), events (kind u8, subject u32), and the
//! `PYTORCH_CUDA_ALLOC_CONF` of the job (UTF-8), a block that is only there if the job has one.
//! Stacks, segments and addresses of recorded traces are not part of version 1.

use std::io::{self, Write};

use brimful_units::{Bytes, Dtype, Shape};

use crate::{
    Allocation, Category, Context, ContextId, Event, LaneId, Origin, PhaseKind, StrId, TensorInfo, Trace,
};

/// How every `.brim` file begins.
pub const MAGIC: &[u8; 4] = b"BRIM";
const VERSION: u32 = 1;
/// Dtypes by number in the file.
const DTYPES: [Dtype; 13] = [
    Dtype::Bool,
    Dtype::U8,
    Dtype::I8,
    Dtype::F8E4M3,
    Dtype::F8E5M2,
    Dtype::I16,
    Dtype::F16,
    Dtype::Bf16,
    Dtype::I32,
    Dtype::F32,
    Dtype::I64,
    Dtype::U64,
    Dtype::F64,
];

/// The bytes are not a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrimError {
    /// It does not begin as a trace does.
    #[error("not a .brim trace: the first bytes are not \"BRIM\"")]
    NotBrim,
    /// A later version of the format.
    #[error(".brim version {0} is not known; this program reads version {VERSION}")]
    Version(u32),
    /// The file ends too early.
    #[error("the trace is cut off at byte {at}: {wanted} more bytes were expected")]
    Truncated {
        /// Where it ends.
        at: usize,
        /// How much is missing.
        wanted: u64,
    },
    /// A number that refers to nothing.
    #[error("byte {at}: {what} {value} does not exist")]
    Reference {
        /// Where.
        at: usize,
        /// Of what kind.
        what: &'static str,
        /// The number.
        value: u64,
    },
}

impl Trace {
    /// Writes the trace as `.brim`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_brim(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let conf = (!self.conf.is_empty()).then(|| self.conf.as_bytes().to_vec());
        let tables =
            [self.strings(), self.owners(), self.phase_block(), self.rows(), self.shapes(), self.stream()];
        for block in tables.into_iter().chain(conf) {
            out.write_all(&(block.len() as u64).to_le_bytes())?;
            out.write_all(&block)?;
        }
        Ok(())
    }

    fn strings(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for text in self.contexts.strings() {
            block.extend((text.len() as u32).to_le_bytes());
            block.extend(text.as_bytes());
        }
        block
    }

    fn owners(&self) -> Vec<u8> {
        let all = (0..self.contexts.len() as u32).map(|id| self.contexts.get(ContextId(id)));
        all.flat_map(|c| [c.module, c.op, c.node]).flat_map(|id| id.0.to_le_bytes()).collect()
    }

    fn phase_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for phase in self.phases() {
            block.push(phase.kind as u8);
            block.extend(phase.name.0.to_le_bytes());
        }
        block
    }

    fn rows(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for row in self.allocations.ids().map(|id| self.allocations.get(id)) {
            block.extend(row.bytes.get().to_le_bytes());
            block.push(row.category as u8);
            block.extend(row.context.0.to_le_bytes());
            block.extend(row.lane.0.to_le_bytes());
        }
        block
    }

    fn shapes(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for id in self.allocations.ids() {
            if let Some(tensor) = self.tensor(id) {
                block.extend(id.0.to_le_bytes());
                block.push(DTYPES.iter().position(|d| *d == tensor.dtype).unwrap_or(0) as u8);
                block.push(tensor.shape.rank() as u8);
                block.extend(tensor.shape.dims().iter().flat_map(|d| d.to_le_bytes()));
            }
        }
        block
    }

    fn stream(&self) -> Vec<u8> {
        let pair = |event: Event| {
            let (kind, subject) = event.pack();
            std::iter::once(kind).chain(subject.to_le_bytes())
        };
        self.events().flat_map(pair).collect()
    }

    /// Reads a `.brim` trace.
    ///
    /// # Errors
    /// [`BrimError`] with the offset of the fault; nothing is allocated that the bytes do not hold.
    pub fn read_brim(bytes: &[u8]) -> Result<Trace, BrimError> {
        let mut file = Reader { bytes, at: 0 };
        if file.take(4).map_err(|_| BrimError::NotBrim)? != MAGIC {
            return Err(BrimError::NotBrim);
        }
        match file.u32()? {
            VERSION => {}
            other => return Err(BrimError::Version(other)),
        }
        let mut trace = Trace::new(Origin::Predicted);
        let strings = read_strings(&mut file.block()?, &mut trace)?;
        let contexts = read_contexts(&mut file.block()?, &mut trace, &strings)?;
        let mut phases = read_phases(&mut file.block()?, &strings)?.into_iter();
        read_rows(&mut file.block()?, &mut trace, &contexts)?;
        read_shapes(&mut file.block()?, &mut trace)?;
        let mut events = file.block()?;
        while !events.is_empty() {
            read_event(&mut events, &mut trace, &mut phases)?;
        }
        if !file.is_empty() {
            let conf = file.block()?;
            trace.conf = String::from_utf8_lossy(conf.bytes).into_owned();
        }
        Ok(trace)
    }
}

fn read_strings(block: &mut Reader<'_>, trace: &mut Trace) -> Result<Vec<StrId>, BrimError> {
    let mut ids = Vec::new();
    while !block.is_empty() {
        let length = block.u32()?;
        let text = String::from_utf8_lossy(block.take(u64::from(length))?).into_owned();
        ids.push(trace.contexts.intern(&text));
    }
    Ok(ids)
}

fn read_contexts(
    block: &mut Reader<'_>,
    trace: &mut Trace,
    strings: &[StrId],
) -> Result<Vec<ContextId>, BrimError> {
    let mut ids = Vec::new();
    while !block.is_empty() {
        let mut name = || block.reference("string", strings);
        let (module, op, node) = (name()?, name()?, name()?);
        ids.push(trace.contexts.context(Context { module, op, node, ..Context::default() }));
    }
    Ok(ids)
}

fn read_phases(block: &mut Reader<'_>, strings: &[StrId]) -> Result<Vec<(PhaseKind, StrId)>, BrimError> {
    let mut phases = Vec::new();
    while !block.is_empty() {
        let kind = block.one_of("kind of phase", &PhaseKind::ALL)?;
        phases.push((kind, block.reference("string", strings)?));
    }
    Ok(phases)
}

fn read_rows(block: &mut Reader<'_>, trace: &mut Trace, contexts: &[ContextId]) -> Result<(), BrimError> {
    while !block.is_empty() {
        let bytes = Bytes::new(block.u64()?);
        let category = block.one_of("category", &Category::ALL)?;
        let context = block.reference("context", contexts)?;
        let lane = LaneId(block.u16()?);
        trace.allocations.push(Allocation { bytes, category, context, lane, address: None });
    }
    Ok(())
}

fn read_shapes(block: &mut Reader<'_>, trace: &mut Trace) -> Result<(), BrimError> {
    let ids: Vec<_> = trace.allocations.ids().collect();
    while !block.is_empty() {
        let id = block.reference("allocation", &ids)?;
        let dtype = block.one_of("dtype", &DTYPES)?;
        let rank = block.u8()?;
        let shape = (0..rank).map(|_| block.u64()).collect::<Result<Shape, _>>()?;
        trace.describe(id, TensorInfo { shape, dtype });
    }
    Ok(())
}

fn read_event(
    block: &mut Reader<'_>,
    trace: &mut Trace,
    phases: &mut impl Iterator<Item = (PhaseKind, StrId)>,
) -> Result<(), BrimError> {
    let at = block.at;
    let (kind, subject) = (block.u8()?, block.u32()?);
    let missing = |what| BrimError::Reference { at, what, value: u64::from(subject) };
    match Event::unpack(kind, subject) {
        Some(Event::Phase(_)) => {
            let (kind, name) = phases.next().ok_or_else(|| missing("phase"))?;
            let name = trace.contexts.str(name).to_owned();
            trace.begin_phase(kind, &name);
        }
        Some(event @ (Event::Alloc(id) | Event::Free(id))) if (id.index()) < trace.allocations.len() => {
            trace.push(event);
        }
        Some(Event::EmptyCache) => trace.push(Event::EmptyCache),
        _ => return Err(missing("event")),
    }
    Ok(())
}

/// Reads within bounds.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], BrimError> {
        let left = self.bytes.len() - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                let taken = &self.bytes[self.at..self.at + length];
                self.at += length;
                Ok(taken)
            }
            _ => Err(BrimError::Truncated { at: self.bytes.len(), wanted: length - left as u64 }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BrimError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, BrimError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, BrimError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, BrimError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, BrimError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next block as a reader of its own.
    fn block(&mut self) -> Result<Reader<'a>, BrimError> {
        let length = self.u64()?;
        Ok(Reader { bytes: self.take(length)?, at: 0 })
    }

    fn reference<T: Copy>(&mut self, what: &'static str, table: &[T]) -> Result<T, BrimError> {
        let (at, value) = (self.at, self.u32()?);
        table.get(value as usize).copied().ok_or(BrimError::Reference { at, what, value: u64::from(value) })
    }

    fn one_of<T: Copy>(&mut self, what: &'static str, table: &[T]) -> Result<T, BrimError> {
        let (at, value) = (self.at, self.u8()?);
        table.get(usize::from(value)).copied().ok_or(BrimError::Reference {
            at,
            what,
            value: u64::from(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Trace {
        let mut trace = Trace::new(Origin::Predicted);
        trace.begin_phase(PhaseKind::Load, "build");
        let op = trace.contexts.intern("mm");
        let context = trace.contexts.context(Context { op, ..Context::default() });
        let row = Allocation { bytes: Bytes::mib(3), context, ..Allocation::default() };
        let block = trace.alloc(row);
        trace.describe(block, TensorInfo { shape: Shape::from([3, 512, 1024]), dtype: Dtype::Bf16 });
        trace.push(Event::EmptyCache);
        trace.free(block);
        trace
    }

    fn written(trace: &Trace) -> Vec<u8> {
        let mut file = Vec::new();
        trace.write_brim(&mut file).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_read() {
        let trace = example();
        let read = Trace::read_brim(&written(&trace)).unwrap();
        assert!(read.events().eq(trace.events()));
        assert_eq!(written(&read), written(&trace));
    }

    #[test]
    fn the_allocators_settings_are_kept_and_the_defaults_add_no_byte() {
        let defaults = written(&example());
        let mut trace = example();
        trace.conf = "expandable_segments:True".to_owned();
        let file = written(&trace);
        assert_eq!(Trace::read_brim(&file).unwrap().conf, trace.conf);
        assert_eq!(file[..defaults.len()], defaults[..]);
        assert_eq!(Trace::read_brim(&defaults).unwrap().conf, "");
    }

    #[test]
    fn a_cut_or_changed_file_is_an_error_or_a_trace_but_never_a_panic() {
        let file = written(&example());
        for cut in 0..file.len() {
            assert!(Trace::read_brim(&file[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = file.clone();
                changed[at] = value;
                let _ = Trace::read_brim(&changed);
            }
        }
    }
}
