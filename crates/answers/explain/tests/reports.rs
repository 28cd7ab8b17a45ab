//! The labelled reports of `fixtures/logs`: is the cause right, and is the fix that worked among the first three?

use std::io::Read;

use brimful_explain::{Diagnosis, cause_pages, diagnose};
use flate2::read::GzDecoder;

#[derive(serde::Deserialize)]
struct Record {
    id: String,
    text: String,
    #[serde(default)]
    format: String,
    cause: String,
    cause_confidence: String,
    fix_that_worked: Option<String>,
}

fn records() -> Vec<Record> {
    read("reports.jsonl.gz")
}

fn read(file: &str) -> Vec<Record> {
    let path = format!("{}/../../../fixtures/logs/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn explain(record: &Record) -> Option<Diagnosis> {
    diagnose(&brimful_logs::scan(record.text.as_bytes()).unwrap())
}

/// A healthy text has no cause: that is `not-oom`.
fn class(record: &Record) -> String {
    explain(record).map_or("not-oom".to_owned(), |diagnosis| diagnosis.cause.class)
}

fn wrong(records: &[Record], confidence: &str) -> (usize, Vec<String>) {
    let of: Vec<&Record> = records.iter().filter(|record| record.cause_confidence == confidence).collect();
    let wrong = of.iter().filter(|record| class(record) != record.cause);
    let lines = wrong
        .map(|record| format!("{} ({}): {}, not {}", record.id, record.format, class(record), record.cause));
    (of.len(), lines.collect())
}

#[test]
fn causes_that_the_thread_established() {
    let (all, wrong) = wrong(&records(), "thread");
    eprintln!("thread: {} of {all} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(wrong.len() * 100 <= all * 25, "{}", wrong.join("\n"));
}

#[test]
fn causes_that_the_numbers_decide() {
    let (all, wrong) = wrong(&records(), "numbers");
    eprintln!("numbers: {} of {all} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(wrong.len() * 100 <= all * 8, "{}", wrong.join("\n"));
}

/// Threads outside the labelled reports.
#[test]
fn causes_of_other_threads() {
    let threads = read("threads.jsonl.gz");
    let ((established, a), (decided, b)) = (wrong(&threads, "thread"), wrong(&threads, "numbers"));
    let (all, wrong) = (established + decided, [a, b].concat());
    eprintln!("other threads: {} of {all} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(wrong.len() * 100 <= all * 10, "{}", wrong.join("\n"));
}

#[test]
fn every_label_is_a_known_cause() {
    let known: Vec<&str> = cause_pages().map(|page| page.id.as_str()).collect();
    for record in records().into_iter().chain(read("threads.jsonl.gz")) {
        assert!(known.contains(&record.cause.as_str()), "{}", record.cause);
    }
}

#[test]
fn sentences_are_complete() {
    for record in records() {
        let Some(diagnosis) = explain(&record) else { continue };
        assert!(!diagnosis.cause.title.is_empty(), "{}", record.id);
        assert!(!diagnosis.cause.evidence.is_empty(), "{}: {}", record.id, diagnosis.cause.class);
        if let Some(ledger) = diagnosis.ledger {
            let sum: u64 = ledger.parts.iter().map(|part| part.bytes.get()).sum();
            assert_eq!(
                sum + ledger.unaccounted.get(),
                ledger.total.get() + ledger.excess.get(),
                "{}",
                record.id
            );
        }
    }
}

/// The fix that the thread reports, in our names: any of these is it.
fn meant(worked: &str) -> &'static [&'static str] {
    const WORDS: [(&str, &[&str]); 31] = [
        ("page file", &["larger-page-file", "free-host-ram"]),
        ("commit charge", &["larger-page-file"]),
        ("fewer samples", &["smaller-batch"]),
        ("fewer classes", &["smaller-batch", "smaller-input"]),
        ("higher limit", &["raise-buffer-limit"]),
        ("cross entropy", &["fused-cross-entropy"]),
        ("crop", &["smaller-input"]),
        ("cut_off_size", &["smaller-input"]),
        ("ZeRO", &["shard-optimizer", "smaller-batch"]),
        ("workspace-size", &["smaller-workspace"]),
        ("shorter", &["shorter-context"]),
        ("notebook", &["stop-other-processes"]),
        ("other processes", &["stop-other-processes"]),
        ("reboot", &["reboot"]),
        ("CUDA_VISIBLE_DEVICES", &["choose-other-gpu"]),
        ("batch", &["smaller-batch"]),
        ("videos_per_gpu", &["smaller-batch"]),
        ("no_grad", &["no-grad"]),
        ("-ub", &["smaller-ubatch", "smaller-batch"]),
        ("no-warmup", &["no-warmup"]),
        ("smaller model", &["smaller-model"]),
        ("larger instance", &["more-host-ram"]),
        ("blocks", &["smaller-kernel-blocks"]),
        ("fraction", &["lower-tf-fraction", "lower-memory-utilization"]),
        ("preallocation", &["lower-preallocation"]),
        ("ALLOW_GROWTH", &["lower-preallocation"]),
        ("pool-byte-size", &["larger-server-pool"]),
        ("utilization", &["lower-memory-utilization"]),
        ("LoRA", &["lora"]),
        ("nothing to fix", &["ignore-warning"]),
        ("system RAM", &["free-host-ram", "more-host-ram"]),
    ];
    const MORE: [(&str, &[&str]); 9] = [
        ("CPU", &["offload-weights"]),
        ("restart", &["restart-process", "reboot"]),
        ("torch 2", &["reinstall-for-gpu"]),
        ("cuDNN", &["upgrade-library"]),
        ("jaxlib", &["upgrade-library"]),
        ("size_t", &["use-64-bit-sizes"]),
        ("expandable", &["expandable-segments"]),
        ("order in the trainer", &["stop-other-processes"]),
        ("warm-up", &["no-warmup"]),
    ];
    WORDS.iter().chain(&MORE).find(|(word, _)| worked.contains(word)).map_or(&[], |(_, ids)| ids)
}

#[test]
fn the_fix_that_worked_is_among_the_first_three() {
    let records = records();
    let told: Vec<(&Record, &String)> =
        records.iter().filter_map(|record| Some((record, record.fix_that_worked.as_ref()?))).collect();
    let mut missed = Vec::new();
    for (record, worked) in &told {
        let meant = meant(worked);
        assert!(!meant.is_empty(), "{worked:?} has no name here");
        let fixes = explain(record).map_or(Vec::new(), |diagnosis| diagnosis.fixes);
        let first: Vec<&str> = fixes.iter().take(3).map(|fix| fix.id.as_str()).collect();
        if !meant.iter().any(|id| first.contains(id)) {
            missed.push(format!("{}: {worked:?}, not {first:?}", record.id));
        }
    }
    eprintln!("fixes: {} of {} missed\n{}", missed.len(), told.len(), missed.join("\n"));
    assert!(missed.len() * 100 <= told.len() * 30, "{}", missed.join("\n"));
}
