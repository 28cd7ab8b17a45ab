//! Answers as people and programs read them: a folder for each answer, with what it is made of, its JSON and its text.
//! No arithmetic beyond percentages: that is done before.

pub mod diff;
pub mod doctor;
mod export;
pub mod facts;
pub mod fit;
mod fleet;
mod forms;
pub mod gpus;
pub mod incident;
pub mod models;
mod page;
pub mod ranks;
mod recipe;
pub mod recording;
pub mod rehearsal;
pub mod replay;
#[cfg(feature = "schema")]
mod schemas;
pub mod served;
pub mod serving;
pub mod statistics;
pub mod top;
pub mod wire;
#[cfg(feature = "schema")]
mod words;

pub use diff::{DiffAnswer, diff_json, diff_text};
pub use doctor::{DoctorAnswer, DoctorDriver, doctor_json, doctor_text};
#[cfg(feature = "parquet")]
pub use export::parquet;
pub use export::{collapsed, dhat, perfetto, speedscope};
pub use facts::{DataFacts, FactsAnswer, Version, facts_json, facts_text};
pub use fit::{FitAnswer, fit_json, fit_text, need_text, techniques_text, why_text};
pub use fleet::{FleetAnswer, fleet_text};
pub use forms::{Style, Terminal, file_word, prose, safe_document, safe_json, shell_word};
pub use gpus::{gpus_json, gpus_text};
pub use incident::{
    Expectation, IncidentAnswer, causes_text, formats_text, incident_json, incident_markdown, incident_text,
    incidents_junit, incidents_sarif,
};
pub use models::{models_json, models_text};
pub use page::{PageAnswer, PageRun, PageSubject, page};
pub use ranks::{RankAnswer, ranks_json, ranks_text};
pub use recipe::job_line;
pub use recording::{RecordingAnswer, recording_json, recording_text};
pub use rehearsal::{RehearsalAnswer, SearchAnswer, rehearse_json, rehearse_text};
pub use replay::{ReplayAnswer, replay_json, replay_text};
#[cfg(feature = "schema")]
pub use schemas::schemas;
pub use served::llama_cpp::{llama_cpp_json, llama_cpp_text};
pub use served::{EngineAnswer, LlamaCppAnswer, ServedAnswer, served_json, served_text, served_why_text};
pub use statistics::{StatisticsAnswer, statistics_json, statistics_text};
pub use top::{TopAnswer, top_json, top_line, top_text};
