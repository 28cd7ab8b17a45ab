//! The labelled reports of `fixtures/logs`: is it the GPU's memory, and are the figures right?

mod corpus;

use brimful_logs::{Report, Value, scan};
use corpus::{Record, records};

fn is_gpu_oom(report: &Report) -> bool {
    report.incident.as_ref().is_some_and(|incident| incident.kind.is_gpu_oom())
}

fn facts_of(report: &Report) -> brimful_logs::Facts {
    let mut facts = report.incident.as_ref().map(|incident| incident.facts.clone()).unwrap_or_default();
    facts.fill_from(report.facts.clone());
    facts
}

/// Half a percent: what two printed decimals leave open.
fn close(found: i64, expected: i64) -> bool {
    (found - expected).abs() as f64 <= (expected.abs() as f64 * 0.005).max(1.0)
}

fn same(found: Option<&Value>, expected: &serde_json::Value) -> bool {
    let list = |value: &Value| match value {
        Value::Int(n) => vec![*n],
        Value::List(list) => list.clone(),
        _ => Vec::new(),
    };
    let expected: Vec<i64> = match expected {
        serde_json::Value::Array(items) => items.iter().filter_map(serde_json::Value::as_i64).collect(),
        other => other.as_i64().into_iter().collect(),
    };
    let found = found.map(list).unwrap_or_default();
    found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, expected)| close(*found, *expected))
}

fn wrong_verdicts(records: &[Record], noise: impl Fn(&Record) -> String) -> Vec<String> {
    let wrong = |record: &&Record| is_gpu_oom(&scan(noise(record).as_bytes()).unwrap()) != record.is_gpu_oom;
    records.iter().filter(wrong).map(|record| format!("{} ({})", record.id, record.format)).collect()
}

#[test]
fn says_whether_it_is_the_gpus_memory() {
    let records = records();
    let wrong = wrong_verdicts(&records, |record| record.text.clone());
    eprintln!("is-it-an-OOM: {} of {} wrong: {wrong:?}", wrong.len(), records.len());
    assert!(wrong.len() * 100 <= records.len() * 3, "{wrong:?}");
}

#[test]
fn says_so_in_noise_as_well() {
    let records = records();
    let plain = wrong_verdicts(&records, |record| record.text.clone());
    for (name, noise) in corpus::NOISES {
        let wrong = wrong_verdicts(&records, |record| noise(&record.text));
        let new: Vec<_> = wrong.iter().filter(|id| !plain.contains(id)).collect();
        eprintln!("{name}: {} wrong, new {new:?}", wrong.len());
        assert!(wrong.len() * 100 <= plain.len() * 100 + records.len() * 2, "{name}: {new:?}");
    }
}

#[test]
fn reads_every_figure() {
    let (mut all, mut wrong) = (0, Vec::new());
    for record in records().iter().filter(|record| record.text_fidelity == "template") {
        let facts = facts_of(&scan(record.text.as_bytes()).unwrap());
        for (name, expected) in
            record.fields.iter().filter(|field| field.0.ends_with("_bytes") && !field.1.is_string())
        {
            all += 1;
            if !same(facts.get(name), expected) {
                wrong.push(format!(
                    "{} ({}): {name} {:?}, not {expected}",
                    record.id,
                    record.format,
                    facts.get(name)
                ));
            }
        }
    }
    eprintln!("figures: {} of {all} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(wrong.len() * 100 <= all * 2, "{}", wrong.join("\n"));
}

#[test]
fn names_the_format() {
    let records = records();
    let of = |record: &Record| match scan(record.text.as_bytes()).unwrap().incident {
        Some(incident) => incident.format,
        None => "healthy".to_owned(),
    };
    let wrong: Vec<String> = records
        .iter()
        .filter(|record| of(record) != record.format)
        .map(|record| format!("{}: {} not {}", record.id, of(record), record.format))
        .collect();
    eprintln!("formats: {} of {} differ\n{}", wrong.len(), records.len(), wrong.join("\n"));
    assert!(wrong.len() * 10 <= records.len(), "{}", wrong.join("\n"));
}
