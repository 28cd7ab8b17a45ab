//! One HTML file that shows a run, or two beside each other: no network, no other files. What it draws is prepared here.

mod answer;
mod data;
mod paths;

use brimful_explain::{History, Holder, TracedRun};
use serde::Serialize;

use crate::diff::DiffAnswer;
use crate::fit::FitAnswer;
use crate::recording::RecordingAnswer;

/// What a page is made of.
pub struct PageAnswer<'a> {
    /// What the page is called; without folders, since a page is passed on.
    pub title: String,
    /// The runs: one, the GPUs of a snapshot, or the two that are compared.
    pub runs: Vec<PageRun<'a>>,
    /// The run that is shown first.
    pub first: usize,
    /// The differences between two runs; `None` if the page is not a comparison.
    pub diff: Option<DiffAnswer<'a>>,
}

/// A run of a page.
pub struct PageRun<'a> {
    /// What the page's choice of runs calls it.
    pub label: String,
    /// The run.
    pub run: TracedRun<'a>,
    /// What was in use over time.
    pub history: &'a History,
    /// Who holds memory at the peak.
    pub holders: &'a [Holder],
    /// The answer about it.
    pub about: PageSubject<'a>,
    /// What else to know.
    pub notes: &'a [String],
}

/// What a run of a page is, with its answer.
pub enum PageSubject<'a> {
    /// A snapshot.
    Recording(RecordingAnswer<'a>),
    /// A job.
    Job(FitAnswer<'a>),
    /// A predicted trace, which has no answer beside its memory.
    Trace,
}

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
/// One file for each part of the page, after what they share. They become one module, in this order.
const JS: [&str; 15] = [
    include_str!("run.js"),
    include_str!("format.js"),
    include_str!("frames.js"),
    include_str!("filter.js"),
    include_str!("stack.js"),
    include_str!("timeline.js"),
    include_str!("minimap.js"),
    include_str!("pointer.js"),
    include_str!("segments.js"),
    include_str!("instant.js"),
    include_str!("flame.js"),
    include_str!("tables.js"),
    include_str!("answer.js"),
    include_str!("keyboard.js"),
    include_str!("main.js"),
];

/// The page.
pub fn page(answer: &PageAnswer<'_>) -> String {
    filled(HTML, |name| match name {
        "title" => Some(escape(&answer.title)),
        "css" => Some(CSS.to_owned()),
        "verdict" => Some(escape(&answer::headline(answer))),
        "tone" => Some(answer::headline_tone(answer).to_owned()),
        "data" => Some(in_script(&data::data(answer))),
        "js" => Some(JS.concat()),
        _ => None,
    })
}

/// The template with each `{{name}}` filled in. It is read once, from its begin to its end: what is filled in can hold
/// `{{js}}` itself and stays as it is.
fn filled(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, name, after)) = placeholder(rest) {
        out += before;
        match value(name) {
            Some(value) => out += &value,
            None => out += &rest[before.len()..rest.len() - after.len()],
        }
        rest = after;
    }
    out + rest
}

/// The text before the first placeholder, its name, and the text after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, begins) = text.split_once("{{")?;
    let (name, after) = begins.split_once("}}")?;
    Some((before, name, after))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// JSON that cannot end the script element it stands in, nor begin a comment there: `<` is only in strings, where JSON can
/// write it as a number.
fn in_script(data: &impl Serialize) -> String {
    crate::wire::line(data).replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_frame_with_html_or_a_placeholder_in_its_name_is_data() -> Result<(), serde_json::Error> {
        let hostile = json!(["</script><script>", "<!-- <script>", "{{js}}", "{{data}} {{title}}"]);
        let page = filled(HTML, |name| match name {
            "data" => Some(in_script(&hostile)),
            "js" => Some("the script".to_owned()),
            _ => Some(String::new()),
        });
        assert_eq!(page.matches("the script").count(), 1);
        assert_eq!(page.matches("</script>").count(), 2);
        let begins = page.split("application/json\">").nth(1).unwrap_or_default();
        let data = begins.split("</script>").next().unwrap_or_default();
        assert!(!data.contains('<'), "{data}");
        assert_eq!(serde_json::from_str::<Value>(data)?, hostile);
        Ok(())
    }

    #[test]
    fn every_placeholder_of_the_template_has_a_value_and_every_category_a_colour() {
        let mut names = Vec::new();
        let mut rest = HTML;
        while let Some((_, name, after)) = placeholder(rest) {
            names.push(name);
            rest = after;
        }
        assert_eq!(names, ["title", "css", "title", "tone", "verdict", "data", "js"]);
        for category in brimful_trace::Category::ALL {
            assert!(JS[1].contains(&format!("  {}: ['#", category.name())), "{}", category.name());
        }
    }

    #[test]
    fn every_script_is_short_enough_to_read() {
        for script in JS {
            let begins = script.lines().next().unwrap_or_default();
            assert!(script.lines().count() < 400, "{begins}");
            assert!(begins.starts_with("// "), "{begins}");
        }
    }
}
