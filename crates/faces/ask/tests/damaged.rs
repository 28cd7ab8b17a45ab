//! Snapshots that were cut off or changed: an answer never claims more than the file holds.

use std::fs;
use std::io::Read;

use brimful_ask::{Answer, Host, NoProgress, diff, explain, ranks};
use brimful_jobs::Overrides;
use brimful_models::MemoryFiles;
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/snapshots");

fn fixture(name: &str) -> Vec<u8> {
    let file = fs::read(format!("{FIXTURES}/{name}")).unwrap();
    if !name.ends_with(".gz") {
        return file;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(file.as_slice()).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// The answer of `brimful explain` in JSON; `None` where the file is refused.
fn explained(snapshot: Vec<u8>) -> Option<Value> {
    let files = MemoryFiles::default().with("s.pickle", snapshot);
    let answer = explain(Host { files: &files, progress: &NoProgress }, "s.pickle", None).ok()?;
    Some(serde_json::from_str(&answer.json()).unwrap())
}

const LEDGERS: [&str; 3] = ["requested", "allocated", "reserved"];

fn ledger(answer: &Value) -> [u64; 3] {
    LEDGERS.map(|name| answer["peak"][name].as_u64().unwrap())
}

/// Whether the figures of an answer can all be true.
fn can_be_true(answer: &Value) -> bool {
    let [requested, allocated, reserved] = ledger(answer);
    let parts = answer["composition"].as_object().unwrap().values();
    let sum: u64 = parts.map(|bytes| bytes.as_u64().unwrap()).sum();
    requested <= allocated && allocated <= reserved && sum == requested
}

#[test]
fn a_part_of_a_snapshot_never_peaks_above_the_whole() {
    for name in [
        "mix.pickle.gz",
        "mix-ring.pickle.gz",
        "streams.pickle.gz",
        "steady.pickle.gz",
        "tiny/torch-2.15.pickle",
    ] {
        let whole = fixture(name);
        let most = ledger(&explained(whole.clone()).unwrap());
        let mut answered = 0;
        for part in 1..24 {
            let cut = whole.len() * part / 24;
            let Some(answer) = explained(whole[..cut].to_vec()) else { continue };
            answered += 1;
            assert_eq!(answer["partial"], true, "{name} cut at {cut}");
            assert_eq!(answer["consistent"], true, "{name} cut at {cut}");
            assert!(answer.get("interval").is_none(), "{name} cut at {cut}: nothing bounds it above");
            for (at, (least, most)) in ledger(&answer).into_iter().zip(most).enumerate() {
                assert!(least <= most, "{name} cut at {cut}: {} {least} > {most}", LEDGERS[at]);
            }
        }
        assert!(answered > 4, "{name}: {answered} parts were answered");
    }
}

#[test]
fn a_cut_is_told_by_every_comparison() {
    let whole = fixture("mix.pickle.gz");
    let half = whole[..whole.len() / 2].to_vec();
    let files = MemoryFiles::default().with("half.pickle", half).with("whole.pickle", whole);
    let host = Host { files: &files, progress: &NoProgress };
    let names = ["half.pickle", "whole.pickle"].map(str::to_owned);
    let compared = ranks(host, &names, None).unwrap();
    let json: Value = serde_json::from_str(&compared.json()).unwrap();
    for rank in json["ranks"].as_array().unwrap() {
        assert_eq!(rank["partial"], rank["input"] == "half.pickle", "{rank}");
        assert_eq!(rank["outlier"], false, "{rank}");
    }
    assert!(compared.text().contains("the fullest of the whole ones is whole.pickle"), "{}", compared.text());
    let changed = diff(host, &names[0], &names[1], None, &Overrides::default()).unwrap();
    let json: Value = serde_json::from_str(&changed.json()).unwrap();
    assert_eq!(json["partial"], serde_json::json!([true, false]));
    assert!(changed.text().contains("cut off"), "{}", changed.text());
}

#[test]
fn every_recording_of_pytorch_is_consistent() {
    for name in [
        "mix.pickle.gz",
        "mix-ring.pickle.gz",
        "mix-expandable-ring.pickle.gz",
        "streams.pickle.gz",
        "leak-live.pickle.gz",
    ] {
        let answer = explained(fixture(name)).unwrap();
        assert!(answer["consistent"] == true && can_be_true(&answer), "{name}");
    }
}

/// Numbers without an order that a reader could see, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// A program of a few requests, as PyTorch records it: blocks one after another in a segment of 20 MiB.
fn recorded() -> Value {
    let base = 0x7000_0000_0000_u64;
    let event = |action: &str, at: u64, size: u64| serde_json::json!({"action": action, "addr": base + at, "size": size, "stream": 0, "frames": []});
    let mut events = vec![event("segment_alloc", 0, 20 << 20)];
    let mut blocks = Vec::new();
    for number in 0..6 {
        let at = number * (2 << 20);
        events.push(event("alloc", at, (2 << 20) - 100));
        if number % 2 == 1 {
            events.extend([
                event("free_requested", at, (2 << 20) - 100),
                event("free_completed", at, (2 << 20) - 100),
            ]);
        }
        let state = if number % 2 == 1 { "inactive" } else { "active_allocated" };
        blocks.push(
            serde_json::json!({"address": base + at, "size": 2 << 20, "requested_size": (2 << 20) - 100,
            "state": state, "frames": []}),
        );
    }
    blocks.push(serde_json::json!({"address": base + (12 << 20), "size": 8 << 20, "requested_size": 0,
        "state": "inactive", "frames": []}));
    serde_json::json!({"segments": [{"device": 0, "address": base, "total_size": 20 << 20, "allocated_size": 6 << 20,
        "active_size": 6 << 20, "requested_size": 6 << 20, "stream": 0, "segment_type": "large",
        "segment_pool_id": [0, 0], "is_expandable": false, "frames": [], "blocks": blocks}],
        "device_traces": [events]})
}

/// Changes one thing: a number, a word, or whether an entry is there.
fn mutate(snapshot: &mut Value, dice: &mut Dice) {
    let has_segment = snapshot["segments"].as_array().is_some_and(|segments| !segments.is_empty());
    let list = match dice.below(3) {
        1 if !has_segment => return,
        0 => &mut snapshot["segments"],
        1 => &mut snapshot["segments"][0]["blocks"],
        _ => &mut snapshot["device_traces"][0],
    };
    let Some(list) = list.as_array_mut().filter(|list| !list.is_empty()) else { return };
    let at = dice.below(list.len());
    match dice.below(6) {
        0 => drop(list.remove(at)),
        1 => list.push(list[at].clone()),
        2 => {
            let other = dice.below(list.len());
            list.swap(at, other);
        }
        _ => {
            let numbers: Vec<String> = list[at]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, value)| value.is_u64())
                .map(|(key, _)| key.clone())
                .collect();
            let key = &numbers[dice.below(numbers.len())];
            let number = list[at][key].as_u64().unwrap();
            let changed = [0, number / 2, number * 2, number + 512, number.saturating_sub(1 << 20), 1 << 40];
            list[at][key] = changed[dice.below(changed.len())].into();
        }
    }
}

#[test]
fn an_answer_whose_figures_cannot_all_be_true_says_so() {
    let mut dice = Dice(7);
    assert!(can_be_true(&explained(recorded().to_string().into_bytes()).unwrap()));
    let (mut answered, mut contradicting) = (0, 0);
    for _ in 0..600 {
        let mut snapshot = recorded();
        for _ in 0..=dice.below(3) {
            mutate(&mut snapshot, &mut dice);
        }
        let text = snapshot.to_string();
        let Some(answer) = explained(text.clone().into_bytes()) else { continue };
        answered += 1;
        contradicting += u32::from(answer["consistent"] == false);
        assert_eq!(answer["consistent"], can_be_true(&answer), "{text}\n{answer}");
    }
    assert!(
        answered > 300 && contradicting > 10,
        "{answered} answers, {contradicting} contradict themselves"
    );
}
