use super::*;

/// Rule and item of each breach in a text.
fn found(text: &str, is_pure: bool) -> Vec<(&'static str, String)> {
    let source = Source::parse("a/src/lib.rs", text).unwrap();
    check(&source, is_pure).into_iter().map(|breach| (breach.rule, breach.item)).collect()
}

/// The text has one breach, in a crate with I/O.
fn impure_one(text: &str, rule: &'static str, item: &str) {
    assert_eq!(found(text, false), [(rule, item.to_owned())], "{text}");
}

fn sound(text: &str) {
    assert_eq!(found(text, false), [], "{text}");
}

fn one(text: &str, rule: &'static str, item: &str) {
    assert_eq!(found(text, true), [(rule, item.to_owned())], "{text}");
}

fn none(text: &str) {
    assert_eq!(found(text, true), [], "{text}");
}

#[test]
fn a_file_of_601_lines_is_long() {
    none(&"//\n".repeat(600));
    one(&"//\n".repeat(601), "long-file", "file");
}

#[test]
fn a_generated_file_may_be_long() {
    none(&("//! Written by `cargo xtask cuda-api`.\n".to_owned() + &"//\n".repeat(700)));
}

#[test]
fn a_function_of_101_lines_is_long() {
    let function = |lines: usize| format!("fn a() {{\n{}}}\n", "    b();\n".repeat(lines - 2));
    none(&function(100));
    one(&function(101), "long-function", "a");
}

#[test]
fn a_crate_in_which_more_than_one_of_20_functions_is_long_is_a_breach() {
    let lengths = |long: usize| [vec![10; 100 - long], vec![36; long]].concat();
    assert_eq!(long_functions("a", lengths(5)), None);
    assert_eq!(long_functions("a", lengths(6)).unwrap().rule, "long-functions");
    assert_eq!(long_functions("a", vec![]), None);
}

#[test]
fn a_public_item_without_documentation_is_a_breach() {
    one("pub fn a() {}", "undocumented", "a");
    one("/// A.\npub struct A;\nimpl A { pub fn b() {} }", "undocumented", "A::b");
    one("/// M.\nmod m { pub const C: u8 = 1; }", "undocumented", "m::C");
    none("/// A.\npub fn a() {}\npub(crate) fn b() {}\nfn c() {}");
    none("#[cfg(test)]\nmod tests { pub fn a() {} }");
    let generated = "//! Written by `cargo xtask cuda-api`.\npub const A: u8 = 1;\npub struct B;";
    one(generated, "undocumented", "B");
}

#[test]
fn io_in_a_pure_crate_is_a_breach_however_it_is_written() {
    one("use std::fs;", "impure", "std::fs");
    one("use std::{io::Read, fs::File};", "impure", "std::fs");
    one("use std::time::{Duration, Instant};", "impure", "std::time::Instant");
    one("fn a() { let b = std::env::var(\"c\"); }", "impure", "std::env");
    one("fn a() { b!(std::process::id()); }", "impure", "std::process");
    one("fn a() { println!(\"b\"); }", "impure", "println!");
    one("use std::*;", "impure", "std::fs");
}

#[test]
fn io_after_the_first_tests_is_a_breach_and_in_tests_is_none() {
    one("#[cfg(test)]\nmod tests {}\nuse std::fs;", "impure", "std::fs");
    none("#[cfg(test)]\nmod tests { use std::fs; fn a() { b().unwrap(); panic!(); } }");
    none("use std::io::Read;\n// std::fs\nconst A: &str = \"std::fs\";");
    assert_eq!(found("use std::fs;", false), []);
}

#[test]
fn what_panics_outside_of_tests_is_a_breach() {
    one("fn a() { b.unwrap(); }", "may-panic", "unwrap in a");
    one("fn a() { c!(b.expect(\"d\")); }", "may-panic", "expect in a");
    one("fn a() { panic!(\"b\") }", "may-panic", "panic in a");
    one("fn a() { unreachable!() }", "may-panic", "unreachable in a");
    none("fn a() { b.unwrap_or(1); parser.expect(b'c')?; }");
    none("#[test]\nfn a() { b.unwrap(); }");
    none("fn a() {\n    // Cannot fail: b is never empty.\n    b.unwrap();\n}");
    none("/// Does it.\n///\n/// # Panics\n/// Where there is no b.\npub fn a() { b.unwrap(); }");
    one(
        "// Cannot fail: said of another function.\nfn c() {}\nfn a() { b.unwrap(); }",
        "may-panic",
        "unwrap in a",
    );
}

#[test]
fn code_that_is_not_written_is_a_breach() {
    // The words are put together here, so that this file does not hold them.
    let unwritten = ["to", "do"].concat();
    one(&format!("fn a() {{ {unwritten}!() }}"), "unfinished", &unwritten);
    let mark = ["FIX", "ME"].concat();
    one(&format!("// {mark}: later"), "unfinished", &mark);
}

#[test]
fn an_unsafe_block_without_its_reason_is_a_breach() {
    impure_one("fn a() { unsafe { b() } }", "unsafe-without-reason", "a");
    impure_one("unsafe impl Send for A {}", "unsafe-without-reason", "file");
    impure_one("macro_rules! a { () => { unsafe { b() } } }", "unsafe-without-reason", "file");
    impure_one(
        "fn a() {\n    // SAFETY: b is sound.\n    unsafe { b() };\n    unsafe { c() };\n}",
        "unsafe-without-reason",
        "a",
    );
}

#[test]
fn a_reason_stands_above_the_block_or_above_its_statement() {
    sound("fn a() {\n    // SAFETY: sound,\n    // always.\n    unsafe { b() }\n}");
    sound("fn a() {\n    // SAFETY: sound.\n    let c =\n        d(unsafe { b() });\n}");
    sound("fn a() {\n    unsafe {\n        // SAFETY: sound.\n        b()\n    }\n}");
    sound("unsafe extern \"C\" fn a() {}");
}

#[test]
fn unsafe_code_in_a_pure_crate_is_a_breach() {
    let text = "fn a() {\n    // SAFETY: sound.\n    unsafe { b() }\n}";
    one(text, "impure", "unsafe");
    sound(text);
}
