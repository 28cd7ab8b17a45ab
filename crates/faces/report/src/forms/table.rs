//! Columns of text.

use super::marks::{COLUMN, is_mark};

/// Lays rows out in columns: the first and the last to the left, the others to the right. Where a terminal is too narrow,
/// the last column goes on below itself.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| width_of(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn width_of(cell: &str) -> usize {
    cell.chars().filter(|character| !is_mark(*character)).count()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let last = widths.len() - 1;
    let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
        let blanks = " ".repeat(width.saturating_sub(width_of(cell)));
        match at {
            0 if last > 0 => format!("{cell}{blanks}"),
            _ if at == last && !cell.is_empty() => format!("{COLUMN}{cell}"),
            _ if at == last => String::new(),
            _ => format!("{blanks}{cell}"),
        }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::forms::plain;

    #[test]
    fn columns_line_up() {
        let rows =
            [vec!["a".into(), "1".into(), "x".into()], vec!["long".into(), "100".into(), "y z".into()]];
        assert_eq!(plain(&table(&rows).join("\n")), "a       1  x\nlong  100  y z");
    }
}
