//! The code map of ARCHITECTURE.md: the crates, where they lie, on which of ours they may depend, and which do I/O.

use std::collections::BTreeMap;

use super::Breach;

/// The file that holds the map.
pub const FILE: &str = "ARCHITECTURE.md";

/// A row of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The crate's folder, without a `/` at its end.
    pub folder: String,
    /// What it may depend on, as short names without `brimful-`; `None` where that is any crate.
    may: Option<Vec<String>>,
    /// Whether it neither does I/O nor reads a clock or the environment.
    is_pure: bool,
}

/// The rows, by the crate's name.
#[derive(Debug, Default)]
pub struct CodeMap {
    rows: BTreeMap<String, Row>,
}

impl CodeMap {
    /// Reads the table whose columns are folder, crate, may depend on, I/O and a sentence.
    pub fn parse(text: &str) -> CodeMap {
        let mut rows = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let [_, folder, name, may, io, _, _] = cells[..] else { continue };
            let may = match may {
                "any" => None,
                "none" => Some(vec![]),
                list => Some(list.split(", ").map(str::to_owned).collect()),
            };
            rows.insert(name.to_owned(), Row { folder: folder.to_owned(), may, is_pure: io == "none" });
        }
        CodeMap { rows }
    }

    /// Whether a file is source of a crate without I/O.
    pub fn is_pure(&self, file: &str) -> bool {
        self.rows.values().any(|row| row.is_pure && file.starts_with(&format!("{}/src/", row.folder)))
    }

    /// The folder of the crate that a file belongs to.
    pub fn folder_of(&self, file: &str) -> Option<&str> {
        let mut folders = self.rows.values().map(|row| row.folder.as_str());
        folders.find(|folder| file.starts_with(&format!("{folder}/")))
    }

    /// Each crate of the workspace (name, folder) is in the map where it lies, and no other is.
    pub fn check_crates(&self, crates: &[(String, String)]) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (name, folder) in crates {
            match self.rows.get(name) {
                None => breaches.push(breach("code-map", FILE, name, "the crate is not in the code map")),
                Some(row) if row.folder != *folder => {
                    breaches.push(breach("code-map", FILE, name, &format!("the crate lies in {folder}")));
                }
                Some(_) => {}
            }
        }
        let is_there = |name: &String| crates.iter().any(|(there, _)| there == name);
        let gone = self.rows.keys().filter(|name| !is_there(name));
        breaches.extend(gone.map(|name| breach("code-map", FILE, name, "there is no such crate")));
        breaches
    }

    /// The crate depends on nothing of ours that the map does not name.
    pub fn check_dependency(&self, name: &str, dependency: &str) -> Option<Breach> {
        let row = self.rows.get(name)?;
        let short = dependency.trim_start_matches("brimful-");
        let may = row.may.as_ref()?;
        let detail = format!("{FILE} does not name it among what {name} may depend on");
        let manifest = format!("{}/Cargo.toml", row.folder);
        (!may.iter().any(|may| may == short))
            .then(|| breach("dependency-table", &manifest, dependency, &detail))
    }
}

fn breach(rule: &'static str, file: &str, item: &str, detail: &str) -> Breach {
    Breach { rule, file: file.to_owned(), item: item.to_owned(), line: 0, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
| folder | crate | may depend on | I/O | one sentence |
|---|---|---|---|---|
| `crates/base/units` | `brimful-units` | none | none | bytes |
| `crates/base/trace` | `brimful-trace` | units | none | events |
| `crates/faces/cli` | `brimful` | any | yes | arguments |
";

    fn crates(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(name, folder)| ((*name).to_owned(), (*folder).to_owned())).collect()
    }

    #[test]
    fn a_dependency_that_the_map_does_not_name_is_a_breach() {
        let map = CodeMap::parse(MAP);
        let found = map.check_dependency("brimful-units", "brimful-trace").unwrap();
        assert_eq!((found.rule, found.file.as_str()), ("dependency-table", "crates/base/units/Cargo.toml"));
        assert_eq!(map.check_dependency("brimful-trace", "brimful-units"), None);
        assert_eq!(map.check_dependency("brimful", "brimful-units"), None);
    }

    #[test]
    fn a_crate_that_is_not_in_the_map_is_a_breach_and_so_is_a_row_without_its_crate() {
        let there = crates(&[
            ("brimful-units", "crates/base/units"),
            ("brimful-trace", "crates/other/trace"),
            ("brimful-new", "crates/base/new"),
        ]);
        let found = CodeMap::parse(MAP).check_crates(&there);
        let items: Vec<&str> = found.iter().map(|breach| breach.item.as_str()).collect();
        assert_eq!(items, ["brimful-trace", "brimful-new", "brimful"]);
    }

    #[test]
    fn only_the_source_of_a_crate_without_io_is_pure() {
        let map = CodeMap::parse(MAP);
        assert!(map.is_pure("crates/base/units/src/bytes.rs"));
        assert!(!map.is_pure("crates/base/units/tests/bytes.rs"));
        assert!(!map.is_pure("crates/faces/cli/src/main.rs"));
    }
}
