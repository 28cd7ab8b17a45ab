//! Incidents as SARIF, which code hosts show beside the lines of a log.

use serde_json::{Value, json};

use super::answer::{IncidentAnswer, headline};

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
