//! What `cargo metadata` says of the crates: which of ours each depends on, and dependencies that no source names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;

use super::Breach;
use super::map::CodeMap;
use super::source::Source;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
    #[serde(default)]
    metadata: Option<Notes>,
}

/// `[package.metadata]`, of which the part that cargo-machete reads is read.
#[derive(Default, Deserialize)]
struct Notes {
    #[serde(default, rename = "cargo-machete")]
    machete: Machete,
}

#[derive(Default, Deserialize)]
struct Machete {
    /// Dependencies that are there for their features alone.
    #[serde(default)]
    ignored: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    kind: Option<String>,
    path: Option<String>,
}

/// Checks the code map against the workspace, and each manifest against the map and the sources.
///
/// # Errors
/// Cargo that does not run, or an answer of another form.
pub fn check(root: &Path, map: &CodeMap, sources: &[Source]) -> Result<Vec<Breach>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata's output")?;
    let folders: Vec<(String, String)> =
        metadata.packages.iter().map(|package| (package.name.clone(), folder(root, package))).collect();
    let mut breaches = map.check_crates(&folders);
    for (package, (_, folder)) in metadata.packages.iter().zip(&folders) {
        let ours =
            package.dependencies.iter().filter(|d| d.path.is_some() && d.kind.as_deref() != Some("dev"));
        breaches.extend(ours.filter_map(|d| map.check_dependency(&package.name, &d.name)));
        breaches.extend(unused(package, folder, sources));
    }
    Ok(breaches)
}

fn folder(root: &Path, package: &Package) -> String {
    let folder = Path::new(&package.manifest_path).parent().unwrap_or(root);
    folder.strip_prefix(root).unwrap_or(folder).display().to_string().replace('\\', "/")
}

/// Dependencies whose name is no identifier in any source that could use them.
fn unused(package: &Package, folder: &str, sources: &[Source]) -> Vec<Breach> {
    let (mut library, mut all) = (BTreeSet::new(), BTreeSet::new());
    for source in sources.iter().filter(|source| source.name.starts_with(&format!("{folder}/"))) {
        identifiers(source.all_tokens(), &mut all);
        // A normal dependency that tests alone use is a dev-dependency.
        if source.name.starts_with(&format!("{folder}/src/")) {
            identifiers(source.tokens(), &mut library);
        }
    }
    let ignored = package.metadata.as_ref().map_or(&[][..], |notes| &notes.machete.ignored);
    let unused = package.dependencies.iter().filter(|dependency| {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
        let used = if dependency.kind.is_none() { library.contains(&name) } else { all.contains(&name) };
        !used && !ignored.contains(&dependency.name)
    });
    let detail = "no source names it; a feature's sake is a reason for [package.metadata.cargo-machete]";
    let breach = |dependency: &Dependency| Breach {
        rule: "unused-dependency",
        file: format!("{folder}/Cargo.toml"),
        item: dependency.name.clone(),
        line: 0,
        detail: detail.to_owned(),
    };
    unused.map(breach).collect()
}

fn identifiers(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                found.insert(name.to_string());
            }
            TokenTree::Group(group) => identifiers(group.stream(), found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unused_of(dependencies: &str, ignored: &str, sources: &[(&str, &str)]) -> Vec<String> {
        let package = format!(
            r#"{{"name": "a", "manifest_path": "/r/a/Cargo.toml", "dependencies": [{dependencies}],
            "metadata": {{"cargo-machete": {{"ignored": [{ignored}]}}}}}}"#
        );
        let package: Package = serde_json::from_str(&package).unwrap();
        let sources: Vec<Source> =
            sources.iter().map(|(name, text)| Source::parse(name, text).unwrap()).collect();
        unused(&package, "a", &sources).into_iter().map(|breach| breach.item).collect()
    }

    const NORMAL: &str = r#"{"name": "rustc-hash", "rename": null, "kind": null, "path": null}"#;
    const DEV: &str = r#"{"name": "proptest", "rename": null, "kind": "dev", "path": null}"#;

    #[test]
    fn a_dependency_that_only_a_comment_or_a_string_names_is_unused() {
        let source = "// rustc_hash\nconst A: &str = \"rustc_hash\";";
        assert_eq!(unused_of(NORMAL, "", &[("a/src/lib.rs", source)]), ["rustc-hash"]);
        assert!(unused_of(NORMAL, "", &[("a/src/lib.rs", "use rustc_hash::FxHashMap;")]).is_empty());
    }

    #[test]
    fn a_normal_dependency_that_tests_alone_use_is_unused() {
        let test = "#[cfg(test)] mod tests { use rustc_hash::FxHashMap; }";
        assert_eq!(unused_of(NORMAL, "", &[("a/src/lib.rs", test)]), ["rustc-hash"]);
    }

    #[test]
    fn a_dev_dependency_is_used_by_tests() {
        assert_eq!(unused_of(DEV, "", &[("a/src/lib.rs", "")]), ["proptest"]);
        assert!(unused_of(DEV, "", &[("a/tests/b.rs", "use proptest::prelude::*;")]).is_empty());
    }

    #[test]
    fn a_dependency_for_its_feature_is_said_in_the_manifest() {
        assert!(unused_of(NORMAL, "\"rustc-hash\"", &[]).is_empty());
    }
}
