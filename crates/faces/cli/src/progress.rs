//! Bars on stderr for long work; none where stderr is no terminal.

use std::any::Any;
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use brimful_ask::Progress;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::out::{COLUMNS, tell};

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

/// Writes over the line. The cursor goes back to its beginning, so that what the command itself prints begins there.
fn show_line(line: &str) {
    let columns =
        terminal_size::terminal_size_of(std::io::stderr()).map_or(COLUMNS, |(width, _)| usize::from(width.0));
    let line: String = line.chars().take(columns.saturating_sub(1)).collect();
    // Nobody could read that the standard error is closed.
    let _ = write!(std::io::stderr().lock(), "\r\u{1b}[2K{line}\r");
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

    fn is_live(&self) -> bool {
        std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb")
    }

    fn show(&self, line: &str) {
        if self.is_live() {
            show_line(line);
        }
    }

    fn say(&self, message: &str) {
        tell(message);
    }
}
