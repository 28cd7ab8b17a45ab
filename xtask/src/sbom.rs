//! `cargo xtask sbom TARGET`: what the binary is made of, as CycloneDX 1.6 JSON on the standard output.
//!
//! The list is cargo's own resolution for the target, without dependencies of tests. Nothing in it depends on the time or the
//! machine, so that the same lock file gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// The crate whose binary is shipped.
const ROOT: &str = "brimful";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    repository: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `None` for a normal dependency, `build` or `dev`.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// SHA-256 of the `.crate` file; `None` for this repository's crates.
    checksum: Option<String>,
}

/// Prints the bill of materials.
///
/// # Errors
/// A call without a target, or what cargo and the lock file cannot say.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let [target] = arguments else {
        bail!("usage: cargo xtask sbom TARGET, such as x86_64-unknown-linux-gnu")
    };
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata's output")?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    let lock: Lock = toml::from_str(&lock).context("Cargo.lock")?;
    println!("{}", serde_json::to_string_pretty(&bill(&metadata, &lock)?)?);
    Ok(())
}

fn bill(metadata: &Metadata, lock: &Lock) -> Result<Value> {
    let root = metadata.packages.iter().find(|package| package.name == ROOT).context("no crate brimful")?;
    let needs = needs(&metadata.resolve);
    let shipped = reachable(&root.id, &needs);
    let by_id: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let packages = || shipped.iter().filter_map(|id| by_id.get(id).copied());
    let purl_of = |id: &&str| by_id.get(*id).map(|package| purl(package));
    let components: Vec<Value> = packages()
        .filter(|package| package.id != root.id)
        .map(|package| component(package, "library", lock))
        .collect();
    let dependencies: Vec<Value> = packages()
        .map(|package| {
            let on: BTreeSet<String> = needs[package.id.as_str()].iter().filter_map(purl_of).collect();
            json!({"ref": purl(package), "dependsOn": on})
        })
        .collect();
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(root, "application", lock)},
        "components": components,
        "dependencies": dependencies,
    }))
}

/// Each package's dependencies, those of its tests left out.
fn needs(resolve: &Resolve) -> BTreeMap<&str, Vec<&str>> {
    let shipped = |dependency: &&Dependency| {
        dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
    };
    let rows = resolve.nodes.iter().map(|node| {
        let shipped = node.deps.iter().filter(shipped).map(|dependency| dependency.pkg.as_str());
        (node.id.as_str(), shipped.collect())
    });
    rows.collect()
}

fn reachable<'a>(root: &'a str, needs: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(needs.get(id).into_iter().flatten());
        }
    }
    seen
}

/// The package's address, as github.com/package-url/purl-spec has it.
fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}

fn component(package: &Package, kind: &str, lock: &Lock) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
    });
    if let Some(license) = &package.license {
        // Crates from before SPDX expressions separate their licences by a slash.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(description) = &package.description {
        component["description"] = json!(description.trim());
    }
    let same = |locked: &&Locked| locked.name == package.name && locked.version == package.version;
    if let Some(checksum) = lock.package.iter().find(same).and_then(|locked| locked.checksum.as_ref()) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, license: &str) -> Value {
        json!({"id": name, "name": name, "version": "1.0.0+a", "license": license, "description": null, "repository": null})
    }

    #[test]
    fn the_bill_holds_what_is_shipped_and_no_dependency_of_tests() {
        let kind = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [package("brimful", "MIT"), package("a", "MIT/Apache-2.0"), package("b", "MIT"), package("t", "MIT")],
            "resolve": {"nodes": [
                {"id": "brimful", "deps": [kind("a", Value::Null), kind("t", json!("dev"))]},
                {"id": "a", "deps": [kind("b", json!("build"))]},
                {"id": "b", "deps": []},
                {"id": "t", "deps": []},
            ]},
        }))
        .unwrap();
        let lock: Lock =
            toml::from_str("[[package]]\nname = \"a\"\nversion = \"1.0.0+a\"\nchecksum = \"00ff\"").unwrap();
        let bill = bill(&metadata, &lock).unwrap();
        let names: Vec<&str> =
            bill["components"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["components"][0]["hashes"][0]["content"], "00ff");
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/a@1.0.0%2Ba");
        assert_eq!(bill["dependencies"][2]["dependsOn"], json!(["pkg:cargo/a@1.0.0%2Ba"]));
    }
}
