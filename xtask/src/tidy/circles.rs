//! Modules of one crate that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

use super::Breach;
use super::code::{Imports, path};
use super::source::Source;

/// Imports by module: the module's path within its crate, and the modules that it names.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Finds the circles of the crate in a folder. The crate's root is no part of any: it gathers its modules.
pub fn check(folder: &str, sources: &[Source]) -> Vec<Breach> {
    let prefix = format!("{folder}/src/");
    let ours: Vec<(Vec<String>, &Source)> = sources
        .iter()
        .filter_map(|source| Some((module(source.name.strip_prefix(&prefix)?), source)))
        .collect();
    let modules: BTreeSet<String> = ours.iter().map(|(module, _)| module.join("::")).collect();
    let exports = exports(&ours, &modules);
    let mut graph = Graph::new();
    for (module, source) in ours.iter().filter(|(module, _)| !module.is_empty()) {
        let name = module.join("::");
        let named = named(source).into_iter().filter_map(|path| resolve(module, &path, &modules, &exports));
        // A module and what lies below it are one thing.
        let others = named.filter(|other| !is_within(other, &name) && !is_within(&name, other));
        graph.entry(name.clone()).or_default().extend(others);
    }
    circles(&graph).into_iter().map(|circle| breach(folder, &circle)).collect()
}

fn breach(folder: &str, circle: &BTreeSet<String>) -> Breach {
    Breach {
        rule: "circle",
        file: folder.to_owned(),
        item: circle.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        line: 0,
        detail: "these modules import each other; move what they share into one of its own".to_owned(),
    }
}

/// The path of a file's module: nothing for the root.
fn module(file: &str) -> Vec<String> {
    let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = file.split('/').filter(|part| !["lib", "main"].contains(part));
    parts.map(str::to_owned).collect()
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
}

/// What the root takes from its modules with `pub use`: the name, and where it comes from.
fn exports(ours: &[(Vec<String>, &Source)], modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for (_, root) in ours.iter().filter(|(module, _)| module.is_empty()) {
        let mut imports = Imports::default();
        imports.visit_file(&root.syntax);
        for (path, _) in imports.found {
            if let (Some(from), Some(name)) = (longest(&path, modules), path.last()) {
                exports.insert(name.clone(), from);
            }
        }
    }
    exports
}

/// Every path that a source names: in `use` trees, and in expressions and types that begin at `crate` or `super`.
fn named(source: &Source) -> Vec<Vec<String>> {
    let mut imports = Imports::default();
    imports.visit_file(&source.syntax);
    let mut found: Vec<Vec<String>> = imports.found.into_iter().map(|(path, _)| path).collect();
    paths(source.tokens(), &mut found);
    found
}

fn paths(tokens: TokenStream, found: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for at in 0..tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => paths(group.stream(), found),
            TokenTree::Ident(name) if name == "crate" || name == "super" => found.push(path(&tokens[at..])),
            _ => {}
        }
    }
}

/// The module that a path leads to; `None` where it leads to the root or out of the crate.
fn resolve(
    from: &[String],
    path: &[String],
    modules: &BTreeSet<String>,
    exports: &BTreeMap<String, String>,
) -> Option<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let absolute = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "super" => [from.get(..from.len().checked_sub(ups)?)?, &path[ups..]].concat(),
        _ => return None,
    };
    longest(&absolute, modules).or_else(|| exports.get(absolute.first()?).cloned())
}

/// The longest beginning of a path that is a module.
fn longest(path: &[String], modules: &BTreeSet<String>) -> Option<String> {
    (1..=path.len()).rev().map(|length| path[..length].join("::")).find(|name| modules.contains(name))
}

/// The groups of modules of which each reaches each other.
fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|module| (module, reachable(graph, module))).collect();
    let mutual = |module: &String| -> BTreeSet<String> {
        let back =
            reached[module].iter().filter(|other| reached.get(other).is_some_and(|r| r.contains(module)));
        back.cloned().collect()
    };
    graph.keys().map(mutual).filter(|circle| circle.len() > 1).collect()
}

fn reachable(graph: &Graph, from: &String) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for other in graph.get(module).into_iter().flatten() {
            if reached.insert(other.clone()) {
                next.push(other);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(name, text)| Source::parse(&format!("a/src/{name}"), text).unwrap()).collect();
        check("a", &sources).into_iter().map(|breach| breach.item).collect()
    }

    #[test]
    fn two_modules_that_import_each_other_are_a_circle() {
        let files =
            [("b.rs", "use crate::c::C;"), ("c.rs", "fn d() { super::b::e(); }"), ("f.rs", "use crate::b;")];
        assert_eq!(circles_of(&files), ["b, c"]);
    }

    #[test]
    fn a_name_that_the_root_exports_belongs_to_its_module() {
        let root = ("lib.rs", "mod b; mod c; pub use b::{B, E};");
        assert_eq!(circles_of(&[root, ("b.rs", "use crate::c::C;"), ("c.rs", "use crate::B;")]), ["b, c"]);
    }

    #[test]
    fn imports_in_one_direction_are_none_and_those_of_tests_do_not_count() {
        let tests = "#[cfg(test)] mod tests { use crate::b::B; }";
        assert!(
            circles_of(&[("b.rs", "use crate::{c::C, d};"), ("c.rs", tests), ("d.rs", "use crate::c;")])
                .is_empty()
        );
    }

    #[test]
    fn a_module_and_what_lies_below_it_are_one() {
        assert!(circles_of(&[("b.rs", "mod c; use self::c::C;"), ("b/c.rs", "use super::B;")]).is_empty());
    }
}
