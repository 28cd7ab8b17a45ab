//! Answers as people and programs read them. No arithmetic beyond percentages: that is done before.

mod diff_json;
mod diff_text;
mod explain_json;
mod explain_text;
mod export;
mod fit_json;
mod fit_text;
mod incident_forms;
mod incident_json;
mod incident_text;
mod page;
mod ranks;
mod recipe;
mod replay_json;
mod replay_text;
mod statistics;
mod style;
mod table;

pub use diff_json::{DiffAnswer, diff_json};
pub use diff_text::diff_text;
pub use explain_json::{RecordingAnswer, recording_json};
pub use explain_text::recording_text;
pub use export::{collapsed, dhat, parquet, perfetto, speedscope};
pub use fit_json::fit_json;
pub use fit_text::{FitAnswer, fit_text, largest_text, techniques_text, why_text};
pub use incident_forms::{incident_markdown, incidents_junit, incidents_sarif};
pub use incident_json::{Expectation, IncidentAnswer, incident_json};
pub use incident_text::{causes_text, formats_text, incident_text};
pub use page::{PageAnswer, page};
pub use ranks::{RankAnswer, ranks_json, ranks_text};
pub use recipe::job_line;
pub use replay_json::{ReplayAnswer, replay_json};
pub use replay_text::replay_text;
pub use statistics::{StatisticsAnswer, statistics_json, statistics_text};
pub use style::Style;
