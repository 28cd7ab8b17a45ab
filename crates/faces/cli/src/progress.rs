//! Bars on stderr for long work; none where stderr is no terminal.

use std::any::Any;
use std::io::BufRead;
use std::time::Duration;

use brimful_ask::Progress;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::out::tell;

/// Smaller inputs are done before a bar could be read.
const LONG: u64 = 128 << 20;

/// Progress on the terminal.
pub struct Bars;

/// A spinner that goes when its work has ended.
struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bars {
    fn begin(&self, bytes: u64, what: &'static str) -> Box<dyn Any> {
        if bytes < LONG {
            return Box::new(());
        }
        let spinner = ProgressBar::new_spinner().with_message(what);
        spinner.enable_steady_tick(Duration::from_millis(100));
        Box::new(Spinner(spinner))
    }

    fn reading<'r>(&self, bytes: u64, reader: Box<dyn BufRead + 'r>) -> Box<dyn BufRead + 'r> {
        if bytes < LONG {
            return reader;
        }
        let style =
            ProgressStyle::with_template("{bar:40} {binary_bytes} of {binary_total_bytes}, {eta} left");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(bytes).with_style(style).with_finish(ProgressFinish::AndClear);
        Box::new(bar.wrap_read(reader))
    }

    fn say(&self, message: &str) {
        tell(message);
    }
}
