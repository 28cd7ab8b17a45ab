//! The list of breaches that are known and not yet mended: rule, file and item a line, with tabs between them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::Breach;

/// The entries of a list, without its comments.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
}

/// Breaches in the form of the list, each once.
pub fn list(found: &[Breach]) -> String {
    let lines: BTreeSet<String> = found.iter().map(|breach| key(breach) + "\n").collect();
    lines.into_iter().collect()
}

fn key(breach: &Breach) -> String {
    format!("{}\t{}\t{}", breach.rule, breach.file, breach.item)
}

/// What is not on the list, and each entry of the list that is no breach any more.
///
/// # Errors
/// An entry of another form.
pub fn subtract(found: Vec<Breach>, text: &str, file: &str) -> Result<Vec<Breach>> {
    let mut known: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for (line, entry) in entries(text) {
        ensure!(entry.split('\t').count() == 3, "{file}:{line}: expected rule, file and item with tabs");
        known.insert(entry, (line, false));
    }
    let mut left = Vec::new();
    for breach in found {
        match known.get_mut(key(&breach).as_str()) {
            Some((_, is_met)) => *is_met = true,
            None => left.push(breach),
        }
    }
    let stale = known.iter().filter(|(_, (_, is_met))| !is_met);
    left.extend(stale.map(|(entry, (line, _))| Breach {
        rule: "stale-entry",
        file: file.to_owned(),
        item: entry.replace('\t', " "),
        line: *line,
        detail: "this is no breach any more; delete the line".to_owned(),
    }));
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breach(item: &str) -> Breach {
        let (file, detail) = ("a.rs".to_owned(), String::new());
        Breach { rule: "long-file", file, item: item.to_owned(), line: 3, detail }
    }

    #[test]
    fn a_breach_on_the_list_is_left_out_and_another_is_not() {
        let left = subtract(vec![breach("one"), breach("two")], "long-file\ta.rs\tone\n", "list").unwrap();
        assert_eq!(left, [breach("two")]);
    }

    #[test]
    fn an_entry_that_is_no_breach_any_more_is_a_breach() {
        let left = subtract(vec![], "# why\nlong-file\ta.rs\tone\n", "list").unwrap();
        assert_eq!((left[0].rule, left[0].line), ("stale-entry", 2));
    }

    #[test]
    fn an_entry_without_tabs_is_refused() {
        assert!(subtract(vec![], "long-file a.rs one\n", "list").is_err());
    }

    #[test]
    fn the_list_of_all_breaches_leaves_none() {
        let found = vec![breach("one"), breach("one"), breach("two")];
        let text = list(&found);
        assert_eq!(text.lines().count(), 2);
        assert!(subtract(found, &text, "list").unwrap().is_empty());
    }
}
