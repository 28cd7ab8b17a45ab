//! The driver's addresses against those of recordings in public repositories (`fixtures/addresses`).

use std::collections::BTreeMap;
use std::io::Read;

use brimful_replay::{Addresses, Driver};
use serde_json::Value;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/addresses/recorded.jsonl.gz");
const MIB: u64 = 1 << 20;
/// The lowest address of Linux's recordings is far above this, and the highest one of Windows's far below.
const HIGH: u64 = 1 << 40;

struct Recording {
    initial: Vec<(u64, u64)>,
    /// Whether a segment comes or goes, its address and its bytes.
    events: Vec<(bool, u64, u64)>,
    driver: Driver,
}

fn recordings() -> Vec<Recording> {
    let mut text = String::new();
    let file = std::fs::File::open(FIXTURE).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|line| recording(&serde_json::from_str(line).unwrap())).collect()
}

fn recording(row: &Value) -> Recording {
    let first = row["first_address"].as_str().unwrap().trim_start_matches("0x");
    let first = u64::from_str_radix(first, 16).unwrap();
    // MiB relative to the first event's address.
    let address = |cell: &Value| first.wrapping_add_signed(cell.as_i64().unwrap() * MIB as i64);
    let bytes = |cell: &Value| cell.as_u64().unwrap() * MIB;
    let initial = row["initial"].as_array().unwrap().iter();
    let events = row["events"].as_array().unwrap().iter();
    Recording {
        initial: initial.map(|pair| (address(&pair[0]), bytes(&pair[1]))).collect(),
        events: events.map(|event| (event[0] == "+", address(&event[1]), bytes(&event[2]))).collect(),
        driver: if first < HIGH { Driver::Windows } else { Driver::Linux },
    }
}

impl Recording {
    /// The driver's addresses with what was there before the first event.
    fn begin(&self, driver: Driver) -> Addresses {
        let lowest = self.initial.iter().map(|(address, _)| *address).min();
        let start = if driver == Driver::Windows { lowest.unwrap_or(MIB) } else { MIB };
        let mut addresses = Addresses::new(driver, start, 1 << 62);
        let mut initial = self.initial.clone();
        initial.sort_unstable();
        initial.iter().for_each(|(address, bytes)| addresses.place(*address, *bytes));
        addresses
    }
}

/// Pairs of a new segment and one of its size that is there: those in the recorded order, and all.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    right: u64,
    pairs: u64,
}

impl Score {
    fn add(&mut self, other: Score) {
        self.right += other.right;
        self.pairs += other.pairs;
    }

    fn percent(self) -> f64 {
        100.0 * self.right as f64 / self.pairs as f64
    }
}

/// The rule on its own addresses from the first event to the last.
fn blind(recording: &Recording, driver: Driver) -> Score {
    let mut addresses = recording.begin(driver);
    // By recorded address: the rule's address, and the bytes.
    let mut live: BTreeMap<u64, (u64, u64)> =
        recording.initial.iter().map(|(at, bytes)| (*at, (*at, *bytes))).collect();
    let mut score = Score::default();
    for (comes, recorded, bytes) in &recording.events {
        if !comes {
            if let Some((placed, bytes)) = live.remove(recorded) {
                addresses.give_back(placed, bytes);
            }
            continue;
        }
        let placed = addresses.take(*bytes).unwrap();
        score.add(order(&live, *recorded, placed, *bytes));
        live.insert(*recorded, (placed, *bytes));
    }
    score
}

fn order(live: &BTreeMap<u64, (u64, u64)>, recorded: u64, placed: u64, bytes: u64) -> Score {
    let mut score = Score::default();
    for (other, (at, _)) in live.iter().filter(|(_, (_, size))| *size == bytes) {
        score.pairs += 1;
        score.right += u64::from((*at < placed) == (*other < recorded));
    }
    score
}

fn total(of: impl Fn(&Recording) -> Score, driver: Driver) -> Score {
    let mut total = Score::default();
    recordings().iter().filter(|recording| recording.driver == driver).for_each(|r| total.add(of(r)));
    total
}

/// Of 885 thousand pairs. Where the driver also maps other memory between the events, no rule knows it.
#[test]
fn segments_of_linux_are_ordered_as_recordings_show_in_97_of_100_pairs() {
    let linux = total(|recording| blind(recording, Driver::Linux), Driver::Linux);
    assert!(linux.percent() > 97.0, "{linux:?}");
    let rising = total(|recording| blind(recording, Driver::Windows), Driver::Linux);
    assert!(rising.percent() < 50.0, "{rising:?}");
}

/// Only one recording of low addresses has more than one new segment.
#[test]
fn low_addresses_rise_as_a_recording_shows_in_88_of_100_pairs() {
    let windows = total(|recording| blind(recording, Driver::Windows), Driver::Windows);
    assert!(windows.percent() > 88.0, "{windows:?}");
    let falling = total(|recording| blind(recording, Driver::Linux), Driver::Windows);
    assert!(falling.percent() < 50.0, "{falling:?}");
}

#[test]
fn a_new_chunk_lies_below_and_its_tail_is_filled_upwards() {
    let end = 1 << 40;
    let mut addresses = Addresses::new(Driver::Linux, 0, end);
    let mut take = |mib: u64| (end - addresses.take(mib * MIB).unwrap()) / MIB;
    // 20 MiB take a chunk of 32, of which 12 remain: they go to 2, 2 and 8 MiB from the lowest address up.
    assert_eq!([20, 20, 2, 2, 8, 44].map(&mut take), [32, 64, 44, 42, 40, 128]);
}

#[test]
fn an_empty_chunk_goes_back_and_the_highest_hole_is_taken_first() {
    let end = 1 << 40;
    let mut addresses = Addresses::new(Driver::Linux, 0, end);
    let taken: Vec<u64> = (0..4).map(|_| addresses.take(20 * MIB).unwrap()).collect();
    for at in [0, 2] {
        addresses.give_back(taken[at], 20 * MIB);
    }
    // The tails of what remains hold 12 MiB, so this needs a chunk of its own.
    assert_eq!(addresses.take(20 * MIB), Some(taken[0]));
    assert_eq!(addresses.take(20 * MIB), Some(taken[2]));
    assert_eq!(addresses.take(20 * MIB), Some(taken[3] - 32 * MIB));
}

#[test]
fn a_space_that_is_full_has_no_address_left() {
    for driver in [Driver::Linux, Driver::Windows] {
        let mut addresses = Addresses::new(driver, 0, 64 * MIB);
        let first = addresses.take(64 * MIB).unwrap();
        assert_eq!(addresses.take(1), None);
        addresses.give_back(first, 64 * MIB);
        assert_eq!(addresses.take(64 * MIB), Some(first));
    }
}
