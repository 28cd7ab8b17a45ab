//! The explanation of a text: a log, or a message.

mod answer;
mod github;
mod junit;
mod sarif;
mod text;
mod wire;

pub use answer::{Expectation, IncidentAnswer};
pub use github::incident_markdown;
pub use junit::incidents_junit;
pub use sarif::incidents_sarif;
pub use text::{causes_text, formats_text, incident_text};
pub use wire::*;
