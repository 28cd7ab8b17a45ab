//! Lists of model families in documents: each names all that are simulated.

use std::collections::BTreeSet;

use brimful_models::{Config, catalogue};

use super::Breach;

/// A list of at least so many families is meant to be all of them.
const LEAST: usize = 3;

/// Checks every list of families in a document.
pub fn check(file: &str, text: &str) -> Vec<Breach> {
    let is_document = file.ends_with(".md");
    let all: BTreeSet<String> = if is_document { simulated() } else { BTreeSet::new() };
    lists(text, &all).into_iter().filter_map(|(line, list)| incomplete(file, line, &list, &all)).collect()
}

/// transformers' `model_type` of every family in the catalogue that is written by hand; it has at least one model of each.
/// Those whose class was recorded as a program are listed in one place (`proven.txt`), and are too many for a sentence.
fn simulated() -> BTreeSet<String> {
    let models = catalogue::names().filter_map(|name| catalogue::model(name).ok());
    let by_hand = models.filter(|model| !matches!(model.file.config, Config::Recorded(_)));
    by_hand.map(|model| model.file.model_type.to_owned()).collect()
}

fn incomplete(file: &str, line: usize, list: &BTreeSet<String>, all: &BTreeSet<String>) -> Option<Breach> {
    let missing: Vec<&str> = all.difference(list).map(String::as_str).collect();
    let detail = format!("the list of families lacks {}", missing.join(", "));
    let (file, item) = (file.to_owned(), missing.join(","));
    (!missing.is_empty()).then_some(Breach { rule: "families", file, item, line, detail })
}

/// A word without punctuation, in small letters.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// Runs of family names with nothing but commas and "and" between them, each with its line.
fn lists(text: &str, all: &BTreeSet<String>) -> Vec<(usize, BTreeSet<String>)> {
    let mut lists = Vec::new();
    let mut open: (usize, BTreeSet<String>) = (0, BTreeSet::new());
    let numbered = text.lines().enumerate();
    let mut words =
        numbered.flat_map(|(at, line)| line.split_whitespace().map(move |word| (at + 1, word))).peekable();
    while let Some((line, mut word)) = words.next() {
        if ["and", "or"].contains(&word) {
            continue;
        }
        let mut name = plain(word);
        // A name can be two words: "Gemma 2".
        if let Some((_, next)) = words.next_if(|(_, next)| all.contains(&(name.clone() + &plain(next)))) {
            name += &plain(next);
            word = next;
        }
        let goes_on = word.ends_with(',') || word.ends_with(|c: char| c.is_alphanumeric());
        if all.contains(&name) {
            open.0 = if open.1.is_empty() { line } else { open.0 };
            open.1.insert(name);
            if goes_on {
                continue;
            }
        }
        lists.push(std::mem::take(&mut open));
    }
    lists.push(open);
    lists.retain(|(_, list)| list.len() >= LEAST);
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> BTreeSet<String> {
        ["llama", "mistral", "qwen2", "gpt2"].map(str::to_owned).into()
    }

    #[test]
    fn a_list_that_lacks_a_family_is_a_breach() {
        let found = lists("Known: Llama,\nMistral and GPT-2; more.", &all());
        assert_eq!(found.len(), 1);
        let breach = incomplete("a.md", found[0].0, &found[0].1, &all()).unwrap();
        assert_eq!((breach.item.as_str(), breach.line), ("qwen2", 1));
    }

    #[test]
    fn a_name_of_two_words_is_one_family() {
        let all: BTreeSet<String> = ["llama", "gemma2", "gpt2"].map(str::to_owned).into();
        let found = lists("Known: Llama, Gemma 2 and GPT-2.", &all);
        assert!(found.len() == 1 && found[0].1 == all, "{found:?}");
    }

    #[test]
    fn a_complete_list_and_a_pair_of_families_are_none() {
        let found = lists("Llama, Mistral, Qwen2 and GPT-2.", &all());
        assert_eq!(incomplete("a.md", found[0].0, &found[0].1, &all()), None);
        assert_eq!(lists("Llama and Mistral share a class.", &all()), []);
    }

    #[test]
    fn the_catalogue_knows_the_families() {
        assert!(simulated().contains("llama") && simulated().len() >= 5);
    }
}
