use brimful_capture::nvml::{Cost, List};

use super::answer::{DoctorAnswer, DoctorDriver};
use crate::forms::{Style, counted, hanging, table};

/// Symbols that are named; those that are missing beyond them are counted.
const NAMED: usize = 6;

/// What was found, for people.
pub fn doctor_text(answer: &DoctorAnswer<'_>) -> String {
    let mut lines = vec![Style::STRONG.paint("NVIDIA's library")];
    for tried in &answer.looked.tries {
        let outcome = tried.failure.as_deref().unwrap_or("loaded");
        lines.extend(hanging("  ", &format!("{}: {outcome}", tried.place.display())));
    }
    let module = answer.surroundings.kernel_module.as_deref().unwrap_or("not loaded, or not shown here");
    lines.extend(hanging("  kernel module: ", module));
    match &answer.nvml {
        Some(nvml) => lines.extend(driver_lines(answer, nvml)),
        None => lines.push("  the driver was not called".to_owned()),
    }
    lines.push(Style::STRONG.paint("AMD and Intel"));
    lines.push(format!("  /sys/class/drm: {}", counted(answer.looked.drm_cards as u64, "card")));
    let findings = answer.findings();
    lines.push(Style::STRONG.paint("findings"));
    match findings.is_empty() {
        true => lines.push("  nothing stands in the way".to_owned()),
        false => lines.extend(findings.iter().flat_map(|finding| hanging("  - ", finding))),
    }
    lines.join("\n") + "\n"
}

fn driver_lines(answer: &DoctorAnswer<'_>, nvml: &DoctorDriver<'_>) -> Vec<String> {
    let opened = nvml.opened;
    let unknown = || "unknown".to_owned();
    let version = opened.driver.driver.clone().unwrap_or_else(unknown);
    let cuda = opened.driver.cuda.map_or_else(unknown, |(major, minor)| format!("{major}.{minor}"));
    let mut lines =
        vec![format!("  driver {version}, CUDA {cuda}, {}", counted(opened.gpus.len() as u64, "GPU"))];
    let memory = nvml.rungs.memory.map_or("nothing answered", |function| function.name());
    lines.push(format!("  memory: {memory}"));
    for (list, form) in List::ALL.into_iter().zip(nvml.rungs.lists) {
        let form = form.map_or("nothing answered".to_owned(), |form| {
            format!("{}, {} bytes for each process", form.function.name(), form.entry_bytes)
        });
        lines.extend(hanging("  ", &format!("{list:?} processes: {form}")));
    }
    let missing = answer.missing();
    if !missing.is_empty() {
        let named = missing.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = missing.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.extend(hanging("  not exported: ", &format!("{named}{more}")));
    }
    let mut rows = vec![["  one look", "calls", "µs each", "returned"].map(str::to_owned).to_vec()];
    rows.extend(nvml.costs.iter().map(cost_row));
    lines.extend(table(&rows));
    lines
}

fn cost_row(cost: &Cost) -> Vec<String> {
    let tenths = cost.nanoseconds / cost.calls.max(1) / 100;
    vec![
        format!("  {}", cost.function.name()),
        cost.calls.to_string(),
        format!("{}.{}", tenths / 10, tenths % 10),
        cost.status.map_or_else(String::new, |status| status.to_string()),
    ]
}
