//! Failures for other programs: Markdown for an issue, SARIF and JUnit for continuous integration.

use brimful_explain::Diagnosis;
use brimful_logs::Incident;
use serde_json::{Value, json};

use crate::IncidentAnswer;
use crate::incident_json::keeps;

/// Markdown to paste into an issue.
pub fn incident_markdown(answer: &IncidentAnswer<'_>) -> String {
    let (Some(incident), Some(diagnosis)) = (&answer.report.incident, answer.diagnosis) else {
        return format!("No memory failure in `{}`.\n", answer.input);
    };
    let mut lines = vec![
        format!("### {}", headline(incident, diagnosis)),
        String::new(),
        "```text".to_owned(),
        incident.message.replace("```", "'''"),
        "```".to_owned(),
        String::new(),
    ];
    lines.extend(
        diagnosis.cause.evidence.iter().chain(&diagnosis.notes).map(|sentence| format!("- {sentence}")),
    );
    lines.push(String::new());
    lines.extend(ledger_table(diagnosis));
    lines.push("| what helps | how | result | cost |\n|---|---|---|---|".to_owned());
    for fix in &diagnosis.fixes {
        let cell = |text: &str| text.replace('|', "\\|");
        let (how, cost) = (cell(&fix.apply), cell(&fix.cost));
        lines.push(format!("| {} | `{how}` | {} | {cost} |", cell(&fix.title), keeps(fix.keeps)));
    }
    let settings = answer.report.settings.iter().map(|(key, value)| format!("{key}={value}"));
    let settings: Vec<String> = settings.collect();
    if !settings.is_empty() {
        lines.push(format!("\nSeen in the log: `{}`", settings.join("`, `")));
    }
    lines.join("\n") + "\n"
}

fn headline(incident: &Incident, diagnosis: &Diagnosis) -> String {
    let gpu = if incident.kind.is_gpu_oom() { "GPU out of memory" } else { "Not the GPU's memory" };
    format!("{gpu}: {} ({})", diagnosis.cause.title, incident.framework)
}

fn ledger_table(diagnosis: &Diagnosis) -> Vec<String> {
    let Some(ledger) = &diagnosis.ledger else { return Vec::new() };
    let mut lines = vec![format!("| of {} | |\n|---|---:|", ledger.total)];
    lines.extend(ledger.parts.iter().map(|part| format!("| {} | {} |", part.name, part.bytes)));
    lines.push(String::new());
    lines
}

/// One SARIF 2.1.0 document about all texts.
pub fn incidents_sarif(answers: &[IncidentAnswer<'_>]) -> String {
    let results: Vec<Value> = answers.iter().filter_map(sarif_result).collect();
    let mut rules: Vec<&str> =
        answers.iter().filter_map(|answer| Some(answer.diagnosis?.cause.class.as_str())).collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Value> = rules.iter().map(|id| json!({"id": id})).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "brimful", "rules": rules}}, "results": results}],
    });
    document.to_string() + "\n"
}

fn sarif_result(answer: &IncidentAnswer<'_>) -> Option<Value> {
    let (incident, diagnosis) = (answer.report.incident.as_ref()?, answer.diagnosis?);
    let advice =
        diagnosis.fixes.first().map_or(String::new(), |fix| format!(". {}: {}", fix.title, fix.apply));
    let text = format!("{}: {}{advice}", headline(incident, diagnosis), diagnosis.cause.evidence.join("; "));
    Some(json!({
        "ruleId": diagnosis.cause.class,
        "level": if answer.found() { "error" } else { "note" },
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": answer.input},
            "region": {"startLine": incident.line},
        }}],
    }))
}

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
