//! The questions as a face without a disk asks them: every file is in memory.

use std::io::Read;

use brimful_ask::{
    Answer, ExportFormat, FitRequest, Host, NoProgress, Outcome, ReplayRequest, ShowTechniques, diff,
    explain, export, fit, inputs_to_explain, page, ranks, replay,
};
use brimful_jobs::Overrides;
use brimful_models::MemoryFiles;

const LOG: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of \
    23.65 GiB of which 1.20 GiB is free. Process 1 has 22.44 GiB memory in use. Of the allocated memory 20.10 GiB is \
    allocated by PyTorch, and 1.90 GiB is reserved by PyTorch but unallocated.";
const JOB: &str = "model = 'gpt2'\ngpu = '8 GiB'\n[train]\nbatch = 2\nsequence = 128\n";

fn snapshot(name: &str) -> Vec<u8> {
    let path = format!("{}/../../../fixtures/snapshots/{name}", env!("CARGO_MANIFEST_DIR"));
    let packed = std::fs::read(path).unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn files() -> MemoryFiles {
    MemoryFiles::default()
        .with("job.toml", JOB)
        .with("logs/b.log", "nothing here")
        .with("logs/a.log", LOG)
        .with("logs/notes.md", LOG)
        .with("ranks/0.pickle", snapshot("steady.pickle.gz"))
        .with("oom.pickle", snapshot("varlen-oom.pickle.gz"))
}

fn with_files<T>(ask: impl FnOnce(Host<'_>) -> T) -> T {
    let files = files();
    ask(Host { files: &files, progress: &NoProgress })
}

fn request() -> FitRequest {
    FitRequest {
        changes: Overrides::default(),
        max: None,
        techniques: ShowTechniques::WhereItDoesNotFit,
        why: false,
        strict: false,
    }
}

#[test]
fn a_job_is_answered_in_both_forms() {
    let reply = with_files(|host| fit(host, "job.toml", "job.toml", &request())).unwrap();
    assert_eq!(reply.outcome(), Outcome::Well);
    assert!(reply.json().contains(r#""job":"job.toml","verdict":"fits""#), "{}", reply.json());
    assert!(reply.text().contains("full training of gpt2 on a GPU with 8 GiB"), "{}", reply.text());
}

#[test]
fn an_input_is_explained_as_what_it_is() {
    with_files(|host| {
        let log = explain(host, "logs/a.log", None).unwrap();
        assert_eq!(log.outcome(), Outcome::Found);
        assert!(log.json().contains(r#""is_gpu_oom":true"#), "{}", log.json());
        let recording = explain(host, "oom.pickle", None).unwrap();
        assert_eq!(recording.outcome(), Outcome::Found);
        assert!(recording.json().contains(r#""replay":{"faithful":true"#), "{}", recording.json());
    });
}

#[test]
fn a_folder_is_its_logs_in_their_order() {
    let files = files();
    assert_eq!(inputs_to_explain(&files, "logs"), ["logs/a.log", "logs/b.log"]);
    assert_eq!(inputs_to_explain(&files, "job.toml"), ["job.toml"]);
}

#[test]
fn a_recording_is_replayed_compared_shown_and_exported() {
    let request = ReplayRequest::new(None, None, None, None, false).unwrap();
    with_files(|host| {
        let replayed = replay(host, "oom.pickle", &request).unwrap();
        assert_eq!(replayed.outcome(), Outcome::Well, "a device without an end holds it");
        let changes = Overrides::default();
        let same = diff(host, "oom.pickle", "oom.pickle", None, &changes).unwrap();
        assert_eq!(same.outcome(), Outcome::Well);
        let html = page(host, &["oom.pickle".to_owned()], None, &changes).unwrap();
        assert!(html.contains("Out of memory") && html.ends_with("</html>\n"));
        let (stacks, _) = export(host, "job.toml", None, &changes, ExportFormat::Collapsed).unwrap();
        let stacks = String::from_utf8(stacks).unwrap();
        assert!(
            stacks.lines().any(|line| line.starts_with("gradient;transformer;h;0;attn;c_attn;mm ")),
            "{stacks}"
        );
    });
}

#[test]
fn ranks_that_cannot_be_read_do_not_hide_the_others() {
    let inputs = ["ranks".to_owned(), "missing.pickle".to_owned()];
    let reply = with_files(|host| ranks(host, &inputs, None)).unwrap();
    assert_eq!((reply.errors.len(), reply.outcome()), (1, Outcome::Wrong));
    assert!(reply.json().contains("ranks/0.pickle"), "{}", reply.json());
}

#[test]
fn errors_name_the_input() {
    with_files(|host| {
        let missing = explain(host, "missing.log", None).err().unwrap();
        assert!(format!("{missing:#}").starts_with("missing.log: cannot be opened"), "{missing:#}");
        let rank = explain(host, "oom.pickle#3", None).err().unwrap();
        assert!(format!("{rank:#}").contains("FILE#RANK is for run files"), "{rank:#}");
    });
}
