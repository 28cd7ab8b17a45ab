//! A Rust source file: its text, its syntax with and without what only tests see, and its functions.

use anyhow::{Context, Result};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item};

/// A source file.
pub struct Source {
    /// Its path from the root.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Whether it is a test, a bench or a build script as a whole.
    pub is_test: bool,
    /// Whether a program wrote it, as its first lines say.
    pub is_generated: bool,
    /// The syntax without items under `#[cfg(test)]` and `#[test]`.
    pub syntax: syn::File,
    /// The lines of those items, first and last.
    test_lines: Vec<(usize, usize)>,
    /// The tokens of the whole file.
    all: TokenStream,
}

/// A function: its name and the lines from its signature to its closing brace.
pub struct Function {
    /// The name with the modules and the type around it.
    pub name: String,
    /// The line of its signature.
    pub first: usize,
    /// The line of its closing brace.
    pub last: usize,
}

impl Function {
    /// How many lines it has.
    pub fn lines(&self) -> usize {
        self.last - self.first + 1
    }
}

impl Source {
    /// Reads a file's text.
    ///
    /// # Errors
    /// A text that is not Rust.
    pub fn parse(name: &str, text: &str) -> Result<Source> {
        let mut syntax = syn::parse_file(text).with_context(|| name.to_owned())?;
        let all = syntax.to_token_stream();
        let mut test_lines = Vec::new();
        strip(&mut syntax.items, &mut test_lines);
        Ok(Source {
            name: name.to_owned(),
            text: text.to_owned(),
            is_test: ["/tests/", "/benches/", "/build.rs", "/tests.rs"]
                .iter()
                .any(|part| name.contains(part)),
            is_generated: text.lines().take(3).any(|line| line.contains("Written by `cargo xtask")),
            syntax,
            test_lines,
            all,
        })
    }

    /// The tokens without what only tests see.
    pub fn tokens(&self) -> TokenStream {
        self.syntax.to_token_stream()
    }

    /// The tokens of the whole file.
    pub fn all_tokens(&self) -> TokenStream {
        self.all.clone()
    }

    /// Whether a line is seen by tests alone.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// Its functions, without tests.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = Functions::default();
        functions.visit_file(&self.syntax);
        functions.found
    }

    /// The names of its tests: functions behind `#[test]`, in a macro such as `proptest!` as well.
    pub fn tests(&self) -> Vec<String> {
        let mut names = Vec::new();
        tests_in(self.all_tokens(), &mut names);
        names
    }

    /// The name of the innermost function around a line; `file` outside of all.
    pub fn function_at(&self, line: usize) -> String {
        self.innermost(line).map_or("file".to_owned(), |function| function.name)
    }

    /// The innermost function around a line.
    pub fn innermost(&self, line: usize) -> Option<Function> {
        let around = self.functions().into_iter();
        let around = around.filter(|function| (function.first..=function.last).contains(&line));
        around.min_by_key(Function::lines)
    }
}

fn tests_in(tokens: TokenStream, names: &mut Vec<String>) {
    let mut is_test = false;
    let mut is_name = false;
    for token in tokens {
        match token {
            TokenTree::Ident(word) if is_name => {
                names.push(word.to_string());
                (is_test, is_name) = (false, false);
            }
            TokenTree::Ident(word) => is_name = is_test && word == "fn",
            TokenTree::Group(group) if group.stream().to_string() == "test" => is_test = true,
            TokenTree::Group(group) => tests_in(group.stream(), names),
            _ => {}
        }
    }
}

/// The first line of a span.
pub fn line(span: Span) -> usize {
    span.start().line
}

/// Takes out what only tests see, and notes its lines.
fn strip(items: &mut Vec<Item>, lines: &mut Vec<(usize, usize)>) {
    items.retain(|item| keep(attributes(item), item.span(), lines));
    for item in items {
        match item {
            Item::Mod(module) => {
                if let Some((_, items)) = &mut module.content {
                    strip(items, lines);
                }
            }
            Item::Impl(block) => block.items.retain(|item| match item {
                ImplItem::Fn(function) => keep(&function.attrs, function.span(), lines),
                _ => true,
            }),
            _ => {}
        }
    }
}

fn keep(attributes: &[Attribute], span: Span, lines: &mut Vec<(usize, usize)>) -> bool {
    let is_test = attributes.iter().any(is_test);
    if is_test {
        lines.push((span.start().line, span.end().line));
    }
    !is_test
}

fn is_test(attribute: &Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    let tokens = attribute.meta.to_token_stream().to_string();
    let mut words = tokens.split(|c: char| !c.is_alphanumeric() && c != '_');
    attribute.path().is_ident("cfg") && words.clone().any(|word| word == "test") && !words.any(|w| w == "not")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name of a type as an item is named by it, such as `Bytes`.
pub fn type_name(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Path(path) => {
            path.path.segments.last().map_or(String::new(), |last| last.ident.to_string())
        }
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => "impl".to_owned(),
    }
}

#[derive(Default)]
struct Functions {
    scope: Vec<String>,
    found: Vec<Function>,
}

impl Functions {
    fn push(&mut self, signature: &syn::Signature, block: &syn::Block) {
        self.scope.push(signature.ident.to_string());
        self.found.push(Function {
            name: self.scope.join("::"),
            first: line(signature.span()),
            last: block.span().end().line,
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.push(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
        self.scope.pop();
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.push(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
        self.scope.pop();
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.push(&function.sig, block);
            visit::visit_trait_item_fn(self, function);
            self.scope.pop();
        }
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        self.scope.push(type_name(&block.self_ty));
        visit::visit_item_impl(self, block);
        self.scope.pop();
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.scope.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.scope.pop();
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.scope.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.scope.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "impl A {\n    fn b() {\n        let c = 1;\n    }\n}\n\
        #[cfg(test)]\nmod tests {\n    fn d() {}\n}\n#[cfg(not(test))]\nfn e() {}\n";

    #[test]
    fn functions_have_their_lines_and_tests_are_left_out() {
        let source = Source::parse("a/src/lib.rs", TEXT).unwrap();
        let found: Vec<(String, usize)> =
            source.functions().iter().map(|function| (function.name.clone(), function.lines())).collect();
        assert_eq!(found, [("A::b".to_owned(), 3), ("e".to_owned(), 1)]);
        assert!(source.is_test_line(8) && !source.is_test_line(3));
        assert_eq!(source.function_at(3), "A::b");
    }

    #[test]
    fn tests_are_found_in_macros_too() {
        let text = "#[test]\nfn a() {}\nfn b() {}\nproptest! { #[test]\nfn c(d in e()) {} }";
        assert_eq!(Source::parse("a/tests/f.rs", text).unwrap().tests(), ["a", "c"]);
    }
}
