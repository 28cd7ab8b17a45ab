use brimful_models::catalogue::Entry;

use crate::forms::table;

/// The models for people: the hub id, the architecture, the size, and whether it is simulated.
pub fn models_text(models: &[Entry]) -> String {
    let mut rows = vec![["  model", "architecture", "parameters", ""].map(str::to_owned).to_vec()];
    rows.extend(models.iter().map(row));
    let simulated = models.iter().filter(|model| model.simulated).count();
    let count = format!("{} models, of which {simulated} are simulated", models.len());
    format!(
        "{}\n\n  {count}; any other of the same architectures is predicted from its config.json\n",
        table(&rows).join("\n")
    )
}

fn row(model: &Entry) -> Vec<String> {
    let simulated = if model.simulated { "" } else { "known, not simulated" };
    vec![
        format!("  {}", model.names.first().copied().unwrap_or_default()),
        model.model_type.clone(),
        model.parameters.map_or_else(String::new, |count| format!("{:.2} B", count as f64 / 1e9)),
        simulated.to_owned(),
    ]
}
