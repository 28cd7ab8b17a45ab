//! Incidents as JUnit, which CI systems show as tests.

use super::answer::{IncidentAnswer, headline};

/// One JUnit document: each text is a test case.
pub fn incidents_junit(answers: &[IncidentAnswer<'_>]) -> String {
    let failures = answers.iter().filter(|answer| answer.found()).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"brimful explain\" tests=\"{}\" failures=\"{failures}\">\n",
        answers.len()
    );
    for answer in answers {
        out += &format!("  <testcase name=\"{}\" classname=\"gpu-memory\"", xml(answer.input));
        match (&answer.report.incident, answer.diagnosis) {
            (Some(incident), Some(diagnosis)) if answer.found() => {
                let headline = xml(&headline(incident, diagnosis));
                let class = &diagnosis.cause.class;
                let text = xml(&incident.message);
                out += &format!(
                    ">\n    <failure message=\"{headline}\" type=\"{class}\">{text}</failure>\n  </testcase>\n"
                );
            }
            _ => out += "/>\n",
        }
    }
    out + "</testsuite>\n"
}

/// Text as XML takes it; characters that XML forbids become spaces.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::xml;

    #[test]
    fn hostile_text_is_still_xml() {
        assert_eq!(xml("a<b>&\"\u{0}\u{1b}[31m"), "a&lt;b&gt;&amp;&quot;  [31m");
    }
}
