//! One HTML file that shows a run: no network, no other files. What it draws is prepared here.

mod data;

use brimful_explain::{History, Holder, TracedRun};
use serde_json::Value;

/// What a page is made of.
pub struct PageAnswer<'a> {
    /// The run's name.
    pub input: &'a str,
    /// The run.
    pub run: TracedRun<'a>,
    /// What was in use over time.
    pub history: &'a History,
    /// Who holds memory at the peak.
    pub holders: &'a [Holder],
    /// The verdict in a sentence.
    pub verdict: String,
    /// Tables: heading, names of columns, rows.
    pub tables: Vec<(String, Vec<String>, Vec<Vec<String>>)>,
    /// What else to know.
    pub notes: &'a [String],
}

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");

/// The page.
pub fn page(answer: &PageAnswer<'_>) -> String {
    let title = escape(answer.input);
    HTML.replace("{{title}}", &title)
        .replace("{{css}}", CSS)
        .replace("{{data}}", &in_script(&data::data(answer)))
        .replace("{{js}}", JS)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// JSON that cannot end the script element it stands in.
fn in_script(json: &Value) -> String {
    json.to_string().replace("</", "<\\/").replace("<!--", "<\\!--")
}
