//! JSON dumps of a snapshot: the same machine, driven by the JSON parser instead of opcodes.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use crate::error::SnapshotError;
use crate::machine::{End, Halt, Machine};
use crate::tables::Tables;
use crate::value::{NO_SLOT, Value};

/// Reads a JSON dump to its end, or to where the file is cut off.
///
/// # Errors
/// What is not JSON, and what is impossible in the snapshot.
pub(crate) fn run(data: &[u8]) -> Result<(Tables<'_>, Value, End), SnapshotError> {
    let mut machine = Machine::new(data);
    let mut fault = None;
    let mut parser = serde_json::Deserializer::from_slice(data);
    let read = Driver { machine: &mut machine, fault: &mut fault }
        .deserialize(&mut parser)
        .and_then(|()| parser.end());
    let end = match read {
        Ok(()) => End::Whole,
        Err(_) if fault.is_some() => return Err(fault.unwrap_or(SnapshotError::Empty)),
        Err(error) if error.is_eof() => {
            machine.close_everything();
            End::Cut(data.len() as u64)
        }
        Err(error) => return Err(SnapshotError::damaged(offset(data, &error), error.to_string())),
    };
    Ok(machine.finish(end))
}

/// The byte of an error's line and column.
fn offset(data: &[u8], error: &serde_json::Error) -> usize {
    let lines = data.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    before + error.column().saturating_sub(1)
}

struct Driver<'m, 'a> {
    machine: &'m mut Machine<'a>,
    fault: &'m mut Option<SnapshotError>,
}

impl<'a> Driver<'_, 'a> {
    fn again(&mut self) -> Driver<'_, 'a> {
        Driver { machine: self.machine, fault: self.fault }
    }

    /// Keeps the machine's fault aside, since the parser's error type has no room for it.
    fn done<E: Error>(self, step: Result<(), Halt>) -> Result<(), E> {
        match step {
            Ok(()) => Ok(()),
            Err(Halt::Cut) => Err(E::custom("cut off")),
            Err(Halt::Fault) => {
                *self.fault = Some(self.machine.take_fault());
                Err(E::custom("not a snapshot"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Driver<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Driver<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a memory snapshot")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let step = self.machine.push(Value::None);
        self.done(step)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let step = self.machine.push(Value::Bool(value));
        self.done(step)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let step = self.machine.push(Value::Int(value));
        self.done(step)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value = i64::try_from(value).map_or(Value::UInt(value), Value::Int);
        let step = self.machine.push(value);
        self.done(step)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let step = self.machine.push(Value::Float(value));
        self.done(step)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let step = self.machine.push_text(text);
        self.done(step)
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut items: S) -> Result<(), S::Error> {
        let step = self.machine.push(Value::List { slot: NO_SLOT }).and_then(|()| self.machine.mark());
        self.again().done(step)?;
        while items.next_element_seed(self.again())?.is_some() {}
        let step = self.machine.end_of_json_list();
        self.done(step)
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut items: M) -> Result<(), M::Error> {
        let step = self.machine.push(Value::Dict { slot: NO_SLOT }).and_then(|()| self.machine.mark());
        self.again().done(step)?;
        while items.next_key_seed(self.again())?.is_some() {
            items.next_value_seed(self.again())?;
        }
        let step = self.machine.set_items();
        self.done(step)
    }
}
