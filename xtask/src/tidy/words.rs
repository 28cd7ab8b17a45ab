//! The words of STYLE.md's table "Words that are not used", in comments, help, messages and documents.

use super::Breach;
use super::lexer::pieces;
use super::prose;
use super::source::Source;

/// A word or a phrase that is not used, as its words in lower case.
type Phrase = Vec<String>;

/// The phrases in the left column of the table. A phrase with an ellipsis is a pattern that only a reviewer can see.
pub fn private_words(style: &str) -> Vec<Phrase> {
    let table = style.split("## Words that are not used").nth(1).unwrap_or_default();
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.filter_map(|row| row.split('|').nth(1)).map(without_parentheses);
    let phrases = cells.flat_map(|cell| cell.split(',').map(str::to_owned).collect::<Vec<_>>());
    let phrases = phrases.filter(|phrase| !phrase.contains('…') && !phrase.trim().is_empty());
    phrases.map(|phrase| words(&phrase).map(|(_, word)| word).collect()).collect()
}

fn without_parentheses(cell: &str) -> String {
    let parts = cell.split('(').enumerate();
    parts.map(|(at, part)| if at == 0 { part } else { part.split(')').nth(1).unwrap_or_default() }).collect()
}

/// The words of a text in lower case, each with the number of line breaks before it.
fn words(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    text.lines().enumerate().flat_map(|(line, text)| {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '_' && c != '-');
        words.filter(|word| !word.is_empty()).map(move |word| (line, word.to_lowercase()))
    })
}

/// Breaches in the comments of a source, and outside of tests in its string literals that are prose.
pub fn in_rust(source: &Source, private: &[Phrase]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for piece in pieces(&source.text) {
        // What a program compares or writes as a key has no space.
        let is_prose = !piece.is_string || (piece.text.contains(' ') && !source.is_test_line(piece.line));
        if is_prose {
            let text = if piece.is_string { piece.text } else { prose::without_code(&piece.text) };
            find(&source.name, &text, piece.line, private, &mut breaches);
        }
    }
    breaches
}

/// Breaches in a document or a data file.
pub fn in_prose(file: &str, text: &str, private: &[Phrase]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (line, text) in prose::parts(file, text) {
        find(file, &text, line, private, &mut breaches);
    }
    breaches
}

fn find(file: &str, text: &str, first_line: usize, private: &[Phrase], breaches: &mut Vec<Breach>) {
    let words: Vec<(usize, String)> = words(text).collect();
    for at in 0..words.len() {
        for phrase in private {
            let rest = &words[at..];
            let is_here =
                rest.len() >= phrase.len() && phrase.iter().zip(rest).all(|(one, (_, word))| one == word);
            if is_here {
                breaches.push(Breach {
                    rule: "private-word",
                    file: file.to_owned(),
                    item: phrase.join(" "),
                    line: first_line + words[at].0,
                    detail: "STYLE.md says what to write in its place".to_owned(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = "| x | y |\n## Words that are not used\n\n| not | but |\n|---|---|\n\
        | told, tells (of a program) | says |\n| so much before | bytes before |\n| what … whose … | a noun |\n";

    fn in_source(text: &str) -> Vec<(String, usize)> {
        let source = Source::parse("a/src/lib.rs", text).unwrap();
        let found = in_rust(&source, &private_words(STYLE));
        found.into_iter().map(|breach| (breach.item, breach.line)).collect()
    }

    fn in_file(file: &str, text: &str) -> Vec<(String, usize)> {
        let found = in_prose(file, text, &private_words(STYLE));
        found.into_iter().map(|breach| (breach.item, breach.line)).collect()
    }

    #[test]
    fn the_table_gives_its_words_and_phrases() {
        let phrases: Vec<String> = private_words(STYLE).iter().map(|phrase| phrase.join(" ")).collect();
        assert_eq!(phrases, ["told", "tells", "so much before"]);
    }

    #[test]
    fn a_private_word_in_a_comment_or_a_message_is_a_breach() {
        assert_eq!(in_source("//! Says a.\n//! Tells b.\n"), [("tells".to_owned(), 2)]);
        assert_eq!(in_source("/// So much\n/// before.\nfn a() {}"), [("so much before".to_owned(), 1)]);
        assert_eq!(in_source("const A: &str = \"not told\";"), [("told".to_owned(), 1)]);
    }

    #[test]
    fn names_keys_and_code_are_no_prose() {
        assert_eq!(in_source("/// Calls `told`.\nfn told() { a(\"told\"); }\n// untold\n"), []);
        assert_eq!(in_source("/// ```\n/// told(1)\n/// ```\nfn a() {}"), []);
        assert_eq!(in_source("#[test]\nfn a() { assert!(b, \"was told\"); }"), []);
    }

    #[test]
    fn documents_are_read_without_their_code() {
        assert_eq!(in_file("a.md", "One.\n\n```\ntold\n```\n\n`told` is told.\n"), [("told".to_owned(), 7)]);
        assert_eq!(in_file("STYLE.md", STYLE), []);
    }

    #[test]
    fn data_files_are_read_for_titles_and_comments() {
        let text = "# told\ntitle = \"tells\"\nneedle = [\"was told\"]\n";
        assert_eq!(in_file("formats/a.toml", text), [("told".to_owned(), 1), ("tells".to_owned(), 2)]);
    }

    #[test]
    fn python_is_read_for_comments_and_docstrings() {
        let text = "\"\"\"Tells.\"\"\"\na = 'told'  # told\n";
        assert_eq!(in_file("a.py", text), [("tells".to_owned(), 1), ("told".to_owned(), 2)]);
    }
}
