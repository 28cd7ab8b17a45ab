//! Real recordings: followed address by address, and replayed under settings whose truth is of real PyTorch.

use std::collections::BTreeMap;
use std::io::Read;

use brimful_replay::{
    AllocatorConfig, Capacity, Followed, Timeline, follow, recorded_capacity, recorded_config, replay,
};
use brimful_trace::{Event, Trace};
use brimful_units::Bytes;
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/snapshots");

fn trace(name: &str) -> Trace {
    let path = format!("{FIXTURES}/{name}.gz");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let snapshot = brimful_snapshot::read(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
    snapshot.into_trace(0).unwrap()
}

fn rows(name: &str) -> Vec<Value> {
    let mut text = String::new();
    let file = std::fs::File::open(format!("{FIXTURES}/{name}")).unwrap();
    let read = match name.ends_with(".gz") {
        true => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        false => std::io::BufReader::new(file).read_to_string(&mut text),
    };
    read.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(row: &Value, key: &str) -> Bytes {
    Bytes::new(row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}")))
}

fn followed(name: &str) -> (Trace, Followed) {
    let trace = trace(name);
    let followed = follow(&trace, &recorded_config(&trace));
    (trace, followed)
}

#[test]
fn every_block_is_where_the_rules_say() {
    for row in rows("recorded.jsonl") {
        let name = row["snapshot"].as_str().unwrap();
        let (trace, followed) = followed(name);
        assert_eq!(followed.first_mismatch, None, "{name}");
        assert!(followed.is_faithful(), "{name}: {followed:?}");
        let allocations = trace.events().filter(|event| matches!(event, Event::Alloc(_))).count();
        assert_eq!(followed.checked, allocations as u64, "{name}");
        assert_eq!(followed.end.reserved, bytes(&row, "reserved_end"), "{name}");
    }
}

#[test]
fn peaks_are_those_of_pytorchs_own_statistics() {
    for row in rows("recorded.jsonl") {
        let name = row["snapshot"].as_str().unwrap();
        let (trace, followed) = followed(name);
        let truth =
            [bytes(&row, "requested_peak"), bytes(&row, "allocated_peak"), bytes(&row, "reserved_peak")];
        let found = [followed.peak.requested, followed.peak.allocated, followed.peak.reserved];
        let late = trace.recording.as_ref().unwrap().begins_late;
        assert_eq!(late, name.contains("ring"), "{name}");
        if late {
            // The peaks were before the window: what was there counts, and nothing is made up.
            assert!(found[0] < truth[0] && found[0] > followed.start.requested, "{name}: {found:?}");
            assert!(found[2] <= truth[2] && found[2] >= followed.start.reserved, "{name}: {found:?}");
        } else {
            assert_eq!(found, truth, "{name}");
            assert_eq!(followed.peak_active, bytes(&row, "active_peak"), "{name}");
        }
    }
}

/// Snapshots that torch 2.1, 2.4, 2.6 and 2.8 wrote: the rules were the same, the files hold less.
#[test]
fn older_releases_did_the_same() {
    for row in rows("older/recorded.jsonl") {
        let name = row["snapshot"].as_str().unwrap();
        let (trace, followed) = followed(name);
        assert!(followed.is_faithful(), "{name}: {followed:?}");
        let truth = [&row["requested_peak"], &row["allocated_peak"], &row["reserved_peak"]];
        let truth = truth.map(|bytes| Bytes::new(bytes.as_u64().unwrap()));
        let again = replayed(&trace, &row);
        for peak in [followed.peak, again.peak] {
            assert_eq!([peak.requested, peak.allocated, peak.reserved], truth, "{name}");
        }
        assert_eq!(Some(again.retries), row["num_alloc_retries"].as_u64(), "{name}");
    }
}

/// Requested bytes before the first of these events and at most during them.
fn requested(trace: &Trace, from: usize) -> (u64, u64) {
    let (mut now, mut start, mut most) = (0, 0, 0);
    for (at, event) in trace.events().enumerate() {
        if at == from {
            (start, most) = (now, now);
        }
        match event {
            Event::Alloc(id) => now += trace.allocations.bytes(id).get(),
            Event::FreeCompleted(id) => now -= trace.allocations.bytes(id).get(),
            _ => {}
        }
        most = most.max(now);
    }
    (start, most)
}

/// The wrapped recording is the last part of another one of the same run: what both saw is the same.
#[test]
fn the_start_of_a_wrapped_ring_is_rebuilt() {
    let (ring, found) = followed("varlen-ring.pickle");
    let whole = trace("varlen.pickle");
    let (start, most) = requested(&whole, whole.len() - ring.len());
    assert_eq!(found.start.requested, Bytes::new(start));
    assert_eq!(found.peak.requested, Bytes::new(most));
}

fn replayed(trace: &Trace, row: &Value) -> Timeline {
    let config: AllocatorConfig = row["conf"].as_str().unwrap().parse().unwrap();
    replay(trace, &config, &Capacity { total: Some(bytes(row, "total")), taken: Bytes::ZERO })
}

/// To the byte: peaks by ledger, retries, calls to the device, fits or not, and what the error says.
fn check_runs(folder: &str, rows: &[Value]) {
    let mut traces: BTreeMap<&str, Trace> = BTreeMap::new();
    for row in rows {
        let workload = row["workload"].as_str().unwrap();
        let trace = traces.entry(workload).or_insert_with(|| trace(&format!("{folder}{workload}.pickle")));
        let timeline = replayed(trace, row);
        let about = format!("{workload} {} on {}", row["conf"], row["total"]);
        assert_eq!(timeline.peak.requested, bytes(row, "requested_peak"), "{about}");
        assert_eq!(timeline.peak.allocated, bytes(row, "allocated_peak"), "{about}");
        assert_eq!(timeline.peak.reserved, bytes(row, "reserved_peak"), "{about}");
        assert_eq!(Some(timeline.retries), row["num_alloc_retries"].as_u64(), "{about}");
        assert_eq!(Some(timeline.device_allocs), row["num_device_alloc"].as_u64(), "{about}");
        assert_eq!(timeline.oom.is_some(), row["oom"].is_string(), "{about}");
        if let Some(oom) = timeline.oom {
            let message = row["oom"].as_str().unwrap();
            if message.contains("preemptively rejected") {
                assert!(
                    message.contains(&format!("Requested size: {}", oom.requested)),
                    "{about}: {message}"
                );
                continue;
            }
            assert!(message.contains(&format!("Tried to allocate {}.", oom.tried)), "{about}: {message}");
            assert!(message.contains(&format!("of which {} is free", oom.free)), "{about}: {message}");
        }
    }
}

#[test]
fn other_settings_and_devices_do_what_pytorch_did() {
    let rows = rows("truth.jsonl");
    assert_eq!(rows.len(), 91);
    check_runs("", &rows);
}

#[test]
fn invented_workloads_do_what_pytorch_did() {
    let rows = rows("invented/truth.jsonl.gz");
    assert_eq!(rows.len(), 420);
    assert_eq!(rows.iter().filter(|row| row["oom"].is_string()).count(), 146);
    assert_eq!(rows.iter().filter(|row| row["num_alloc_retries"] != 0).count(), 224);
    check_runs("invented/", &rows);
}

/// The run that failed on 12 GiB would have gone on with expandable segments, and not with the usual advice.
#[test]
fn the_failed_request_is_made_again() {
    let trace = trace("varlen-oom.pickle");
    let total = Some(Bytes::gib(12));
    let fits = |conf: &str| {
        replay(&trace, &conf.parse().unwrap(), &Capacity { total, taken: Bytes::ZERO }).oom.is_none()
    };
    assert!(fits("expandable_segments:True"));
    assert!(!fits(""));
    assert!(!fits("max_split_size_mb:64"));
}

/// A wrapped recording's start is taken over: nothing that was there is forgotten.
#[test]
fn a_wrapped_ring_does_not_under_report() {
    for name in ["varlen-ring.pickle", "mix-expandable-ring.pickle"] {
        let (trace, found) = followed(name);
        let same = replay(&trace, &recorded_config(&trace), &Capacity::unlimited());
        assert_eq!(same.peak, found.peak, "{name}");
    }
}

/// The device of this recording had 1.5 GiB. Every retry bounds that from above; all that was reserved, from below.
#[test]
fn a_device_that_was_full_shows_what_it_had() {
    let (trace, found) = followed("mix-ring.pickle");
    let shown = recorded_capacity(&trace).unwrap();
    println!("{shown:?}");
    assert!(shown >= found.peak.reserved, "{shown:?}");
    assert!(shown >= Bytes::mib(1536) && shown < Bytes::mib(1556), "{shown:?}");
    // Its `empty_cache()` is no retry.
    assert_eq!(recorded_capacity(&self::trace("mix.pickle")), None);
    assert_eq!(recorded_capacity(&self::trace("varlen.pickle")), None);
}
