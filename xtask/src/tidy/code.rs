//! Rules about one source file: lengths, documentation, I/O, `unsafe`, and what may panic.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{UseTree, Visibility};

use super::Breach;
use super::source::{Source, line, type_name};

/// Lines of a source file, at most.
const LONGEST_FILE: usize = 600;
/// Lines of a function, at most.
const LONGEST_FUNCTION: usize = 100;
/// Lines that 95 of 100 functions of a crate have, at most.
const LONG_FUNCTION: usize = 35;
/// Lines between a call that panics and the comment that says why it does not, at most.
const REASON_WITHIN: usize = 6;
/// What a crate without I/O may not name.
const IMPURE: [&[&str]; 10] = [
    &["std", "fs"],
    &["std", "env"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "io", "stderr"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
];
/// Macros that print.
const PRINTS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
/// Macros that panic whenever they are reached.
const PANICS: [&str; 2] = ["panic", "unreachable"];
/// Macros that stand for code which is not written.
const UNWRITTEN: [&str; 2] = ["todo", "unimplemented"];

/// Checks one file.
pub fn check(source: &Source, is_pure: bool) -> Vec<Breach> {
    let mut rules = Rules { source, is_pure, breaches: Vec::new() };
    rules.long_file();
    rules.unfinished();
    let tokens: Vec<TokenTree> = source.all_tokens().into_iter().collect();
    rules.undocumented_unsafe(&tokens, &[]);
    if !source.is_test {
        rules.longest_functions();
        rules.undocumented();
        rules.walk(source.tokens());
        rules.imports();
    }
    rules.breaches
}

/// The breach of a crate in which more than one of 20 functions is long; `lengths` are lines of its functions.
pub fn long_functions(folder: &str, mut lengths: Vec<usize>) -> Option<Breach> {
    lengths.sort_unstable();
    let p95 = *lengths.get((lengths.len() * 95).div_ceil(100).checked_sub(1)?)?;
    let detail = format!("95 of 100 functions have up to {p95} lines, more than {LONG_FUNCTION}");
    let (file, item) = (folder.to_owned(), "p95".to_owned());
    (p95 > LONG_FUNCTION).then_some(Breach { rule: "long-functions", file, item, line: 0, detail })
}

struct Rules<'s> {
    source: &'s Source,
    is_pure: bool,
    breaches: Vec<Breach>,
}

impl Rules<'_> {
    fn push(&mut self, rule: &'static str, item: &str, line: usize, detail: impl Into<String>) {
        let (file, item) = (self.source.name.clone(), item.to_owned());
        self.breaches.push(Breach { rule, file, item, line, detail: detail.into() });
    }

    fn long_file(&mut self) {
        let lines = self.source.text.lines().count();
        if lines > LONGEST_FILE && !self.source.is_generated {
            self.push("long-file", "file", 0, format!("{lines} lines, more than {LONGEST_FILE}"));
        }
    }

    fn longest_functions(&mut self) {
        for function in self.source.functions() {
            if function.lines() > LONGEST_FUNCTION && !self.source.is_generated {
                let detail = format!("{} lines, more than {LONGEST_FUNCTION}", function.lines());
                self.push("long-function", &function.name, function.first, detail);
            }
        }
    }

    /// Marks that people leave for later.
    fn unfinished(&mut self) {
        let source = self.source;
        for piece in super::lexer::pieces(&source.text).iter().filter(|piece| !piece.is_string) {
            // Both words are put together here, so that this file does not hold them.
            for mark in [["FIX", "ME"].concat(), ["XX", "X"].concat()] {
                if piece.text.contains(&mark) {
                    self.push("unfinished", &mark, piece.line, "finish it, or say why it is as it is");
                }
            }
        }
    }

    /// Looks at every run of tokens for calls that panic, names of I/O and macros that print.
    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for at in 0..tokens.len() {
            let rest = &tokens[at..];
            self.panicking_call(rest);
            self.macro_call(rest, at.checked_sub(1).map(|before| &tokens[before]));
            self.unsafe_in_pure(&tokens[at]);
            self.named_io(rest, at.checked_sub(1).map(|before| &tokens[before]));
            if let TokenTree::Group(group) = &tokens[at] {
                self.walk(group.stream());
            }
        }
    }

    fn panicking_call(&mut self, tokens: &[TokenTree]) {
        let [dot, TokenTree::Ident(name), TokenTree::Group(arguments), rest @ ..] = tokens else { return };
        if !is_punct(dot, '.') || arguments.delimiter() != Delimiter::Parenthesis {
            return;
        }
        let is_empty = arguments.stream().is_empty();
        // A method of a parser may be called `expect` as well; it returns a `Result`.
        let is_result = rest.first().is_some_and(|next| is_punct(next, '?'));
        let panics = (name == "unwrap" && is_empty) || (name == "expect" && !is_empty && !is_result);
        if panics {
            self.may_panic(name);
        }
    }

    fn may_panic(&mut self, name: &proc_macro2::Ident) {
        let line = line(name.span());
        if self.says_why_not(line) {
            return;
        }
        let item = format!("{name} in {}", self.source.function_at(line));
        let detail = "outside of tests an error is returned, or a comment says why it does not come to that: \
            `// Cannot fail: …`, or `# Panics` in the documentation";
        self.push("may-panic", &item, line, detail);
    }

    fn macro_call(&mut self, tokens: &[TokenTree], before: Option<&TokenTree>) {
        let [TokenTree::Ident(name), bang, TokenTree::Group(_), ..] = tokens else { return };
        if !is_punct(bang, '!') || before.is_some_and(|before| is_punct(before, '.')) {
            return;
        }
        let is_one_of = |names: &[&str]| names.iter().any(|one| name == one);
        let line = line(name.span());
        if is_one_of(&PANICS) {
            self.may_panic(name);
        } else if is_one_of(&UNWRITTEN) {
            self.push("unfinished", &name.to_string(), line, "write it");
        } else if self.is_pure && is_one_of(&PRINTS) {
            self.push("impure", &format!("{name}!"), line, "a crate without I/O prints nothing");
        }
    }

    fn unsafe_in_pure(&mut self, token: &TokenTree) {
        if let TokenTree::Ident(word) = token
            && self.is_pure
            && word == "unsafe"
        {
            self.push("impure", "unsafe", line(word.span()), "a crate without I/O has no unsafe code");
        }
    }

    /// A path such as `std::fs::read` that stands in an expression or a type.
    fn named_io(&mut self, tokens: &[TokenTree], before: Option<&TokenTree>) {
        if !self.is_pure || before.is_some_and(|before| is_punct(before, ':')) {
            return;
        }
        let path = path(tokens);
        if let (Some(name), TokenTree::Ident(first)) = (impure(&path), &tokens[0]) {
            self.impure(&name, line(first.span()));
        }
    }

    fn impure(&mut self, name: &str, line: usize) {
        let again = self.breaches.iter().any(|b| b.rule == "impure" && b.item == name && b.line == line);
        if !again {
            self.push("impure", name, line, "ARCHITECTURE.md says that this crate does no I/O");
        }
    }

    /// `use` trees, whose paths are spread over braces.
    fn imports(&mut self) {
        if !self.is_pure {
            return;
        }
        let mut imports = Imports::default();
        imports.visit_file(&self.source.syntax);
        for (path, line) in imports.found {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Some(name) = impure(&names) {
                self.impure(&name, line);
            }
        }
    }

    fn undocumented(&mut self) {
        let mut public = Public { skips_constants: self.source.is_generated, ..Public::default() };
        public.visit_file(&self.source.syntax);
        for (item, line) in public.undocumented {
            self.push("undocumented", &item, line, "a public item says what it is or does");
        }
    }

    /// `unsafe` blocks and impls, in functions and in macros alike. `starts` are the lines on which the statements around
    /// these tokens begin, up to the next block.
    fn undocumented_unsafe(&mut self, tokens: &[TokenTree], starts: &[usize]) {
        let mut start = None;
        for (at, token) in tokens.iter().enumerate() {
            let here = line(token.span());
            let first = *start.get_or_insert(here);
            if is_unsafe(&tokens[at..]) {
                let candidates = [&[here, first][..], starts].concat();
                if !candidates.iter().any(|line| self.says_why(*line)) {
                    let item = self.source.function_at(here);
                    self.push("unsafe-without-reason", &item, here, "say why it is sound: // SAFETY: …");
                }
            }
            match token {
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let is_block = group.delimiter() == Delimiter::Brace;
                    let around = if is_block { vec![] } else { [starts, &[first]].concat() };
                    self.undocumented_unsafe(&inner, &around);
                    // A block ends a statement, unless more of it follows on the same line.
                    let last = group.span_close().end().line;
                    let goes_on = tokens.get(at + 1).is_some_and(|next| line(next.span()) == last);
                    start = if is_block && !goes_on { None } else { start };
                }
                token if is_punct(token, ';') || is_punct(token, ',') => start = None,
                _ => {}
            }
        }
    }

    /// Whether a comment in the few lines above a call says why it does not panic, or the function's documentation when it
    /// does.
    fn says_why_not(&self, line: usize) -> bool {
        let lines: Vec<&str> = self.source.text.lines().collect();
        let first = self.source.innermost(line).map_or(1, |function| function.first);
        let nearest = first.max(line.saturating_sub(REASON_WITHIN));
        let documentation = lines[..first - 1].iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with('#')
        });
        lines[nearest - 1..line].iter().any(|line| line.contains("// Cannot fail: "))
            || documentation.into_iter().any(|line| line.trim() == "/// # Panics")
    }

    /// Whether the comment on or directly above a line says why what stands there is safe.
    fn says_why(&self, line: usize) -> bool {
        let lines: Vec<&str> = self.source.text.lines().collect();
        let on = lines.get(line - 1).into_iter().chain(lines.get(line));
        let above = lines[..line - 1].iter().rev();
        let above = above.take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with('#')
        });
        let is_comment = |line: &&&str| line.contains("//");
        on.filter(is_comment).chain(above).any(|line| line.contains("SAFETY"))
    }
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn is_unsafe(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Ident(word), next, ..] = tokens else { return false };
    let is_block = matches!(next, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    word == "unsafe" && (is_block || matches!(next, TokenTree::Ident(next) if next == "impl"))
}

/// The names of a path that begins at the first token.
pub fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(name), after @ ..] = rest {
        names.push(name.to_string());
        match after {
            [TokenTree::Punct(one), two, more @ ..]
                if one.as_char() == ':' && one.spacing() == Spacing::Joint && is_punct(two, ':') =>
            {
                rest = more;
            }
            _ => break,
        }
    }
    names
}

/// The name of the I/O that a path leads to.
fn impure<S: AsRef<str>>(path: &[S]) -> Option<String> {
    let begins = |name: &&&[&str]| {
        // `use std::*` brings all of them; `use std::{self}` names the crate itself.
        let whole = path.len() == 2 && path[0].as_ref() == "std" && ["*", "self"].contains(&path[1].as_ref());
        whole
            || (path.len() >= name.len() && name.iter().zip(path).all(|(one, other)| *one == other.as_ref()))
    };
    IMPURE.iter().find(begins).map(|name| name.join("::"))
}

/// The paths of all `use` trees, with their lines.
#[derive(Default)]
pub struct Imports {
    /// The paths; a glob ends in `*`.
    pub found: Vec<(Vec<String>, usize)>,
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.flatten(&item.tree, &mut Vec::new());
    }
}

impl Imports {
    fn flatten(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        let leaf = |name: String, at| ([before.as_slice(), &[name]].concat(), line(at));
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.flatten(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.flatten(tree, before)),
            UseTree::Name(name) => self.found.push(leaf(name.ident.to_string(), name.ident.span())),
            UseTree::Rename(name) => self.found.push(leaf(name.ident.to_string(), name.ident.span())),
            UseTree::Glob(glob) => self.found.push(leaf("*".to_owned(), glob.star_token.spans[0])),
        }
    }
}

/// Public items without documentation.
#[derive(Default)]
struct Public {
    /// In a generated file the header that the constants come from documents them.
    skips_constants: bool,
    scope: Vec<String>,
    undocumented: Vec<(String, usize)>,
}

impl Public {
    fn note(&mut self, attributes: &[syn::Attribute], visibility: &Visibility, name: &syn::Ident) {
        let is_documented = attributes.iter().any(|attribute| attribute.path().is_ident("doc"));
        if matches!(visibility, Visibility::Public(_)) && !is_documented {
            let item = [self.scope.as_slice(), &[name.to_string()]].concat().join("::");
            self.undocumented.push((item, line(name.span())));
        }
    }
}

impl<'ast> Visit<'ast> for Public {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Const(item) if !self.skips_constants => self.note(&item.attrs, &item.vis, &item.ident),
            syn::Item::Enum(item) => self.note(&item.attrs, &item.vis, &item.ident),
            syn::Item::Fn(item) => self.note(&item.attrs, &item.vis, &item.sig.ident),
            syn::Item::Static(item) => self.note(&item.attrs, &item.vis, &item.ident),
            syn::Item::Struct(item) => self.note(&item.attrs, &item.vis, &item.ident),
            syn::Item::Trait(item) => self.note(&item.attrs, &item.vis, &item.ident),
            syn::Item::Type(item) => self.note(&item.attrs, &item.vis, &item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        self.scope.push(type_name(&block.self_ty));
        visit::visit_item_impl(self, block);
        self.scope.pop();
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.attrs, &function.vis, &function.sig.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.scope.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.scope.pop();
    }
}

#[cfg(test)]
mod tests;
