//! What is known: the versions of programs and the size of each data set, as `brimful --version --facts` prints them.

use serde::Serialize;

use crate::table::table;

/// A program with the oldest and the newest of its versions whose behaviour is known; the same one twice where only one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The program, such as `torch`.
    pub name: &'static str,
    /// The oldest version.
    pub oldest: &'static str,
    /// The newest version.
    pub newest: &'static str,
}

/// How much is known as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DataFacts {
    /// GPUs in the catalogue.
    pub gpus: usize,
    /// Those of them that run CUDA, for which a job can be predicted.
    pub gpus_with_cuda: usize,
    /// Published models in the catalogue.
    pub models: usize,
    /// Those of them that can be simulated.
    pub models_simulated: usize,
    /// Formats of messages that `explain` recognises.
    pub log_formats: usize,
    /// Causes that `explain` distinguishes.
    pub causes: usize,
}

/// Everything that is known, by what it is used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactsAnswer {
    /// The version of brimful.
    pub version: &'static str,
    /// Libraries whose rules `fit` follows.
    pub predicted: Vec<Version>,
    /// Programs that `rehearse` runs.
    pub rehearsed: Vec<Version>,
    /// What the virtual GPU reports of itself: the driver and CUDA.
    pub virtual_gpu: Vec<Version>,
    /// Releases of PyTorch whose snapshots are read.
    pub snapshots: Vec<Version>,
    /// The data sets.
    pub data: DataFacts,
}

/// The facts as one line of JSON (`brimful.facts/1`).
pub fn facts_json(facts: &FactsAnswer) -> String {
    let mut json = serde_json::json!({"schema": "brimful.facts/1"});
    json["version"] = facts.version.into();
    for (what, versions) in [
        ("predicted", &facts.predicted),
        ("rehearsed", &facts.rehearsed),
        ("virtual_gpu", &facts.virtual_gpu),
        ("snapshots", &facts.snapshots),
    ] {
        json[what] = serde_json::json!(versions);
    }
    json["data"] = serde_json::json!(facts.data);
    json.to_string()
}

/// The facts for people.
pub fn facts_text(facts: &FactsAnswer) -> String {
    let data = &facts.data;
    let versions = |list: &[Version]| list.iter().map(range).collect::<Vec<_>>().join(", ");
    let gpus = format!("{} ({} run CUDA)", data.gpus, data.gpus_with_cuda);
    let models = format!("{} ({} are simulated)", data.models, data.models_simulated);
    let rows = [
        ("predicted as in", versions(&facts.predicted)),
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
