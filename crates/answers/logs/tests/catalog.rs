//! Every format of the catalogue finds its own example and reads the figures in it.

use brimful_logs::{Kind, formats, scan};

#[test]
fn each_example_is_found_as_itself() {
    let mut wrong = Vec::new();
    for format in formats().filter(|format| format.kind != Kind::Ledger) {
        let report = scan(format.example.as_bytes()).unwrap();
        match report.incident {
            Some(incident) if incident.format == format.id => {
                for (name, expected) in &format.expect {
                    if incident.facts.int(name) != Some(*expected) {
                        wrong.push(format!(
                            "{}: {name} {:?} != {expected}",
                            format.id,
                            incident.facts.int(name)
                        ));
                    }
                }
            }
            Some(incident) => wrong.push(format!("{} is taken for {}", format.id, incident.format)),
            None => wrong.push(format!("{} is not found", format.id)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_ledger_is_read_and_is_no_failure() {
    let mut wrong = Vec::new();
    for format in formats().filter(|format| format.kind == Kind::Ledger) {
        let report = scan(format.example.as_bytes()).unwrap();
        if let Some(incident) = report.incident {
            wrong.push(format!("{} is taken for {}", format.id, incident.format));
        }
        for (name, expected) in &format.expect {
            if report.facts.int(name) != Some(*expected) {
                wrong.push(format!("{}: {name} {:?} != {expected}", format.id, report.facts.int(name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_unique() {
    let mut ids: Vec<&str> = formats().map(|format| format.id.as_str()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(count >= 100, "{count}");
}
