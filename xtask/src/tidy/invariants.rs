//! The invariants of ARCHITECTURE.md: each names the rule or the test that checks it, or asks the reviewer.

use std::collections::BTreeSet;

use super::Breach;
use super::map::FILE;
use super::source::Source;

/// The names of this program's rules.
const RULES: [&str; 16] = [
    "circle",
    "code-map",
    "dependency-table",
    "families",
    "impure",
    "invariant",
    "long-file",
    "long-function",
    "long-functions",
    "may-panic",
    "private-word",
    "stale-entry",
    "undocumented",
    "unfinished",
    "unsafe-without-reason",
    "unused-dependency",
];
/// Words before the names of checks.
const CHECKED: &str = "Checked by ";
/// Words before what a program cannot check.
const QUESTION: &str = "Reviewer's question: ";

/// Checks the section "Invariants" of a text.
pub fn check(text: &str, sources: &[Source]) -> Vec<Breach> {
    let section = text.split("\n## Invariants\n").nth(1).unwrap_or_default();
    let mut names: BTreeSet<String> = RULES.map(str::to_owned).into();
    names.extend(sources.iter().flat_map(Source::tests));
    items(section).into_iter().flat_map(|(number, item)| check_item(&number, &item, &names)).collect()
}

/// The numbered items, each as one line.
fn items(section: &str) -> Vec<(String, String)> {
    let mut items: Vec<(String, String)> = Vec::new();
    for line in section.lines() {
        let number = line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok());
        match (number, items.last_mut()) {
            (Some((number, text)), _) => items.push((number.to_owned(), text.to_owned())),
            (None, Some((_, item))) if line.starts_with(' ') => {
                item.push(' ');
                item.push_str(line.trim());
            }
            _ => {}
        }
    }
    items
}

fn check_item(number: &str, item: &str, names: &BTreeSet<String>) -> Vec<Breach> {
    let breach = |detail: String| Breach {
        rule: "invariant",
        file: FILE.to_owned(),
        item: number.to_owned(),
        line: 0,
        detail,
    };
    let Some((_, checks)) = item.split_once(CHECKED) else {
        let is_asked = item.contains(QUESTION);
        let detail = format!("expected \"{CHECKED}…\" or \"{QUESTION}…\"");
        return if is_asked { vec![] } else { vec![breach(detail)] };
    };
    // The names stand between backticks, in one sentence.
    let sentence = checks.split(". ").next().unwrap_or_default();
    let named: Vec<&str> = sentence.split('`').skip(1).step_by(2).collect();
    if named.is_empty() {
        return vec![breach("the check has no name".to_owned())];
    }
    let unknown = named.into_iter().filter(|name| !names.contains(*name));
    unknown.map(|name| breach(format!("there is neither a rule nor a test {name}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(items: &str) -> Vec<String> {
        let test = Source::parse("a/tests/b.rs", "#[test]\nfn it_holds() {}\nfn helper() {}").unwrap();
        let text = format!("# A\n\n## Invariants\n\n{items}");
        check(&text, &[test]).into_iter().map(|breach| breach.detail).collect()
    }

    #[test]
    fn an_invariant_that_nothing_checks_is_a_breach() {
        assert_eq!(found("1. All is well.\n"), ["expected \"Checked by …\" or \"Reviewer's question: …\""]);
        assert!(found("1. All is well.\n   Reviewer's question: is it?\n").is_empty());
    }

    #[test]
    fn a_check_that_is_not_there_is_a_breach() {
        assert!(found("1. A. Checked by `impure` and\n   `it_holds`. More `words`.\n").is_empty());
        assert_eq!(found("1. A. Checked by `helper`.\n"), ["there is neither a rule nor a test helper"]);
        assert_eq!(found("1. A. Checked by nobody.\n"), ["the check has no name"]);
    }
}
