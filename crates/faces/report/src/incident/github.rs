//! An incident as Markdown for an issue.

use brimful_explain::Diagnosis;

use super::answer::{IncidentAnswer, headline, notes};

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
    lines.extend(diagnosis.cause.evidence.iter().map(|sentence| format!("- {sentence}")));
    lines.extend(notes(Some(incident), Some(diagnosis)).iter().map(|note| format!("- {note}")));
    lines.push(String::new());
    lines.extend(ledger_table(diagnosis));
    lines.push("| what helps | how | result | cost |\n|---|---|---|---|".to_owned());
    for fix in &diagnosis.fixes {
        let cell = |text: &str| text.replace('|', "\\|");
        let (how, cost) = (cell(&fix.apply), cell(&fix.cost));
        lines.push(format!("| {} | `{how}` | {} | {cost} |", cell(&fix.title), fix.keeps.name()));
    }
    let settings = answer.report.settings.iter().map(|(key, value)| format!("{key}={value}"));
    let settings: Vec<String> = settings.collect();
    if !settings.is_empty() {
        lines.push(format!("\nSeen in the log: `{}`", settings.join("`, `")));
    }
    lines.join("\n") + "\n"
}

fn ledger_table(diagnosis: &Diagnosis) -> Vec<String> {
    let Some(ledger) = &diagnosis.ledger else { return Vec::new() };
    let mut lines = vec![format!("| of {} | |\n|---|---:|", ledger.total)];
    lines.extend(ledger.parts.iter().map(|part| format!("| {} | {} |", part.name, part.bytes)));
    lines.push(String::new());
    lines
}
