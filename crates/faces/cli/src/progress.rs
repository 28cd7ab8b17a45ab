//! Bars on stderr for long work; none where stderr is no terminal.

use std::io::BufRead;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Smaller inputs are done before a bar could be read.
const LONG: u64 = 128 << 20;

/// Does work on an input of so many bytes under a spinner that says what it is.
pub fn during<T>(bytes: usize, what: &'static str, work: impl FnOnce() -> T) -> T {
    if (bytes as u64) < LONG {
        return work();
    }
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let done = work();
    spinner.finish_and_clear();
    done
}

/// The reader under a bar of its bytes.
pub fn reading<'a>(bytes: u64, reader: impl BufRead + 'a) -> Box<dyn BufRead + 'a> {
    if bytes < LONG {
        return Box::new(reader);
    }
    let style = ProgressStyle::with_template("{bar:40} {binary_bytes} of {binary_total_bytes}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(bytes).with_style(style).with_finish(ProgressFinish::AndClear);
    Box::new(bar.wrap_read(reader))
}
