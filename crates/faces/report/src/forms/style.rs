use super::marks;

/// How text is emphasised; colour never alone carries meaning.
///
/// What is painted holds marks; [`crate::Terminal`] makes escape codes of them.
#[derive(Clone, Copy, Debug)]
pub struct Style(char);

impl Style {
    /// It fits.
    pub const GOOD: Style = Style(marks::GOOD);
    /// It does not fit.
    pub const BAD: Style = Style(marks::BAD);
    /// Less important.
    pub const DIM: Style = Style(marks::DIM);
    /// More important.
    pub const STRONG: Style = Style(marks::STRONG);

    /// The text in this style.
    pub fn paint(self, text: &str) -> String {
        format!("{}{text}{}", self.0, marks::END)
    }
}

/// A text as a terminal of 100 columns shows it, without colours, for tests.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    let shown = super::Terminal { columns: 100, unicode: true }.show(text);
    let mut parts = shown.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
}
