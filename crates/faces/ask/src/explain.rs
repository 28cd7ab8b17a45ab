//! Why did it die, and what filled memory? Of a text, a recording, or PyTorch's statistics.

use anyhow::{Context, Result, bail, ensure};
use brimful_explain::snapshot::{Explanation, explain_recording};
use brimful_models::Kind;
use brimful_report::{
    RecordingAnswer, StatisticsAnswer, recording_json, recording_text, statistics_json, statistics_text,
};
use brimful_snapshot::Statistics;
use brimful_trace::Origin;

use crate::incident::{IncidentReply, incident};
use crate::input::{HEAD, is_named_snapshot};
use crate::recording::{self, Recording, content, ensure_unpacked, names_a_rank, no_history_note};
use crate::{Answer, Files, Host, Input, Outcome};

/// Sites, blocks and segments that an answer names.
const MOST: usize = 20;
/// Endings of the files of a folder that are read.
const ENDINGS: [&str; 9] = ["log", "txt", "out", "err", "stderr", "pickle", "pkl", "json", "gz"];

/// An explanation of one input.
pub enum Explained {
    /// A text, and the memory failure in it. Some forms make one document of all texts.
    Incident(Box<IncidentReply>),
    /// A snapshot, or PyTorch's statistics.
    Recording(Box<dyn Answer>),
}

impl Answer for Explained {
    fn text(&self) -> String {
        self.answer().text()
    }

    fn json(&self) -> String {
        self.answer().json()
    }

    fn outcome(&self) -> Outcome {
        self.answer().outcome()
    }
}

impl Explained {
    fn answer(&self) -> &dyn Answer {
        match self {
            Explained::Incident(reply) => reply.as_ref(),
            Explained::Recording(reply) => reply.as_ref(),
        }
    }
}

/// The logs and recordings of a folder in their order, or the input itself.
pub fn inputs_to_explain(files: &dyn Files, input: &str) -> Vec<String> {
    let found = files_of(files, input, &ENDINGS);
    if found.is_empty() { vec![input.to_owned()] } else { found }
}

/// The files of a folder that have one of the endings, in their order; none where it is no folder.
pub(crate) fn files_of(files: &dyn Files, folder: &str, endings: &[&str]) -> Vec<String> {
    if files.kind(folder) != Kind::Folder {
        return Vec::new();
    }
    let ends_so = |name: &str| name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending));
    let names = files.list(folder).unwrap_or_default().into_iter().filter(|name| ends_so(name));
    let paths = names.map(|name| format!("{}/{name}", folder.trim_end_matches('/')));
    let mut paths: Vec<String> = paths.filter(|path| files.kind(path) == Kind::File).collect();
    paths.sort();
    paths
}

/// Explains an input as what its beginning shows it to be. `device` is the GPU of a snapshot, the fullest by default.
///
/// # Errors
/// An input that cannot be read, or is neither a text nor a recording; with its name.
pub fn explain(host: Host<'_>, input: &str, device: Option<usize>) -> Result<Explained> {
    let files = host.files;
    ensure!(
        files.kind(input) != Kind::Folder,
        "{input}: the folder has no logs or snapshots; expected files that end in .{}",
        ENDINGS.join(", .")
    );
    if names_a_rank(files, input) {
        return of_recording(host, input, &content(files, input)?, device);
    }
    let unopened =
        || format!("{input}: cannot be opened; expected a log, a snapshot, or - for the standard input");
    let head = files.read(input, 0, HEAD as u64).map_err(anyhow::Error::msg).with_context(unopened)?;
    ensure_unpacked(input, &head)?;
    if is_named_snapshot(input) || Input::recognise(&head).is_recording() {
        return of_recording(host, input, &content(files, input)?, device);
    }
    let stream = files.stream(input).with_context(unopened)?;
    let size = stream.size;
    let reader = host.progress.reading(size.unwrap_or(0), stream.reader);
    let reply = incident(files, input, reader).with_context(|| input.to_owned())?;
    // Without a failure in it, what is called JSON was meant as a snapshot, and has to say why it is none.
    if input.ends_with(".json") && size.is_some() && !reply.view().found() {
        return of_recording(host, input, &content(files, input)?, device);
    }
    Ok(Explained::Incident(Box::new(reply)))
}

fn of_recording(host: Host<'_>, input: &str, content: &[u8], device: Option<usize>) -> Result<Explained> {
    let statistics = match Input::recognise(content) {
        Input::Snapshot => None,
        _ => brimful_snapshot::read_statistics(content),
    };
    Ok(Explained::Recording(match statistics {
        Some(statistics) => Box::new(StatisticsReply { input: input.to_owned(), statistics }),
        None => Box::new(recording_reply(host, input, content, device)?),
    }))
}

fn recording_reply(
    host: Host<'_>,
    input: &str,
    content: &[u8],
    device: Option<usize>,
) -> Result<RecordingReply> {
    let mut recording = recording::open(host, input, content, device)?;
    if recording.trace.origin != Origin::Recorded {
        bail!("{input}: is a predicted trace; `brimful replay` and `brimful fit --why` tell about it");
    }
    recording.unread.extend(no_history_note(&recording.trace));
    let explain = || explain_recording(&recording.trace, MOST);
    let explanation = host.during(content.len(), "following every allocation", explain);
    Ok(RecordingReply { input: input.to_owned(), recording, explanation })
}

/// A snapshot's explanation. It is a finding where a request failed, or where memory leaks.
struct RecordingReply {
    input: String,
    recording: Recording,
    explanation: Explanation,
}

impl RecordingReply {
    fn view(&self) -> RecordingAnswer<'_> {
        RecordingAnswer {
            input: &self.input,
            format: &self.recording.format,
            device: self.recording.device.unwrap_or(0),
            events: self.recording.trace.len(),
            explanation: &self.explanation,
            unread: &self.recording.unread,
            partial: self.recording.partial,
        }
    }
}

impl Answer for RecordingReply {
    fn text(&self) -> String {
        recording_text(&self.view())
    }

    fn json(&self) -> String {
        recording_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        let found = self.explanation.out_of_memory.is_some() || !self.explanation.leaks.is_empty();
        if found { Outcome::Found } else { Outcome::Well }
    }
}

/// PyTorch's statistics. They are a finding where a request failed.
struct StatisticsReply {
    input: String,
    statistics: Statistics,
}

impl StatisticsReply {
    fn view(&self) -> StatisticsAnswer<'_> {
        StatisticsAnswer { input: &self.input, statistics: &self.statistics }
    }
}

impl Answer for StatisticsReply {
    fn text(&self) -> String {
        statistics_text(&self.view())
    }

    fn json(&self) -> String {
        statistics_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        if self.statistics.ooms.unwrap_or(0) > 0 { Outcome::Found } else { Outcome::Well }
    }
}
