use serde::Serialize;

/// A program with the oldest and the newest of its versions whose behaviour is known; the same one twice where only one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactsAnswer {
    /// The version of brimful.
    pub version: &'static str,
    /// Libraries whose rules `fit` follows.
    pub predicted: Vec<Version>,
    /// Programs that `rehearse` runs.
    pub rehearsed: Vec<Version>,
    /// What the virtual GPU reports of itself: the driver and CUDA.
    pub virtual_gpu: Vec<Version>,
    /// Every `model_type` that is simulated.
    pub architectures: Vec<&'static str>,
    /// Releases of PyTorch whose snapshots are read.
    pub snapshots: Vec<Version>,
    /// The data sets.
    pub data: DataFacts,
}
