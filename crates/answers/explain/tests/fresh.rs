//! The newer reports, `fresh.jsonl.gz` of `fixtures/logs`: is the cause right or acceptable, is the fix that worked among the
//! first three, and is an answer right as often as it says?

use std::io::Read;

use brimful_explain::{Diagnosis, diagnose};
use flate2::read::GzDecoder;

#[derive(serde::Deserialize)]
struct Record {
    id: String,
    text: String,
    cause: String,
    #[serde(default)]
    cause_also: Vec<String>,
    #[serde(default)]
    cause_confidence: String,
    fix_that_worked: Option<String>,
}

fn records() -> Vec<Record> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/logs/fresh.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn explain(record: &Record) -> Option<Diagnosis> {
    diagnose(&brimful_logs::scan(record.text.as_bytes()).unwrap())
}

impl Record {
    fn accepts(&self, class: &str) -> bool {
        self.cause == class || self.cause_also.iter().any(|also| also == class)
    }
}

#[test]
fn three_of_four_causes_that_can_be_told_are_right_or_acceptable() {
    let records = records();
    let told: Vec<&Record> = records.iter().filter(|record| record.cause != "unknown").collect();
    // A text without a failure is one of `not-oom`.
    let class = |record: &Record| explain(record).map_or("not-oom".to_owned(), |found| found.cause.class);
    let wrong: Vec<String> = told
        .iter()
        .map(|record| (record, class(record)))
        .filter(|(record, class)| !record.accepts(class))
        .map(|(record, class)| {
            format!("{}: {class}, not {} {:?}", record.id, record.cause, record.cause_also)
        })
        .collect();
    eprintln!("fresh causes: {} of {} wrong\n{}", wrong.len(), told.len(), wrong.join("\n"));
    assert!(wrong.len() * 4 <= told.len(), "{}", wrong.join("\n"));
}

/// The fix that the thread reports, in our names: any of these is it. What has no name counts as missed.
const FIXES: [(&str, &[&str]); 18] = [
    ("CUDA_VISIBLE_DEVICES", &["choose-other-gpu"]),
    ("free what holds", &["release-references"]),
    ("offload to the CPU", &["state-dict-to-cpu"]),
    ("fewer environments", &["fewer-environments"]),
    ("newest version", &["upgrade-library", "other-version"]),
    ("update of the library", &["upgrade-library", "other-version"]),
    ("(versions)", &["upgrade-library", "other-version"]),
    ("commit before", &["upgrade-library", "other-version"]),
    ("reinstall", &["reinstall-for-gpu"]),
    ("larger card", &["larger-gpu"]),
    ("more memory", &["larger-gpu"]),
    ("--shm-size", &["larger-shm"]),
    ("smaller batch", &["smaller-batch", "smaller-host-batch"]),
    ("page file", &["larger-page-file"]),
    ("the CPU", &["run-on-cpu", "offload-weights"]),
    ("max_model_len", &["shorter-context"]),
    ("utilisation", &["lower-memory-utilization"]),
    ("cache", &["lower-memory-utilization"]),
];

#[test]
fn three_of_five_fixes_that_worked_are_among_the_first_three() {
    let (mut all, mut missed) = (0, Vec::new());
    for record in records() {
        let Some(worked) = &record.fix_that_worked else { continue };
        let meant = FIXES.iter().find(|(words, _)| worked.contains(words)).map_or(&[][..], |(_, ids)| ids);
        let fixes = explain(&record).map_or(Vec::new(), |found| found.fixes);
        let first: Vec<&str> = fixes.iter().take(3).map(|fix| fix.id.as_str()).collect();
        all += 1;
        if !meant.iter().any(|id| first.contains(id)) {
            missed.push(format!("{}: {worked:?}, not {first:?}", record.id));
        }
    }
    eprintln!("fresh fixes: {} of {all} missed\n{}", missed.len(), missed.join("\n"));
    assert!(missed.len() * 5 <= all * 2, "{}", missed.join("\n"));
}

/// The lower ends of the buckets of confidence, in percent.
const BUCKETS: [u32; 4] = [80, 65, 50, 0];
/// A smaller bucket decides nothing.
const FEW: u32 = 10;
/// So many points may lie between what a bucket says and how often it is right.
const POINTS: f64 = 15.0;

/// Of the answers in a bucket: how many, how many are right, and the sum of what they claim.
#[derive(Clone, Copy, Default)]
struct Bucket {
    all: u32,
    right: u32,
    claimed: f64,
}

impl Bucket {
    /// How often it is right and what it claims, in percent.
    fn shares(&self) -> (f64, f64) {
        let share = |sum: f64| 100.0 * sum / f64::from(self.all.max(1));
        (share(f64::from(self.right)), share(self.claimed))
    }
}

/// `unknown` claims nothing and is left out.
fn calibration<'a>(records: impl IntoIterator<Item = &'a Record>) -> [Bucket; 4] {
    let mut buckets = [Bucket::default(); 4];
    for record in records {
        let Some(cause) = explain(record).map(|found| found.cause) else { continue };
        let at =
            BUCKETS.iter().position(|from| cause.confidence * 100.0 + 0.001 >= f64::from(*from)).unwrap();
        if cause.class != "unknown" {
            buckets[at].all += 1;
            buckets[at].right += u32::from(record.accepts(&cause.class));
            buckets[at].claimed += cause.confidence;
        }
    }
    buckets
}

/// The buckets that are not small and of which `is_off` holds for how often they are right and what they claim.
fn off(name: &str, buckets: [Bucket; 4], is_off: impl Fn(f64, f64) -> bool) -> Vec<String> {
    let mut off = Vec::new();
    for (from, bucket) in BUCKETS.iter().zip(buckets) {
        let (right, claimed) = bucket.shares();
        let counts = format!("{} of {} right", bucket.right, bucket.all);
        let said = format!("{name}, from {from} %: {counts} ({right:.0} %), said {claimed:.0} %");
        eprintln!("{said}");
        if bucket.all >= FEW && is_off(right, claimed) {
            off.push(said);
        }
    }
    off
}

/// The older records whose cause the thread established.
fn established() -> Vec<Record> {
    let mut records = Vec::new();
    for file in ["reports.jsonl.gz", "threads.jsonl.gz"] {
        let path = format!("{}/../../../fixtures/logs/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        let read = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
        records.extend(read.filter(|record| record.cause_confidence == "thread"));
    }
    records
}

/// Both halves of the fresh reports are shown apart: the rules were not made for one of them.
#[test]
fn no_fresh_answer_claims_more_than_it_holds() {
    let records = records();
    let (first, second) = records.split_at(records.len() / 2);
    let mut over = Vec::new();
    for (name, part) in [("fresh", &records[..]), ("first half", first), ("second half", second)] {
        over.extend(off(name, calibration(part), |right, claimed| claimed - right > POINTS));
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// The fresh reports accept several classes, those of the threads one.
#[test]
fn an_answer_is_right_as_often_as_it_says() {
    let (fresh, threads) = (records(), established());
    assert!(threads.len() >= 50, "{}", threads.len());
    let buckets = calibration(fresh.iter().chain(&threads));
    let off = off("fresh and threads", buckets, |right, claimed| (claimed - right).abs() > POINTS);
    assert!(off.is_empty(), "{}", off.join("\n"));
}

#[test]
fn advice_for_other_gpus_names_none_of_nvidias_tools() {
    let others =
        ["HIP out of memory", "MPS backend", "NPU out of memory", "hbm", "ErrorOutOfDeviceMemory", "xpu:0"];
    let mut all = 0;
    for record in records().iter().filter(|record| others.iter().any(|word| record.text.contains(word))) {
        let Some(found) = explain(record) else { continue };
        all += 1;
        let advice = found.fixes.iter().map(|fix| fix.apply.as_str()).chain(found.cause.tell.as_deref());
        for sentence in advice {
            let nvidia =
                ["/dev/nvidia", "CUDA_VISIBLE", "autocast('cuda'"].iter().any(|word| sentence.contains(word));
            let smi = sentence.contains("nvidia-smi") && !sentence.contains("rocm-smi");
            assert!(!nvidia && !smi, "{}: {sentence}", record.id);
        }
    }
    assert!(all >= 8, "{all}");
}
