//! What `build.rs` takes for a function that the sources define. For every other one in `data/symbols.tsv` it writes a stub:
//! a name that is found too often has no function at all, and programs that link against it do not load.

#[path = "../build/defined.rs"]
mod defined;

use std::collections::HashSet;

fn found(source: &str) -> Vec<String> {
    let mut names = HashSet::new();
    defined::functions(source, &mut names);
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    names
}

#[test]
fn a_function_for_c_is_defined() {
    assert_eq!(
        found("unsafe extern \"C\" fn cudaMalloc(a: &'static u8) {}\nfn cudaFree() {}"),
        ["cudaMalloc"]
    );
}

#[test]
fn a_name_in_a_string_a_comment_or_an_expression_is_not() {
    assert_eq!(found("// cudaMalloc\nconst A: [&str; 2] = [\"cudaMalloc\", \"\\\"cudaFree\"];"), [""; 0]);
    assert_eq!(found("fn a() { log('\"', \"extern fn cudaMalloc\"); let cudaFree = 1; }"), [""; 0]);
}

#[test]
fn names_handed_to_a_macro_that_writes_functions_are() {
    let define = "macro_rules! all { ($($name:ident),*) => { $(extern \"C\" fn $name() {})* } }\n";
    assert_eq!(found(&format!("{define}all!(cudaMalloc, cudaFree);")), ["cudaFree", "cudaMalloc"]);
    assert_eq!(
        found(&format!("{define}all!(cudaMalloc(ncclSend): u8 = || ncclRecv; cudaFree);")),
        ["cudaFree", "cudaMalloc"]
    );
    let shared = "macro_rules! all { (($($a:ident),*): $($b:ident),*) => { $(extern \"C\" fn $b() {})* } }\n";
    assert_eq!(
        found(&format!("{shared}all!((ncclSend, ncclRecv): cudaFree, cudaMalloc);")),
        ["cudaFree", "cudaMalloc"]
    );
    assert_eq!(found("macro_rules! log { ($a:ident) => { f($a) } }\nlog!(cudaMalloc);"), [""; 0]);
}
