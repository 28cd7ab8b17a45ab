//! The programs that are part of brimful: those that are proven, and with the feature `unproven` all. One is read when it is
//! asked for.

use std::io::Read;
use std::sync::Arc;

use flate2::read::DeflateDecoder;

use crate::program::Program;

/// `model_type`, class, and the compressed program.
type Row = (&'static str, &'static str, &'static [u8]);

static SHIPPED: &[Row] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The program of a `model_type`, with its static name.
pub fn shipped(model_type: &str) -> Option<(&'static str, Arc<Program>)> {
    SHIPPED.iter().find(|row| row.0 == model_type).and_then(read)
}

/// The proven program of a `model_type` or of a class such as `MixtralForCausalLM`, with the static name of its type.
pub fn proven(name: &str) -> Option<(&'static str, Arc<Program>)> {
    let row = SHIPPED.iter().find(|row| row.0 == name || row.1 == name)?;
    proven_types().any(|proven| proven == row.0).then(|| read(row)).flatten()
}

/// Every `model_type` that has a program.
pub fn shipped_types() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|row| row.0)
}

/// Every `model_type` whose program was compared with recorded runs of real PyTorch: the ones that predictions are made with.
pub fn proven_types() -> impl Iterator<Item = &'static str> {
    include_str!("../data/proven.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The class of a proven `model_type`.
pub fn proven_class(model_type: &str) -> Option<&'static str> {
    let row = SHIPPED.iter().find(|row| row.0 == model_type)?;
    proven_types().any(|proven| proven == model_type).then_some(row.1)
}

/// A test reads every one of them.
fn read(row: &Row) -> Option<(&'static str, Arc<Program>)> {
    let mut text = String::new();
    DeflateDecoder::new(row.2).read_to_string(&mut text).ok()?;
    Some((row.0, Arc::new(Program::parse(&text).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::program::ForwardKey;
    use crate::values::Values;

    #[test]
    fn every_shipped_program_is_read() {
        for row in SHIPPED {
            let mut text = String::new();
            DeflateDecoder::new(row.2).read_to_string(&mut text).unwrap();
            let program = Program::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", row.0));
            assert_eq!((program.header.model_type.as_str(), program.header.class.as_str()), (row.0, row.1));
        }
    }

    #[test]
    fn every_shipped_program_covers_the_config_of_its_class() {
        for row in SHIPPED {
            let (name, program) = read(row).unwrap_or_else(|| panic!("{} is not read", row.0));
            let header = &program.header;
            let values = header.complete(Values::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(header.uncovered(&values), None, "{name}");
            assert!(
                program.build(&values).unwrap().is_some(),
                "{name} has no constructor for its own config"
            );
            let keys: HashSet<ForwardKey> =
                program.forwards.iter().flat_map(|forward| forward.keys.clone()).collect();
            for key in keys {
                let found = program.forward(key, &values).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(found.is_some(), "{name} has no {key:?} for its own config");
            }
            for list in &header.lists {
                let count = list.count(&values).unwrap_or_else(|error| panic!("{name}: {error}"));
                for index in 0..count {
                    let kind = list.kind(&values, index).unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert!(kind.is_some(), "{name}: layer {index} of {} is of no kind", list.path);
                }
            }
        }
    }
}
