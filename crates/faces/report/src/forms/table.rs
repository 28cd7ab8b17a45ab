//! Columns of text.

/// Lays rows out in columns: the first and the last to the left, the others to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let last = widths.len() - 1;
    let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
        if at == 0 {
            format!("{cell:<width$}")
        } else if at == last {
            cell.clone()
        } else {
            format!("{cell:>width$}")
        }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up() {
        let rows =
            [vec!["a".into(), "1".into(), "x".into()], vec!["long".into(), "100".into(), "y z".into()]];
        assert_eq!(table(&rows), ["a       1  x", "long  100  y z"]);
    }
}
