use std::any::Any;
use std::io::BufRead;

use crate::Files;

/// What a face lends to a use case: files, and a place to show progress.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The files that a user's words name.
    pub files: &'a dyn Files,
    /// Where long work is shown.
    pub progress: &'a dyn Progress,
}

/// Long work as a face shows it.
pub trait Progress: Sync {
    /// Work begins on an input of this many bytes. The work has ended when the returned value is dropped.
    fn begin(&self, bytes: u64, what: &'static str) -> Box<dyn Any>;

    /// The reader, counted while it is read; `bytes` is its length.
    fn reading<'r>(&self, bytes: u64, reader: Box<dyn BufRead + 'r>) -> Box<dyn BufRead + 'r>;

    /// Whether [`Progress::show`] shows anything: what it shows is not looked for else.
    fn is_live(&self) -> bool {
        false
    }

    /// Shows a line in place of the last one that was shown; an empty one at the end.
    fn show(&self, _: &str) {}

    /// One step of a longer task has ended.
    fn say(&self, message: &str);
}

/// A face without a place for progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _: u64, _: &'static str) -> Box<dyn Any> {
        Box::new(())
    }

    fn reading<'r>(&self, _: u64, reader: Box<dyn BufRead + 'r>) -> Box<dyn BufRead + 'r> {
        reader
    }

    fn say(&self, _: &str) {}
}

impl Host<'_> {
    /// Does `work` on an input of `bytes` bytes while the face shows what it is.
    pub(crate) fn during<T>(&self, bytes: usize, what: &'static str, work: impl FnOnce() -> T) -> T {
        let shown = self.progress.begin(bytes as u64, what);
        let done = work();
        drop(shown);
        done
    }
}
