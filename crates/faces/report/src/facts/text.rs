use super::{FactsAnswer, Version};
use crate::forms::table;

/// The facts for people.
pub fn facts_text(facts: &FactsAnswer) -> String {
    let data = &facts.data;
    let versions = |list: &[Version]| list.iter().map(range).collect::<Vec<_>>().join(", ");
    let gpus = format!("{} ({} run CUDA)", data.gpus, data.gpus_with_cuda);
    let models = format!("{} ({} are simulated)", data.models, data.models_simulated);
    let rows = [
        ("predicted as in", versions(&facts.predicted)),
        ("architectures", format!("{}: {}", facts.architectures.len(), facts.architectures.join(", "))),
        ("rehearsed", versions(&facts.rehearsed)),
        ("virtual GPU", versions(&facts.virtual_gpu)),
        ("snapshots of", versions(&facts.snapshots)),
        ("GPUs", gpus),
        ("models", models),
        ("log formats", data.log_formats.to_string()),
        ("causes", data.causes.to_string()),
    ];
    let lines = table(&rows.map(|(what, known)| vec![format!("  {what}"), known]));
    format!("brimful {}\n{}\n", facts.version, lines.join("\n"))
}

/// `torch 2.15.0`, or `torch 2.4 to 2.15`.
fn range(version: &Version) -> String {
    let Version { name, oldest, newest } = version;
    if oldest == newest { format!("{name} {newest}") } else { format!("{name} {oldest} to {newest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_version_is_not_printed_as_a_range() {
        assert_eq!(range(&Version { name: "torch", oldest: "2.15.0", newest: "2.15.0" }), "torch 2.15.0");
        assert_eq!(range(&Version { name: "torch", oldest: "2.4", newest: "2.15" }), "torch 2.4 to 2.15");
    }
}
