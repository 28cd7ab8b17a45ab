use brimful_jobs::{LoadedJob, PROCESSOR};
use brimful_plan::{Fit, FitVerdict as Verdict};
use brimful_units::Bytes;

use crate::forms::wrapped;
use crate::forms::{Style, table};
use crate::recipe::{recipe, title};

/// A job on several GPUs.
pub struct FleetAnswer<'a> {
    /// The job on each GPU, with its answer.
    pub rows: Vec<(&'a LoadedJob, &'a Fit)>,
    /// Whether these are the smallest GPUs of the catalogue that hold the job.
    pub smallest: bool,
    /// The command that says more about the first of them.
    pub next: String,
}

/// A row for each GPU: what the job needs, what is to spare, and the verdict.
pub fn fleet_text(answer: &FleetAnswer<'_>) -> String {
    let mut lines = Vec::new();
    if let Some((loaded, _)) = answer.rows.first() {
        lines.push(Style::STRONG.paint(&title(loaded)));
        if answer.smallest {
            lines.push("  the smallest GPUs of the catalogue that hold it".to_owned());
        }
        lines.push(String::new());
    }
    let mut rows = vec![["  GPU", "needs", "of", "to spare", "verdict"].map(str::to_owned).to_vec()];
    rows.extend(answer.rows.iter().map(|(loaded, fit)| row(loaded, fit)));
    lines.extend(table(&rows));
    if let Some((loaded, _)) = answer.rows.first() {
        lines.push(String::new());
        lines.extend(wrapped("  recipe: ", 4, &recipe(&loaded.job).join(" · ")));
        let sizes = answer
            .rows
            .iter()
            .flat_map(|(loaded, _)| &loaded.recipe.assumed)
            .filter(|row| row.key == PROCESSOR);
        lines.extend(sizes.flat_map(|row| wrapped("  assumed: ", 4, &row.value)));
        lines.extend(loaded.recipe.notes.iter().flat_map(|note| wrapped("  note: ", 4, note)));
    }
    lines.push(String::new());
    lines.push(format!("  next: {}", answer.next));
    lines.join("\n") + "\n"
}

fn row(loaded: &LoadedJob, fit: &Fit) -> Vec<String> {
    let gpu = loaded.job.gpu.as_ref().map_or_else(String::new, |gpu| gpu.id.clone());
    let (need, capacity) =
        fit.device.as_ref().map_or((Bytes::ZERO, Bytes::ZERO), |device| (device.need, device.capacity()));
    let spare = fit.device.as_ref().map_or(0, |device| device.headroom);
    let amount = Bytes::new(spare.unsigned_abs());
    let spare = if spare < 0 { format!("-{amount}") } else { amount.to_string() };
    let verdict = match fit.verdict {
        Verdict::Fits => Style::GOOD.paint("✓ fits"),
        Verdict::TooClose => Style::STRONG.paint("≈ too close to call"),
        Verdict::DoesNotFit => Style::BAD.paint("✗ does not fit"),
        Verdict::NoDevice => "no GPU".to_owned(),
    };
    vec![format!("  {gpu}"), need.to_string(), capacity.to_string(), spare, verdict]
}
