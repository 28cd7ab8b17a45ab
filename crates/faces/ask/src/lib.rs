//! The questions that brimful answers, for every face: the command line today, Python and a page tomorrow.
//!
//! A use case goes from what a user names (a file, a run file's rank, a job, a model) to an [`Answer`]. It opens nothing by
//! itself: a face lends it a [`Host`], which reads files and shows progress. What a file is, is decided in one place
//! ([`Input`]).

mod answer;
mod catalogue;
mod diff;
mod disk;
mod doctor;
mod explain;
mod export;
mod facts;
mod files;
mod fit;
mod fleet;
mod gguf;
mod host;
mod incident;
mod input;
mod lock;
mod names;
mod page;
mod ranks;
mod recording;
mod rehearse;
mod replay;
mod run;
mod served;
mod top;

pub use answer::{Answer, Outcome};
pub use catalogue::{GpusReply, ModelsReply, gpus, models};
pub use diff::{DiffReply, diff};
pub use disk::DiskFiles;
pub use doctor::{DoctorReply, doctor};
pub use explain::{Explained, explain, inputs_to_explain};
pub use export::{ExportFormat, export};
pub use facts::{FactsReply, facts};
pub use files::{Content, Files, Stream};
pub use fit::{FitReply, FitRequest, ShowTechniques, StepReply, fit, fit_command};
pub use fleet::{ANY_GPU, FleetReply, fit_on};
pub use host::{Host, NoProgress, Progress};
pub use incident::IncidentReply;
pub use input::Input;
pub use lock::{Allowance, Gate, Lock, LockedRun, Raise};
pub use names::{name_of, path_of};
pub use page::page;
pub use ranks::{RanksReply, ranks};
pub use rehearse::{RehearsalReply, RehearseRequest, rehearse};
pub use replay::{ReplayReply, ReplayRequest, replay};
pub use served::ServedReply;
pub use top::{TopReply, Watcher};
