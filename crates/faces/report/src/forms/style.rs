use anstyle::{AnsiColor, Effects, Reset, Style as Ansi};

/// How text is emphasised; colour never alone carries meaning.
///
/// Escape codes are always written: the stream at the end strips them where it is no terminal.
#[derive(Clone, Copy, Debug)]
pub struct Style(Ansi);

impl Style {
    /// It fits.
    pub const GOOD: Style = Style(AnsiColor::Green.on_default().effects(Effects::BOLD));
    /// It does not fit.
    pub const BAD: Style = Style(AnsiColor::Red.on_default().effects(Effects::BOLD));
    /// Less important.
    pub const DIM: Style = Style(Ansi::new().effects(Effects::DIMMED));
    /// More important.
    pub const STRONG: Style = Style(Ansi::new().effects(Effects::BOLD));

    /// The text in this style.
    pub fn paint(self, text: &str) -> String {
        format!("{}{text}{}", self.0.render(), Reset.render())
    }
}

/// A text without its escape codes.
pub(crate) fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
}
