//! Texts after each program's own words, `unseen.jsonl.gz` of `fixtures/logs`: is the cause an acceptable one, and is a change that
//! helps among the first three?

use std::io::Read;

use brimful_explain::{Diagnosis, diagnose};
use flate2::read::GzDecoder;

#[derive(serde::Deserialize)]
struct Record {
    id: String,
    text: String,
    causes: Vec<String>,
    fixes: Vec<String>,
}

impl Record {
    fn explain(&self) -> Option<Diagnosis> {
        diagnose(&brimful_logs::scan(self.text.as_bytes()).unwrap())
    }
}

fn records() -> Vec<Record> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/logs/unseen.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn nineteen_of_twenty_causes_are_acceptable() {
    let records: Vec<Record> = records().into_iter().filter(|record| !record.causes.is_empty()).collect();
    let class = |record: &Record| record.explain().map_or("not-oom".to_owned(), |found| found.cause.class);
    let wrong: Vec<String> = records
        .iter()
        .map(|record| (record, class(record)))
        .filter(|(record, class)| !record.causes.contains(class))
        .map(|(record, class)| format!("{}: {class}, not one of {:?}", record.id, record.causes))
        .collect();
    eprintln!("unseen causes: {} of {} wrong\n{}", wrong.len(), records.len(), wrong.join("\n"));
    assert!(wrong.len() * 20 <= records.len(), "{}", wrong.join("\n"));
}

#[test]
fn nine_of_ten_first_fixes_hold_one_that_helps() {
    let records: Vec<Record> = records().into_iter().filter(|record| !record.fixes.is_empty()).collect();
    let first = |record: &Record| -> Vec<String> {
        let fixes = record.explain().map(|found| found.fixes).unwrap_or_default();
        fixes.into_iter().take(3).map(|fix| fix.id).collect()
    };
    let wrong: Vec<String> = records
        .iter()
        .map(|record| (record, first(record)))
        .filter(|(record, first)| !first.iter().any(|fix| record.fixes.contains(fix)))
        .map(|(record, first)| format!("{}: {first:?}, not one of {:?}", record.id, record.fixes))
        .collect();
    eprintln!("unseen fixes: {} of {} wrong\n{}", wrong.len(), records.len(), wrong.join("\n"));
    assert!(wrong.len() * 10 <= records.len(), "{}", wrong.join("\n"));
}
