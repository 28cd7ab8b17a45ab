//! PyTorch's own words, made by seven versions of PyTorch: what is read is what its allocator knew at that moment.

mod corpus;

use std::collections::BTreeSet;

use brimful_logs::{Facts, Incident, Kind, Report, scan};
use corpus::read;
use serde_json::{Map, Value};

type Record = Map<String, Value>;

fn genuine(scenarios: &[&str]) -> Vec<Record> {
    let all: Vec<Record> = read("genuine.jsonl.gz");
    let some: Vec<Record> =
        all.into_iter().filter(|record| scenarios.contains(&text(record, "scenario"))).collect();
    assert!(!some.is_empty(), "{scenarios:?}");
    some
}

fn text<'a>(record: &'a Record, key: &str) -> &'a str {
    record[key].as_str().unwrap()
}

fn report(record: &Record) -> Report {
    scan(text(record, if record.contains_key("text") { "text" } else { "error" }).as_bytes()).unwrap()
}

fn incident(record: &Record) -> Incident {
    report(record).incident.unwrap_or_else(|| panic!("{record:?}"))
}

/// Equal to the two decimals that are printed.
fn assert_printed(id: &str, facts: &Facts, name: &str, truth: i64) {
    let found = facts.int(name).unwrap_or_else(|| panic!("{id}: {name} is not read"));
    let unit = match truth {
        n if n > 1 << 30 => 1 << 30,
        n if n > 1 << 20 => 1 << 20,
        n if n > 1 << 10 => 1 << 10,
        _ => 1,
    };
    assert!((found - truth).abs() <= unit / 200 + 1, "{id}: {name}: {found} is not {truth}");
}

#[test]
fn messages_of_training_runs() {
    let all: Vec<Record> = read("allocator.jsonl.gz");
    let failed: Vec<&Record> = all.iter().filter(|record| record.contains_key("error")).collect();
    for record in &failed {
        let (id, facts, event) = (text(record, "id"), incident(record).facts, &record["oom_event"][0]);
        assert_printed(id, &facts, "tried_bytes", event["size"].as_i64().unwrap());
        assert_printed(id, &facts, "free_bytes", event["device_free"].as_i64().unwrap());
        assert_printed(id, &facts, "total_bytes", record["total"].as_i64().unwrap());
    }
    assert!(failed.len() >= 3);
}

/// From 2.4 on PyTorch counts the idle blocks of private pools as allocated, and prints them as `allocated in private pools`.
fn counts_private_pools_as_allocated(record: &Record) -> bool {
    !matches!(record["torch"][0].as_str(), Some("2.0.1" | "2.1.2"))
}

/// The figures that a message of the native allocator must carry, from the allocator's statistics.
fn truth(record: &Record) -> Vec<(&'static str, i64)> {
    let get = |key: &str| record.get(key).and_then(Value::as_i64);
    let stat = |key: &str| get(key).unwrap_or_else(|| panic!("{record:?} has no {key}"));
    let pools = if counts_private_pools_as_allocated(record) { stat("private_free") } else { 0 };
    let (allocated, reserved) = (stat("allocated") + pools, stat("reserved"));
    let mut truth = vec![
        ("gpu", stat("device")),
        ("tried_bytes", stat("tried")),
        ("total_bytes", stat("total")),
        ("free_bytes", stat("free")),
        ("allocated_bytes", allocated),
    ];
    truth.push(match record["torch"][0].as_str() {
        Some("2.0.1") => ("reserved_bytes", reserved),
        _ => ("reserved_unallocated_bytes", reserved - allocated),
    });
    truth.extend((pools > 0).then_some(("private_pools_bytes", pools)));
    truth.extend(
        get("process_in_use")
            .filter(|_| text(record, "text").contains("Including"))
            .map(|n| ("process_in_use_bytes", n)),
    );
    // 2.1 does not tell the limit of `set_per_process_memory_fraction`.
    let limit = get("limit_or_total").filter(|limit| *limit != stat("total"));
    truth.extend(
        limit.filter(|_| text(record, "text").contains("allowed")).map(|limit| ("limit_bytes", limit)),
    );
    truth
}

#[test]
fn every_figure_of_the_native_allocator() {
    let scenarios = [
        "plain",
        "small",
        "idle",
        "split",
        "graphs",
        "mempool",
        "fraction",
        "devices",
        "others",
        "expandable",
        "expfraction",
    ];
    let (mut figures, mut versions) = (0, BTreeSet::new());
    for record in genuine(&scenarios) {
        let (id, incident) = (text(&record, "id"), incident(&record));
        let absurd = record["tried"].as_i64().unwrap() >= 1 << 50;
        assert_eq!(incident.kind, if absurd { Kind::Absurd } else { Kind::Oom }, "{id}");
        for (name, truth) in truth(&record) {
            assert_printed(id, &incident.facts, name, truth);
            figures += 1;
        }
        versions.extend(
            record["torch"].as_array().unwrap().iter().map(|version| version.as_str().unwrap().to_owned()),
        );
    }
    eprintln!("{figures} figures of torch {versions:?}");
    assert!(figures >= 3000 && versions.len() >= 7, "{figures}, {versions:?}");
}

#[test]
fn the_format_is_that_of_the_version() {
    for record in genuine(&["plain", "others", "graphs"]) {
        let pools = text(&record, "text").contains("private pools");
        let format = match record["torch"][0].as_str().unwrap() {
            "2.0.1" => "pt-reserved-hint-oomerror",
            "2.1.2" => "pt-capacty",
            _ if pools => "pt-2.5-plus-pools",
            _ => "pt-2.5-plus",
        };
        assert_eq!(incident(&record).format, format, "{}", text(&record, "id"));
    }
}

#[test]
fn other_processes() {
    let named = genuine(&["others"]).into_iter().filter(|record| text(record, "text").contains("Process"));
    let mut all = 0;
    for record in named {
        let found: Map<String, Value> =
            incident(&record).processes.iter().map(|p| (p.pid.to_string(), p.in_use.get().into())).collect();
        let truth = record["others"].as_object().unwrap();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            truth.keys().collect::<Vec<_>>(),
            "{}",
            text(&record, "id")
        );
        for (pid, bytes) in truth {
            let (found, bytes) = (found[pid].as_i64().unwrap(), bytes.as_i64().unwrap());
            assert!((found - bytes).abs() <= (1 << 30) / 200, "{pid}: {found} is not {bytes}");
        }
        all += 1;
    }
    assert!(all >= 40, "{all}");
}

#[test]
fn the_asynchronous_allocator() {
    for record in genuine(&["async"]) {
        let (id, incident) = (text(&record, "id"), incident(&record));
        assert_eq!(incident.kind, Kind::Oom, "{id}");
        if text(&record, "text").lines().count() == 1 {
            assert_eq!(incident.format, "pt-cudamallocasync-short", "{id}");
            continue;
        }
        for (name, key) in
            [("allocated_bytes", "allocated"), ("free_bytes", "free"), ("total_bytes", "total")]
        {
            assert_printed(id, &incident.facts, name, record[key].as_i64().unwrap());
        }
        if let Some(limit) = record.get("limit") {
            assert_printed(id, &incident.facts, "limit_bytes", limit.as_i64().unwrap());
        }
    }
}

#[test]
fn sizes_that_cannot_be_meant() {
    for record in genuine(&["absurd"]) {
        let terabytes = text(&record, "id").ends_with("tib");
        assert_eq!(
            incident(&record).kind,
            if terabytes { Kind::Oom } else { Kind::Absurd },
            "{}",
            text(&record, "id")
        );
    }
}

/// What lies outside the caching allocator: page-locked memory, streams, the handles of cuBLAS and cuDNN, the host.
#[test]
fn failures_outside_the_allocator() {
    for record in genuine(&["raw", "raw1", "nvml"]) {
        let (id, incident) = (text(&record, "id"), incident(&record));
        let host = text(&record, "text").contains("DefaultCPUAllocator");
        assert_eq!(incident.kind, if host { Kind::Host } else { Kind::Oom }, "{id}: {}", incident.format);
        if host {
            assert_eq!(incident.facts.int("host_tried_bytes"), Some(1 << 46), "{id}");
        }
    }
}

#[test]
fn tables_of_memory_summary() {
    for record in genuine(&["summary", "expsummary"]) {
        let (id, report) = (text(&record, "id"), report(&record));
        for (name, key) in [
            ("summary_allocated_bytes", "allocated_bytes.all.current"),
            ("summary_peak_allocated_bytes", "allocated_bytes.all.peak"),
            ("summary_reserved_bytes", "reserved_bytes.all.current"),
            ("summary_peak_reserved_bytes", "reserved_bytes.all.peak"),
            ("summary_stranded_bytes", "inactive_split_bytes.all.current"),
        ] {
            let (found, truth) = (report.facts.int(name).unwrap(), record["stats"][key].as_i64().unwrap());
            // The table has whole units, the integer part.
            assert!((0..1 << 20).contains(&(truth - found)), "{id}: {name}: {found} is not {truth}");
        }
        assert!(report.incident.is_none(), "{id}");
    }
}

#[test]
fn expandable_segments_that_are_on() {
    let said =
        genuine(&["expandable"]).into_iter().filter(|record| text(record, "text").contains("is enabled"));
    let mut all = 0;
    for record in said {
        assert_eq!(report(&record).settings["alloc_conf"], "expandable_segments:True");
        all += 1;
    }
    assert!(all >= 20, "{all}");
}
