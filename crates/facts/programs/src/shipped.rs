//! The programs that are part of brimful: those that are proven, and with the feature `unproven` all. One is read when it is
//! asked for.

use std::io::Read;
use std::sync::Arc;

use flate2::read::DeflateDecoder;

use crate::program::Program;

/// The task of a program that was recorded for no other: the next token is predicted.
pub const CAUSAL_LM: &str = "causal-lm";

/// The task of models that read one text and write another.
pub const SEQ2SEQ: &str = "seq2seq";

/// The task of models that read speech and write a text.
pub const SPEECH_SEQ2SEQ: &str = "speech-seq2seq";

/// Whether the models of a task have an encoder and a decoder.
pub fn has_encoder_and_decoder(task: &str) -> bool {
    matches!(task, SEQ2SEQ | SPEECH_SEQ2SEQ)
}

/// `model_type`, task, class, and the compressed program.
type Row = (&'static str, &'static str, &'static str, &'static [u8]);

static SHIPPED: &[Row] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The program of a `model_type` for a task, with its static name.
pub fn shipped(model_type: &str, task: &str) -> Option<(&'static str, Arc<Program>)> {
    SHIPPED.iter().find(|row| row.0 == model_type && row.1 == task).and_then(read)
}

/// The proven program of a `model_type` for a task, with the static name of its type.
pub fn proven(model_type: &str, task: &str) -> Option<(&'static str, Arc<Program>)> {
    is_proven(model_type, task).then(|| shipped(model_type, task)).flatten()
}

/// The `model_type` and the task of a class whose program is proven, such as `MixtralForCausalLM`; `None` where types share
/// the class, as some that have code of their own on the hub share Llama's.
pub fn proven_of_class(class: &str) -> Option<(&'static str, &'static str)> {
    let mut rows = SHIPPED.iter().filter(|row| row.2 == class && is_proven(row.0, row.1));
    let row = rows.next()?;
    rows.next().is_none().then_some((row.0, row.1))
}

/// Every `model_type` and task that has a program.
pub fn shipped_programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED.iter().map(|row| (row.0, row.1))
}

/// Every `model_type` and task whose program was compared with recorded runs of real PyTorch: the ones that predictions are
/// made with.
pub fn proven_programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("../data/proven.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap_or((line, CAUSAL_LM)))
}

/// Every `model_type` that has a proven program, each once.
pub fn proven_types() -> impl Iterator<Item = &'static str> {
    let first = |model_type: &str| proven_tasks(model_type).next();
    proven_programs().filter(move |(model_type, task)| first(model_type) == Some(task)).map(|row| row.0)
}

/// The tasks for which a `model_type` has a proven program, in the order of the list.
pub fn proven_tasks(model_type: &str) -> impl Iterator<Item = &'static str> {
    proven_programs().filter(move |row| row.0 == model_type).map(|row| row.1)
}

/// The class of a `model_type` that has a proven program for the task.
pub fn proven_class(model_type: &str, task: &str) -> Option<&'static str> {
    let row = SHIPPED.iter().find(|row| row.0 == model_type && row.1 == task)?;
    is_proven(model_type, task).then_some(row.2)
}

fn is_proven(model_type: &str, task: &str) -> bool {
    proven_programs().any(|row| row == (model_type, task))
}

/// A test reads every one of them.
fn read(row: &Row) -> Option<(&'static str, Arc<Program>)> {
    let mut text = String::new();
    DeflateDecoder::new(row.3).read_to_string(&mut text).ok()?;
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
            DeflateDecoder::new(row.3).read_to_string(&mut text).unwrap();
            let program = Program::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", row.0));
            let header = &program.header;
            assert_eq!((header.model_type.as_str(), header.task.as_str()), (row.0, row.1));
            assert_eq!(header.class, row.2);
        }
    }

    #[test]
    fn every_proven_program_is_shipped_and_found_by_its_class() {
        for (model_type, task) in proven_programs() {
            let (name, program) = proven(model_type, task).unwrap_or_else(|| panic!("{model_type} {task}"));
            assert_eq!((name, program.header.task.as_str()), (model_type, task));
            let of_class = proven_of_class(&program.header.class);
            let shared =
                proven_programs().filter(|row| proven_class(row.0, row.1) == Some(&program.header.class));
            assert!(of_class == Some((model_type, task)) || shared.count() > 1, "{model_type} {task}");
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
