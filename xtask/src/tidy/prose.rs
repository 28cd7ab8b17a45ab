//! The prose in files that are not Rust: documents, data files and Python.

/// Keys of data files whose values people read.
const PROSE_KEYS: [&str; 8] = ["title", "meaning", "cost", "evidence", "note", "notes", "why", "says"];

/// Whether a file holds prose of the project's own. The changelog is history, and licences are others' words.
pub fn is_prose(file: &str) -> bool {
    let ours = ["md", "toml", "py"].iter().any(|ending| file.ends_with(&format!(".{ending}")));
    ours && file != "CHANGELOG.md"
}

/// The prose of a file in parts, each with the line on which it begins.
pub fn parts(file: &str, text: &str) -> Vec<(usize, String)> {
    match file.rsplit('.').next() {
        Some("toml") => data(text, 1),
        Some("py") => python(text),
        _ => document(file, text),
    }
}

/// A Markdown document, which may begin with data between `+++`.
fn document(file: &str, text: &str) -> Vec<(usize, String)> {
    let Some((front, body)) = text.strip_prefix("+++\n").and_then(|rest| rest.split_once("\n+++\n")) else {
        // The table of words that are not used names them.
        let end = if file == "STYLE.md" { text.find("## Words that are not used") } else { None };
        return vec![(1, without_code(&text[..end.unwrap_or(text.len())]))];
    };
    let mut parts = data(front, 2);
    parts.push((front.lines().count() + 3, without_code(body)));
    parts
}

/// Comments, and lines that give a prose key its value. Line by line: what is looked for has no syntax.
fn data(text: &str, first: usize) -> Vec<(usize, String)> {
    let prose = text.lines().enumerate().filter(|(_, line)| {
        let key = line.split('=').next().unwrap_or_default().trim();
        line.trim_start().starts_with('#') || PROSE_KEYS.contains(&key)
    });
    prose.map(|(at, line)| (first + at, without_code(line))).collect()
}

/// Comments and docstrings.
fn python(text: &str) -> Vec<(usize, String)> {
    let mut parts = Vec::new();
    let mut is_open = false;
    for (at, line) in text.lines().enumerate() {
        let quotes = line.matches("\"\"\"").count();
        let begins = line.trim_start().starts_with("\"\"\"");
        if is_open || begins {
            parts.push((at + 1, without_code(line)));
        } else if let Some((_, comment)) = line.split_once("# ") {
            parts.push((at + 1, without_code(comment)));
        }
        is_open = if begins || is_open { is_open ^ (quotes % 2 == 1) } else { false };
    }
    parts
}

/// The text with everything between backticks and all fenced blocks blanked; lines stay where they are.
pub fn without_code(text: &str) -> String {
    let mut prose = String::new();
    let mut is_fenced = false;
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            // A blank line ends a paragraph, and with it a backtick without its partner.
            is_code &= !line.trim().is_empty();
            for (at, part) in line.split('`').enumerate() {
                is_code ^= at > 0;
                prose.push_str(if is_code { " " } else { part });
            }
        }
        prose.push('\n');
    }
    prose
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_blanked_and_lines_stay() {
        assert_eq!(without_code("a `b\nc` d\n```sh\ne\n```\nf"), "a  \n  d\n\n\n\nf\n");
    }

    #[test]
    fn the_data_before_a_document_is_read_as_data() {
        let text = "+++\nid = \"told\"\ntitle = \"a\"\n+++\n\nb\n";
        let found = parts("causes/a.md", text);
        let trimmed: Vec<(usize, &str)> = found.iter().map(|(line, text)| (*line, text.trim())).collect();
        assert_eq!(trimmed, [(3, "title = \"a\""), (5, "b")]);
    }
}
